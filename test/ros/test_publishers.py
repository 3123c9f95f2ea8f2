# SPDX-License-Identifier: Apache-2.0
"""Publishers that come, go, change and fall silent; a node that is killed; signals."""

import signal
import time
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2
from sphmask_ros.msg import Timings
from std_srvs.srv import SetBool

from sphmask_core.clouds.cloud import Cloud
from sphmask_core.messages.pointcloud2 import cloud_points
from sphmask_ros.conversions import write_points
from sphmask_ros.player import Player
from test.helpers.ros import TIMEOUT, ask_patiently, call, header, markers_go, small_message

AT_ONCE = 5.0
"""Seconds; a node that does not take its leave is remembered for the 20 s of its participant's lease."""
STALE_AFTER = 3.0
"""Seconds: more than a slow machine takes from one cloud to the next where they come one after the other."""


@pytest.fixture(scope="module")
def lonely_node(start_node):
    """A node that hears nobody but the tests here, on a topic of another name."""
    node = start_node("/lonely", points="far/away/points", stale_after=STALE_AFTER)
    yield node
    assert node.end(signal.SIGTERM) == 0, node.text()
    assert "Traceback" not in node.text()


@pytest.fixture(scope="module")
def diagnostics(ros, lonely_node):
    """Waits until the node's diagnostics are as wanted; the values. Meanwhile does what it is told."""
    listener = rclpy.create_node("listener")
    heard = []
    listener.create_subscription(DiagnosticArray, "/diagnostics", lambda msg: heard.extend(msg.status), 10)

    def wait(level, message="", meanwhile=lambda: None):
        heard.clear()
        limit = time.monotonic() + TIMEOUT
        while time.monotonic() < limit:
            for status in heard:
                if (
                    status.name == "lonely/segment: clouds"
                    and status.level == level
                    and message in status.message
                ):
                    return {pair.key: pair.value for pair in status.values}
            meanwhile()
            rclpy.spin_once(listener, timeout_sec=0.1)
        raise AssertionError(f"no {level} {message!r} in {heard}")

    yield wait
    listener.destroy_node()


def lonely_player(reliability=ReliabilityPolicy.RELIABLE):
    return Player(QoSProfile(depth=1, reliability=reliability), "lonely", topic="far/away/points")


def test_nothing_is_computed_while_nobody_subscribes(ros, lonely_node, diagnostics):
    sensor = rclpy.create_node("sensor", namespace="lonely")
    publisher = sensor.create_publisher(PointCloud2, "far/away/points", 1)
    lonely_node.wait_for_log("segmenting")
    while not publisher.get_subscription_count():
        time.sleep(0.1)

    def send():
        publisher.publish(PointCloud2(header=header(1)))  # would be reported if it were looked at

    for _ in range(20):
        send()
        time.sleep(0.1)
    assert diagnostics(DiagnosticStatus.OK, "nobody listens", send)["clouds answered"] == "0"
    sensor.destroy_node()
    assert "no objects" not in lonely_node.text()


@pytest.mark.parametrize("reliability", ["BEST_EFFORT", "RELIABLE", "RELIABLE", "BEST_EFFORT"])
def test_publishers_come_back_as_they_like(ros, lonely_node, reliability):
    player = lonely_player(ReliabilityPolicy[reliability])
    player.wait_until_heard(TIMEOUT, lonely_node.running)
    assert ask_patiently(player, small_message(4)).instances.header == header(4)
    player.destroy_node()


def test_diagnostics_tell_silence_errors_and_recovery(ros, lonely_node, diagnostics):
    player = lonely_player()
    player.wait_until_heard(TIMEOUT, lonely_node.running)
    diagnostics(DiagnosticStatus.STALE, "no cloud for")
    for cloud, level, message in (
        (PointCloud2(header=header(1)), DiagnosticStatus.WARN, "no field x, y, z"),
        (small_message(2), DiagnosticStatus.OK, "clouds a second"),
    ):
        ask_patiently(player, cloud)
        values = diagnostics(level, message, lambda cloud=cloud: ask_patiently(player, cloud))
        assert "no field x, y, z" in values["last error"]
    assert values["state"] == "active"
    assert int(values["clouds unreadable"]) >= 1
    assert int(values["clouds answered"]) >= 2
    assert float(values["latency (ms)"]) > 0
    diagnostics(DiagnosticStatus.STALE)
    player.destroy_node()


