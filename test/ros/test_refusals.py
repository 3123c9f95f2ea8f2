# SPDX-License-Identifier: Apache-2.0
"""Whatever is sent to it, the node goes on: over real DDS, a node in a process of its own."""

import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
import rclpy
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus
from nav_msgs.msg import Odometry
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2
from sphmask_ros.msg import Timings

from sphmask_ros.player import Player
from sphmask_ros.segment_node import LOG_PERIOD
from test.helpers.ros import TIMEOUT, ask_patiently, call, header, scene_message, small_message

NAME = "/attacked"


@pytest.fixture(scope="module")
def attacked(own_node):
    """Its diagnostics tell of silence only after an hour, and of what is refused until then."""
    return own_node(NAME, fixed_frame="odom", pose_timeout=0.0, stale_after=3600.0)


@pytest.fixture(scope="module")
def attacker(attacked, own_player):
    return own_player(attacked, NAME)


def odometry(**orientation):
    msg = Odometry(header=header(1), child_frame_id="tilted_camera")
    msg.header.frame_id = "odom"
    msg.pose.pose.orientation.w = 1.0
    for name, value in orientation.items():
        setattr(msg.pose.pose.orientation, name, value)
    return msg


def before_1970():
    msg = odometry()
    msg.header.stamp.sec = -5
    return msg


BAD = {
    "NaN": odometry(x=np.nan),
    "denormal": odometry(w=5e-324),
    "zero": odometry(w=0.0),
    "huge": odometry(w=1e300),
    "before 1970": before_1970(),
}


@pytest.fixture
def status(attacker):
    """Waits for the next diagnostics of the node; level, message and values."""
    heard = []
    subscription = attacker.create_subscription(DiagnosticArray, "/diagnostics", heard.append, 10)

    def wait(wanted):
        limit = time.monotonic() + TIMEOUT
        while time.monotonic() < limit:
            rclpy.spin_once(attacker, timeout_sec=0.1)
            for told in (told for msg in heard for told in msg.status if told.name.startswith("attacked/")):
                values = {pair.key: pair.value for pair in told.values}
                if wanted(values):
                    return told.level, told.message, values
        raise AssertionError(heard)

    yield wait
    attacker.destroy_subscription(subscription)


def goes_on(attacker, attacked):
    """Whether the node still answers clouds, with the pose of a good message."""
    publisher = attacker.create_publisher(Odometry, "odometry", 10)
    limit = time.monotonic() + TIMEOUT
    while not ask_patiently(attacker, scene_message(1)).instances.instances:
        assert attacked.running() and time.monotonic() < limit, attacked.text()
        publisher.publish(odometry())
    attacker.destroy_publisher(publisher)
    return attacked.running()


@pytest.mark.parametrize("name", BAD)
def test_odometry_that_is_none_is_refused(attacker, attacked, name):
    publisher = attacker.create_publisher(Odometry, "odometry", 10)
    while not publisher.get_subscription_count():
        time.sleep(0.1)
    for _ in range(20):
        publisher.publish(BAD[name])
        time.sleep(0.02)
    attacker.destroy_publisher(publisher)
    assert goes_on(attacker, attacked), attacked.text()


def test_what_is_refused_is_counted_and_told_but_not_each_time(attacker, attacked, status):
    before, begun = attacked.text().count("is refused"), time.monotonic()
    _, _, values = status(lambda values: True)
    known = int(values["messages refused"])
    publisher = attacker.create_publisher(Odometry, "odometry", 100)
    while not publisher.get_subscription_count():
        time.sleep(0.1)
    for _ in range(100):
        publisher.publish(BAD["NaN"])
        time.sleep(0.01)
    level, message, values = status(lambda values: int(values["messages refused"]) >= known + 50)
    assert level == DiagnosticStatus.WARN
    assert "odometry of 'tilted_camera' is refused: its quaternion has length nan" in message
    assert "quaternion" in values["last error"]
    lines = attacked.text().count("is refused") - before
    assert lines <= 1 + (time.monotonic() - begun) / LOG_PERIOD
    attacker.destroy_publisher(publisher)


