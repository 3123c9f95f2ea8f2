# SPDX-License-Identifier: Apache-2.0
"""Every edge of the node's lifecycle, over DDS where another process can see it."""

import time

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
import rclpy
import torch
from rclpy.lifecycle import TransitionCallbackReturn
from rclpy.parameter import Parameter
from sphmask_ros.srv import LoadModel
from visualization_msgs.msg import Marker

from sphmask_core.runtime.cancellation import Cancellation
from sphmask_core.segmenter import Segmenter
from sphmask_ros.camera import Job
from sphmask_ros.outputs import Outputs
from sphmask_ros.perception import Perception
from sphmask_ros.player import Player
from sphmask_ros.segment_node import SegmentNode
from test.helpers.ros import (
    TIMEOUT,
    ask_patiently,
    call,
    change_state,
    header,
    markers_go,
    parameter_client,
    scene_message,
    set_parameters,
    small_message,
    state,
)

SUCCESS, FAILURE, ERROR = (
    getattr(TransitionCallbackReturn, name) for name in ("SUCCESS", "FAILURE", "ERROR")
)
NODE = "/managed/segment"
ROUNDS, WARMING = 60, 20


@pytest.fixture(scope="module")
def managed(own_node):
    """A node that waits for a lifecycle manager."""
    return own_node("/managed", autostart=False, model="no-such-model")


@pytest.fixture(scope="module")
def manager(ros, managed):
    player = Player(namespace="managed")
    yield player
    player.destroy_node()


def test_recovers_from_a_configuration_that_failed(manager, managed, weights):
    assert state(manager, NODE) == "unconfigured"
    assert not change_state(manager, NODE, "activate")
    assert not change_state(manager, NODE, "configure")
    assert state(manager, NODE) == "unconfigured"
    assert "configure failed: no-such-model: no such weights" in managed.text()
    client = parameter_client(manager, NODE)
    assert set_parameters(manager, client, model=str(weights))[0].successful
    assert change_state(manager, NODE, "configure")
    assert state(manager, NODE) == "inactive"
    (refused,) = set_parameters(manager, client, model="tabletop")
    assert not refused.successful
    assert "~/load_model" in refused.reason
    assert change_state(manager, NODE, "activate")
    assert ask_patiently(manager, scene_message(9)).points.header == header(9)


def test_every_edge_leads_where_it_should_and_wrong_ones_nowhere(manager, managed):
    edges = [
        ("configure", False, "active"),
        ("deactivate", True, "inactive"),
        ("deactivate", False, "inactive"),
        ("cleanup", True, "unconfigured"),
        ("cleanup", False, "unconfigured"),
        ("configure", True, "inactive"),
        ("cleanup", True, "unconfigured"),
        ("configure", True, "inactive"),
        ("activate", True, "active"),
    ]
    for transition, succeeds, after in edges:
        assert change_state(manager, NODE, transition) == succeeds, transition
        assert state(manager, NODE) == after
    assert ask_patiently(manager, scene_message(10)).points.header == header(10)


def test_an_inactive_node_does_not_answer(manager, managed):
    assert change_state(manager, NODE, "deactivate")
    with pytest.raises(TimeoutError):
        manager.ask(small_message(), 1.0)
    assert change_state(manager, NODE, "activate")


def test_an_inactive_node_leaves_no_markers_behind(manager, managed):
    with markers_go(manager, NODE):
        assert change_state(manager, NODE, "deactivate")
    assert change_state(manager, NODE, "activate")
    markers = ask_patiently(manager, scene_message(8)).markers.markers
    assert {marker.action for marker in markers} == {Marker.ADD}


def test_rounds_of_activation_keep_memory_flat(manager, managed):
    for number in range(ROUNDS):
        assert change_state(manager, NODE, "deactivate")
        assert change_state(manager, NODE, "activate")
        if number == WARMING:
            before = managed.memory()
    assert managed.memory() < before + 10
    assert ask_patiently(manager, scene_message(11)).points.header == header(11)


def test_loads_another_model_or_keeps_the_one_at_hand(manager, managed, weights, tmp_path):
    (tmp_path / "bad.safetensors").write_bytes(b"no weights")
    for bad in (str(tmp_path / "bad.safetensors"), "nothing", ""):
        answer = call(manager, LoadModel, f"{NODE}/load_model", model=bad)
        assert not answer.success
        assert answer.message
        assert "\n" not in answer.message
    assert ask_patiently(manager, scene_message(12)).instances.instances
    answer = call(manager, LoadModel, f"{NODE}/load_model", model="tabletop")
    assert answer.success, answer.message
    client = parameter_client(manager, NODE)
    assert [value.string_value for value in _values(manager, client, "model")] == ["tabletop"]
    assert ask_patiently(manager, scene_message(13)).points.header == header(13)
    assert call(manager, LoadModel, f"{NODE}/load_model", model=str(weights)).success


def _values(manager, client, *names):
    future = client.get_parameters(list(names))
    rclpy.spin_until_future_complete(manager, future, timeout_sec=TIMEOUT)
    return future.result().values


@pytest.fixture
def local_node(ros, weights):
    """A node in this process, for what another one cannot make happen."""
    node = SegmentNode()
    node.set_parameters([Parameter("model", value=str(weights))])
    yield node
    node.destroy_node()


@pytest.mark.parametrize("before", [[], ["configure"], ["configure", "activate"]])
def test_shuts_down_from_every_state(local_node, before):
    for transition in before:
        assert getattr(local_node, f"trigger_{transition}")() == SUCCESS
    assert local_node.trigger_shutdown() == SUCCESS
    assert local_node.health.state == "finalized"


def test_a_transition_that_raises_is_told_and_ends_unconfigured(local_node, monkeypatch, capfd):
    assert local_node.trigger_configure() == SUCCESS
    monkeypatch.setattr(Outputs, "destroy", _raise_once(RuntimeError("the driver\nhas gone")))
    assert local_node.trigger_cleanup() == ERROR
    assert "cleanup failed: RuntimeError: the driver has gone" in capfd.readouterr().err
    assert local_node.health.state == "unconfigured"
    assert local_node.trigger_configure() == SUCCESS


def test_an_activation_that_fails_leaves_the_node_inactive(local_node, monkeypatch):
    assert local_node.trigger_configure() == SUCCESS
    with monkeypatch.context() as patch:
        patch.setattr(Segmenter, "warm_up", _raise_once(torch.cuda.OutOfMemoryError("CUDA")))
        assert local_node.trigger_activate() == FAILURE
    assert local_node.health.state == "inactive"
    assert local_node.trigger_activate() == SUCCESS


def test_out_of_cuda_memory_drops_the_frame_and_goes_on(local_node, monkeypatch):
    assert local_node.trigger_configure() == SUCCESS
    assert local_node.trigger_activate() == SUCCESS
    (camera,) = local_node.cameras
    job = Job(camera, scene_message(), time.monotonic(), Cancellation())
    with monkeypatch.context() as patch:
        patch.setattr(Perception, "__call__", _raise_once(torch.cuda.OutOfMemoryError("CUDA out of memory")))
        local_node.answer(job)
    assert (camera.health.out_of_memory, camera.health.answered) == (1, 0)
    assert "out of memory" in camera.health.error
    local_node.answer(job)
    assert camera.health.answered == 1
    assert not camera.health.failing


def _raise_once(error):
    errors = [error]

    def function(*_):
        if errors:
            raise errors.pop()

    return function
