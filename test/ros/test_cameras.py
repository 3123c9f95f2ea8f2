# SPDX-License-Identifier: Apache-2.0
"""Several cameras in one node that share its model: each has answers, ids, services and diagnostics."""

import time

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from sensor_msgs.msg import PointCloud2
from sphmask_ros.srv import GetInstanceCloud

from sphmask_core.messages.instances import read_tracks
from sphmask_ros.parameters import Parameters
from sphmask_ros.player import Player
from test.helpers.ros import (
    TIMEOUT,
    ask_patiently,
    call,
    change_state,
    header,
    parameter_client,
    scene_message,
    set_parameters,
    small_message,
)

NODE = "/rig/segment"
NAMES = ("front", "rear")


@pytest.fixture(scope="module")
def rig(own_node):
    return own_node("/rig", cameras="[front, rear]")


@pytest.fixture(scope="module")
def players(rig, own_player):
    return {name: own_player(rig, "rig", camera=name) for name in NAMES}


def test_each_camera_is_answered_with_ids_of_its_own(players):
    ids = {}
    for second in (1, 2, 3):
        for name, player in players.items():
            answer = ask_patiently(player, scene_message(second))
            assert answer.instances.header == header(second)
            tracks = read_tracks(answer.instances)
            assert ids.setdefault(name, tracks.ids.tolist()) == tracks.ids.tolist() != []
    assert min(ids["front"]) == min(ids["rear"]) == 1


def test_a_camera_that_fails_leaves_the_other_alone(players):
    assert not ask_patiently(players["front"], PointCloud2(header=header(4))).instances.instances
    assert ask_patiently(players["rear"], scene_message(5)).instances.instances
    told = diagnostics(players["rear"])
    counts = {name: int(values["clouds unreadable"]) for name, values in told.items()}
    assert counts["rig/segment: front clouds"] >= 1
    assert counts["rig/segment: rear clouds"] == 0
    assert told["rig/segment: rear clouds"]["topic"] == "/rig/rear/points"


def diagnostics(player):
    """What the node tells of each camera."""
    heard = []
    subscription = player.create_subscription(DiagnosticArray, "/diagnostics", heard.append, 10)
    limit = time.monotonic() + TIMEOUT
    while True:
        rclpy.spin_once(player, timeout_sec=0.1)
        assert time.monotonic() < limit, heard
        for msg in heard:
            told = {status.name: {p.key: p.value for p in status.values} for status in msg.status}
            if any(name.startswith("rig/") for name in told):
                player.destroy_subscription(subscription)
                return told


def test_an_objects_points_are_asked_of_its_camera(players):
    ids = read_tracks(ask_patiently(players["front"], scene_message(6)).instances).ids
    ask_patiently(players["rear"], PointCloud2(header=header(7)))
    for name, there in (("front", True), ("rear", False)):
        service = f"segment/{name}/get_instance_cloud"
        given = call(players[name], GetInstanceCloud, service, "segment", id=int(ids[0]))
        assert given.success == there, name
        assert (given.cloud.width > 0) == there, name


def test_a_camera_that_never_stops_does_not_starve_the_other(players):
    front, rear = players.values()
    stop, sent = time.monotonic() + 5.0, 0

    def flood():
        nonlocal sent
        front.publish(scene_message(100))
        sent += 1

    timer = rear.create_timer(0.005, flood)
    answers = 0
    while time.monotonic() < stop or not answers:
        assert ask_patiently(rear, small_message(8 + answers)).instances.header == header(8 + answers)
        answers += 1
    rear.destroy_timer(timer)
    assert sent > answers


def test_cameras_can_be_others_after_a_cleanup(players, rig, ros):
    asker = players["front"]
    for transition in ("deactivate", "cleanup"):
        assert change_state(asker, NODE, transition)
    client = parameter_client(asker, NODE)
    assert not set_parameters(asker, client, cameras=["a/b"])[0].successful
    assert not set_parameters(asker, client, cameras=["a", "a"])[0].successful
    assert set_parameters(asker, client, cameras=["wrist"])[0].successful
    for transition in ("configure", "activate"):
        assert change_state(asker, NODE, transition)
    player = Player(namespace="rig", camera="wrist")
    player.wait_until_heard(TIMEOUT, rig.running)
    assert ask_patiently(player, scene_message(9)).instances.instances
    limit = time.monotonic() + TIMEOUT
    while asker.count_publishers("segment/front/instances"):
        assert time.monotonic() < limit
        rclpy.spin_once(asker, timeout_sec=0.1)
    player.destroy_node()


@pytest.mark.parametrize("cameras", [["a b"], ["1st"], [""], ["front", "front"], ["front/left"], ["é"]])
def test_names_that_make_no_topics_are_refused(cameras):
    with pytest.raises(ValueError, match="cameras must"):
        Parameters(cameras=tuple(cameras))
