# SPDX-License-Identifier: Apache-2.0
"""A cloud that takes minutes does not make the node deaf: every service answers, and what ends the work ends
it."""

import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import GetParameters, SetParameters
from sphmask_ros.srv import GetInstanceCloud, LoadModel
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from sphmask_core.clouds.cloud import Cloud
from sphmask_core.messages.pointcloud2 import cloud_points
from sphmask_ros.conversions import write_points
from test.helpers.ros import (
    TIMEOUT,
    ask_patiently,
    header,
    small_message,
    wait_for,
    wait_until_answerable,
)

NODE = "/interrupted/segment"
SOON = 10.0
"""Seconds; 0.2 on an idle machine (python -m benchmarks.interruption measures that). One on which they become
ten is as slow with the cloud, after which a node that was deaf would answer."""
POINTS = 1_000_000
"""Each a voxel of its own: the model takes some five seconds on an idle machine."""
ARRIVAL = 20.0
"""Seconds after which a cloud is taken for lost; one that comes nevertheless would be computed after all."""
SERVICES = {
    "change_state": ChangeState,
    "enable": SetBool,
    "get_instance_cloud": GetInstanceCloud,
    "get_parameters": GetParameters,
    "get_state": GetState,
    "load_model": LoadModel,
    "set_parameters": SetParameters,
}


@pytest.fixture(scope="module")
def interrupted(own_node):
    return own_node("/interrupted")


@pytest.fixture(scope="module")
def player(interrupted, own_player):
    return own_player(interrupted, "interrupted")


@pytest.fixture(scope="module")
def ask(player):
    """Calls a service of the node, which knows its clients and has to answer soon; the response."""
    clients = {name: player.create_client(kind, f"{NODE}/{name}") for name, kind in SERVICES.items()}
    for client in clients.values():
        assert client.wait_for_service(TIMEOUT)
    wait_until_answerable(player, NODE)

    def ask(kind, name, **fields):
        client = clients[name]
        begun = time.monotonic()
        answer = wait_for(player, client.call_async(kind.Request(**fields)))
        assert time.monotonic() - begun < SOON, name
        return answer

    return ask


@pytest.fixture(scope="module")
def work(player, interrupted):
    """Lets the node begin with a large cloud, of a frame of the caller's choice."""
    xyz = np.random.default_rng(0).random((POINTS, 3), np.float32) * 3
    points = cloud_points(Cloud(xyz, None, None, (1, POINTS)))

    def begin(frame_id):
        cloud = write_points(Header(frame_id=frame_id, stamp=header(1).stamp), points)
        for _ in range(6):  # 16 MB can be lost; a camera sends the next
            player.publish(cloud)
            if interrupted.says(f"clouds of '{frame_id}': up is", ARRIVAL):
                return
        raise AssertionError(interrupted.text())

    return begin


def counts(player):
    """What the node's diagnostics count."""
    heard = []
    subscription = player.create_subscription(DiagnosticArray, "/diagnostics", heard.append, 10)
    limit = time.monotonic() + TIMEOUT
    while time.monotonic() < limit:
        rclpy.spin_once(player, timeout_sec=0.1)
        for told in (told for msg in heard for told in msg.status if told.name.startswith(NODE[1:])):
            player.destroy_subscription(subscription)
            return {pair.key: pair.value for pair in told.values}
    raise AssertionError(heard)


def change(ask, transition):
    number = getattr(Transition, f"TRANSITION_{transition.upper()}")
    return ask(ChangeState, "change_state", transition=Transition(id=number)).success


def limit_latency(ask, seconds):
    limit = Parameter(name="max_latency", value=ParameterValue(type=3, double_value=seconds))
    assert ask(SetParameters, "set_parameters", parameters=[limit]).results[0].successful


def test_services_answer_and_disabling_gives_the_cloud_up(work, ask, player):
    work("first")
    score = Parameter(name="min_score", value=ParameterValue(type=3, double_value=0.0))
    assert ask(SetParameters, "set_parameters", parameters=[score]).results[0].successful
    assert ask(GetParameters, "get_parameters", names=["min_score"]).values[0].double_value == 0.0
    assert ask(GetState, "get_state").current_state.label == "active"
    assert not ask(GetInstanceCloud, "get_instance_cloud", id=1).success
    assert not ask(LoadModel, "load_model", model="no-such-model").success
    assert ask(SetBool, "enable", data=False).success
    assert ask(SetBool, "enable", data=True).success
    assert ask_patiently(player, small_message(2)).points.header == header(2)
    values = counts(player)
    assert int(values["clouds called off"]) >= 1
    assert values["clouds failed"] == values["clouds unreadable"] == "0"


def test_transitions_give_the_cloud_up(work, ask, player):
    work("second")
    assert change(ask, "deactivate")
    assert change(ask, "activate")
    assert ask_patiently(player, small_message(3)).points.header == header(3)
    work("third")
    assert change(ask, "deactivate")
    assert change(ask, "cleanup")
    assert change(ask, "configure")
    assert change(ask, "activate")
    assert ask_patiently(player, small_message(4)).points.header == header(4)


def test_what_is_too_late_is_given_up_and_counted(work, ask, player):
    limit_latency(ask, 1.0)
    work("late")
    ended = time.monotonic() + TIMEOUT
    while int(counts(player)["clouds late"]) < 1:
        assert time.monotonic() < ended
    limit_latency(ask, 0.0)
    assert ask_patiently(player, small_message(5)).points.header == header(5)


def test_shuts_down_while_it_works(work, ask):
    work("last")
    assert change(ask, "active_shutdown")
    assert ask(GetState, "get_state").current_state.label == "finalized"