@pytest.mark.parametrize("kind", [SetParameters, SetParametersAtomically])
def test_a_parameter_of_no_type_is_refused_with_a_reason(attacker, attacked, kind):
    name = f"{NAME}/segment/set_parameters" + "_atomically" * (kind is SetParametersAtomically)
    bad = Parameter(name="min_score", value=ParameterValue(type=255))
    answer = call(attacker, kind, name, parameters=[bad, bad])
    results = answer.results if kind is SetParameters else [answer.result]
    assert len(results) == (2 if kind is SetParameters else 1)
    assert not any(result.successful for result in results)
    assert all("255" in result.reason for result in results)
    assert goes_on(attacker, attacked), attacked.text()


def test_a_cloud_from_before_1970_is_answered(attacker, attacked):
    publisher = attacker.create_publisher(Odometry, "odometry", 10)
    cloud = scene_message(-5)
    limit = time.monotonic() + TIMEOUT
    while not ask_patiently(attacker, cloud).instances.instances:
        assert attacked.running() and time.monotonic() < limit, attacked.text()
        msg = before_1970()
        msg.header.stamp = cloud.header.stamp
        publisher.publish(msg)
    attacker.destroy_publisher(publisher)


def test_simulated_time_without_a_clock_is_no_reason_to_be_deaf(ros, start_node):
    node = start_node("/timeless", use_sim_time=True)
    player = Player(namespace="/timeless")
    heard, latencies = [], []
    player.create_subscription(DiagnosticArray, "/diagnostics", heard.append, 10)
    player.create_subscription(Timings, "segment/timings", latencies.append, 10)
    player.wait_until_heard(TIMEOUT, node.running)
    for second in (1, 2):
        assert ask_patiently(player, small_message(second)).points.header == header(second)
    best_effort = Player(QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT), "/timeless")
    assert ask_patiently(best_effort, small_message(3)).points.header == header(3)
    limit = time.monotonic() + TIMEOUT
    while not (latencies and any(told.name.startswith("timeless/") for msg in heard for told in msg.status)):
        assert time.monotonic() < limit
        ask_patiently(player, small_message(4))
    assert 0 < latencies[-1].latency < 60_000
    player.destroy_node()
    best_effort.destroy_node()
    assert node.end() == 0


def test_best_effort_cameras_raise_no_alarm_on_either_side(ros, start_node, capfd):
    node = start_node("/quiet")
    node.wait_for_log("segmenting")
    time.sleep(1.0)
    player = Player(QoSProfile(depth=1, reliability=ReliabilityPolicy.BEST_EFFORT), "/quiet")
    player.wait_until_heard(TIMEOUT, node.running)
    assert ask_patiently(player, small_message(5)).points.header == header(5)
    player.destroy_node()
    assert node.end() == 0
    assert "incompatible" not in node.text()
    assert "incompatible" not in capfd.readouterr().err


def test_reliable_cameras_are_heard_reliably(ros, start_node):
    node = start_node("/reliably")
    node.wait_for_log("segmenting")
    player = Player(namespace="/reliably")
    limit = time.monotonic() + TIMEOUT
    topic = player.resolve_topic_name("points")
    while {info.qos_profile.reliability for info in player.get_subscriptions_info_by_topic(topic)} != {
        ReliabilityPolicy.RELIABLE
    }:
        assert time.monotonic() < limit
        time.sleep(0.1)
    player.destroy_node()
    assert node.end() == 0


def test_parameters_files_of_people(ros, start_node, tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("/**:\n  ros__parameters:\n    outputs: []\n    track_memory: 3\n    modle: mine\n")
    node = start_node("/personal", params_file=file)
    node.wait_for_log("segmenting")
    assert "there is no parameter modle; did you mean model?" in node.text()
    player = Player(namespace="/personal")
    player.wait_until_heard(TIMEOUT, node.running)
    with pytest.raises(TimeoutError, match="nothing came"):
        player.ask(PointCloud2(header=header(1)), 1.0)
    player.destroy_node()
    assert node.end() == 0
