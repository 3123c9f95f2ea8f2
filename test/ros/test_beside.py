# SPDX-License-Identifier: Apache-2.0
"""While a model is loaded, or run for the first time, the node answers whatever else it is asked."""

import time

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import GetParameters
from rclpy.executors import SingleThreadedExecutor
from sphmask_ros.srv import LoadModel

from sphmask_ros.beside import Beside
from sphmask_ros.player import Player
from test.helpers.ros import TIMEOUT, change_state, state, wait_for, wait_until_answerable

NODE = "/patient/segment"
OFTEN = 5
"""Requests that are sent at once behind one that takes long; a node that did not answer meanwhile would look
at one of them at most before."""


@pytest.fixture(scope="module")
def patient(own_node):
    return own_node("/patient", autostart=False, model="tabletop")


@pytest.fixture(scope="module")
def asker(ros, patient):
    player = Player(namespace="patient")
    yield player
    player.destroy_node()


@pytest.fixture(scope="module")
def client(asker):
    """Clients of the node's services, which it knows."""
    kinds = {
        "change_state": ChangeState,
        "load_model": LoadModel,
        "get_state": GetState,
        "get_parameters": GetParameters,
    }
    clients = {name: asker.create_client(kind, f"{NODE}/{name}") for name, kind in kinds.items()}
    for one in clients.values():
        assert one.wait_for_service(TIMEOUT)
    wait_until_answerable(asker, NODE)
    return clients


def transition(name):
    return ChangeState.Request(transition=Transition(id=getattr(Transition, f"TRANSITION_{name.upper()}")))


@pytest.mark.parametrize(
    ("before", "service", "request_", "after"),
    [
        ("unconfigured", "change_state", transition("configure"), "inactive"),
        ("inactive", "load_model", LoadModel.Request(model="rooms"), "inactive"),
        ("inactive", "change_state", transition("activate"), "active"),
        ("active", "load_model", LoadModel.Request(model="tabletop"), "active"),
    ],
)
def test_others_are_answered_before(asker, client, before, service, request_, after):
    assert state(asker, NODE) == before
    client[service].call_async(request_)
    for _ in range(OFTEN):
        client["get_state"].call_async(GetState.Request())
        client["get_parameters"].call_async(GetParameters.Request(names=["track"]))
    states, told = answers(client["get_state"], OFTEN), answers(client["get_parameters"], OFTEN)
    ((sent, answer),) = answers(client[service], 1)
    assert [answer.current_state.label for _, answer in states] == [before] * OFTEN
    assert all(answer.values[0].bool_value for _, answer in told)
    assert answer.success
    assert max(moment for moment, _ in [*states, *told]) < sent
    assert state(asker, NODE) == after


def answers(client, count):
    """That many responses, and when the node sent each; the test itself may come to hear them later."""
    heard, limit = [], time.monotonic() + TIMEOUT
    while len(heard) < count:
        assert time.monotonic() < limit, heard
        about, response = client.handle.take_response(client.srv_type.Response)
        if response is None:
            time.sleep(0.01)
        else:
            client.get_pending_request(about.request_id.sequence_number).set_result(response)
            heard.append((about.source_timestamp, response))
    return heard


def test_requests_of_models_and_transitions_are_answered_one_after_the_other(asker, client):
    """In whatever order ROS looks at the services, each succeeds: none finds another half-way."""
    assert state(asker, NODE) == "active"
    futures = [
        client["load_model"].call_async(LoadModel.Request(model="rooms")),
        client["change_state"].call_async(transition("deactivate")),
        client["change_state"].call_async(transition("activate")),
        client["change_state"].call_async(transition("deactivate")),
    ]
    assert all(wait_for(asker, future).success for future in futures)
    assert state(asker, NODE) == "inactive"
    assert change_state(asker, NODE, "cleanup")
    assert not wait_for(asker, client["load_model"].call_async(LoadModel.Request(model="rooms"))).success


@pytest.fixture
def beside(ros):
    node = rclpy.create_node("beside")
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    yield Beside(node), executor
    executor.shutdown()
    node.destroy_node()


def run(executor, coroutine):
    task = executor.create_task(coroutine)
    executor.spin_until_future_complete(task, TIMEOUT)
    return task.result()


def test_returns_and_raises_what_the_call_does(beside):
    beside, executor = beside

    async def both():
        with pytest.raises(ValueError, match="invalid literal"):
            await beside.call(int, "x")
        return await beside.call(int, "7")

    assert run(executor, both) == 7


def test_takes_what_was_prepared_once_and_only_for_the_same_call(beside):
    beside, executor = beside
    calls = []

    def work(number):
        calls.append(number)
        return 1 / number

    async def prepare(number):
        await beside.prepare(work, number)

    async def prepare_two():
        await prepare(2)

    async def prepare_none():
        await prepare(0)

    run(executor, prepare_two)
    assert [beside.take(work, 2), beside.take(work, 2)] == [0.5, 0.5]
    assert calls == [2, 2]
    run(executor, prepare_two)
    assert [beside.take(work, 4), beside.take(work, 2)] == [0.25, 0.5]
    assert calls == [2, 2, 2, 4, 2]
    run(executor, prepare_none)
    with pytest.raises(ZeroDivisionError):
        beside.take(work, 0)
    assert calls == [2, 2, 2, 4, 2, 0]