def test_enable_stops_the_work_and_lets_it_go_on(ros, lonely_node, diagnostics):
    player = lonely_player()
    player.wait_until_heard(TIMEOUT, lonely_node.running)
    with markers_go(player, "/lonely/segment"):
        assert call(player, SetBool, "segment/enable", data=False).success
    with pytest.raises(TimeoutError):
        player.ask(small_message(3), 1.0)
    diagnostics(DiagnosticStatus.OK, "disabled")
    assert call(player, SetBool, "segment/enable", data=True).success
    assert ask_patiently(player, small_message(5)).points.header == header(5)
    player.destroy_node()


def test_timings_name_every_stage(ros, lonely_node):
    player = lonely_player()
    heard = []
    player.create_subscription(Timings, "segment/timings", heard.append, 1)
    player.wait_until_heard(TIMEOUT, lonely_node.running)
    limit = time.monotonic() + TIMEOUT
    while not (mine := [msg for msg in heard if msg.header == header(6)]):
        assert time.monotonic() < limit, heard
        ask_patiently(player, small_message(6))
    assert {"read", "voxels", "superpoints", "backbone", "track", "write"} <= set(mine[0].stages)
    assert len(mine[0].milliseconds) == len(mine[0].stages)
    assert min(mine[0].milliseconds) >= 0
    player.destroy_node()


def test_a_killed_node_is_replaced_by_a_new_one(ros, start_node):
    player = Player(namespace="again")
    for second in (1, 2):
        node = start_node("/again")
        node.wait_for_log("segmenting")
        assert ask_patiently(player, small_message(second)).points.header == header(second)
        node.process.kill()
        node.process.wait(10)
    player.destroy_node()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_signals_end_it_while_it_starts(start_node, number):
    node = start_node("/starting")
    maps = Path(f"/proc/{node.process.pid}/maps")
    while "numpy" not in maps.read_text():  # Python has begun with its imports
        time.sleep(0.01)
    assert node.end(number) in (0, -number)
    assert node.text() == ""


def test_what_it_has_shown_goes_with_it(ros, start_node):
    node = start_node("/leaving")
    player = Player(namespace="leaving")
    player.wait_until_heard(TIMEOUT, node.running)
    with markers_go(player, "/leaving/segment"):
        assert node.end() == 0
    assert "Traceback" not in node.text()
    player.destroy_node()


def test_signals_end_it_while_it_works(ros, start_node):
    node = start_node("/working")
    node.wait_for_log("segmenting")
    player = Player(namespace="working")
    player.wait_until_heard(TIMEOUT, node.running)
    xyz = np.random.default_rng(0).random((300_000, 3), np.float32) * 3
    cloud = write_points(header(1), cloud_points(Cloud(xyz, None, None, (1, len(xyz)))))

    def looked_at():
        player.publish(cloud)
        return node.says("'tilted_camera'", 10)

    assert any(looked_at() for _ in range(12)), node.text()  # 5 MB can be lost; a camera sends the next
    assert node.end() == 0
    assert "Traceback" not in node.text()
    player.destroy_node()


def test_an_ended_node_is_gone_for_others_and_leaves_no_shared_memory(ros, start_node):
    """Who stays known after the end is sent messages, on a port that the next node may have."""
    listener = rclpy.create_node("listener")
    before = set(Path("/dev/shm").iterdir())
    node = start_node("/parting")
    node.wait_for_log("segmenting")

    def known():
        return ("segment", "/parting") in listener.get_node_names_and_namespaces()

    limit = time.monotonic() + TIMEOUT
    while not known():
        assert time.monotonic() < limit
        time.sleep(0.1)
    maps = Path(f"/proc/{node.process.pid}/maps").read_text()
    mapped = {Path(line.split()[-1]) for line in maps.splitlines() if "/dev/shm/fast" in line}
    segments = {path for path in mapped - before if "port" not in path.name}  # its port the listener has, too
    assert segments
    assert node.end() == 0
    limit = time.monotonic() + AT_ONCE
    while known():
        assert time.monotonic() < limit
        time.sleep(0.1)
    assert not [path for path in segments if path.exists()]
    listener.destroy_node()
