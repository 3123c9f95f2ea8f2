# SPDX-License-Identifier: Apache-2.0
import dataclasses
from pathlib import Path

import pytest
import yaml
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
import rclpy
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.parameter import Parameter
from sensor_msgs.msg import PointCloud2
from visualization_msgs.msg import MarkerArray

pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
from sphmask_ros.msg import InstanceArray

from sphmask_core.clouds.region import Region
from sphmask_ros.parameters import LIVE, Parameters
from sphmask_ros.reference import PAGE, inserted, parameters_file
from test.helpers.ros import (
    TIMEOUT,
    ask_patiently,
    parameter_client,
    scene_message,
    set_parameters,
    wait_for,
    wait_until,
    wait_until_answerable,
)

NAMES = [field.name for field in dataclasses.fields(Parameters)]
FLOATS = st.floats() | st.sampled_from([0.0, 0.5, 1.0, -1.0, 1.0000001])
VALUES = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    FLOATS,
    st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=8),
    st.sampled_from(["auto", "cpu", "cuda:0", "reliable", "-y", "odom", "tabletop"]),
    st.lists(st.sampled_from(["markers", "timings", "points", ""]), min_size=1, max_size=3),
    st.lists(st.floats(), min_size=1, max_size=3),
)
ROOT = Path(__file__).parents[2]


def test_parameters_file_and_page_are_what_the_code_says():
    text = (ROOT / "config" / "segment_node.yaml").read_text()
    assert text == parameters_file()
    stored = yaml.safe_load(text)["/**"]["ros__parameters"]
    assert Parameters(**stored) == Parameters()
    assert list(stored) == [field.name for field in dataclasses.fields(Parameters)]
    page = PAGE.read_text()
    assert inserted(page) == page


@pytest.mark.parametrize(
    "values",
    [
        {"min_score": float("nan")},
        {"min_score": 1.5},
        {"track_memory": float("inf")},
        {"reliability": "sometimes"},
        {"device": "tpu"},
        {"outputs": ["label"]},
        {"track": None},
        {"up": "down"},
        {"turns": 5},
        {"turns": "4"},
        {"turns": True},
        {"input": "depth"},
        {"class_scores": ["car"]},
        {"class_scores": ["car:1.5"]},
        {"class_scores": [":0.5"]},
        {"class_scores": [0.5]},
        {"crop_box": [1.0, 2.0]},
        {"crop_box": ["a"]},
        {"ego_box": [0.0, 0.0, 0.0, 1.0, 1.0, float("nan")]},
        {"ego_box": [0, 0, 0, 0, 1, 1]},
        {"max_range": -1.0},
        {"voxel_filter": float("inf")},
    ],
)
def test_bad_values_are_named(values):
    (name,) = values
    with pytest.raises(ValueError, match=name):
        Parameters(**values)


def test_what_is_looked_at_is_told_by_parameters():
    told = Parameters(min_range=1, max_range=50.0, ego_box=[-1, -1, -1, 1, 1, 1], voxel_filter=0.1)
    assert told.region == Region(1.0, 50.0, None, (-1.0, -1.0, -1.0, 1.0, 1.0, 1.0), 0.1)
    assert Parameters().region == Region()
    scores = Parameters(class_scores=["shower curtain:0.4", "car:1"]).least_scores
    assert scores == {"shower curtain": 0.4, "car": 1.0}


def test_parameters_that_exclude_each_other_are_refused_together():
    with pytest.raises(ValueError, match=r"max_range 1.0 must be more than min_range 2.0"):
        Parameters(min_range=2.0, max_range=1.0)
    assert Parameters(up="y") and Parameters(fixed_frame="odom")
    with pytest.raises(ValueError, match="up is y, but z of fixed_frame odom"):
        Parameters(up="y", fixed_frame="odom")


@settings(max_examples=30, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(NAMES), VALUES, max_size=3))
@example({"class_scores": False})
def test_any_values_at_start_are_taken_or_refused_in_one_line(ros, values):
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    node = rclpy.create_node("fuzzed", parameter_overrides=overrides)
    try:
        taken = Parameters.declare(node)
    except (InvalidParameterTypeException, InvalidParameterValueException, ValueError) as error:
        assert str(error)
        return
    finally:
        node.destroy_node()
    for name, value in values.items():
        assert getattr(taken, name) == (tuple(value) if isinstance(value, list) else value)


@settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.dictionaries(st.sampled_from(NAMES), VALUES, min_size=1, max_size=3))
def test_any_values_at_run_time_are_taken_or_refused_with_a_reason(player, client, node, values):
    future = client.set_parameters_atomically(
        [Parameter(name, value=value) for name, value in values.items()]
    )
    result = wait_for(player, future).result
    assert result.successful or result.reason
    assert node.running()
    kept = _stored(player, client)
    for name, value in values.items() if result.successful else ():
        assert getattr(kept, name) == (tuple(value) if isinstance(value, list) else value)


def test_live_parameters_work_at_once(player, client, node):
    defaults = {
        field.name: field.default
        for field in dataclasses.fields(Parameters)
        if field.metadata["when"] == LIVE
    }
    defaults["outputs"] = list(defaults["outputs"])
    for result in set_parameters(player, client, **defaults):
        assert result.successful, result.reason
    player.wait_until_heard(TIMEOUT, node.running)  # the reliability may have been another
    ask_patiently(player, scene_message(30))
    (taken,) = set_parameters(player, client, min_score=1.0)
    assert taken.successful
    assert len(player.ask(scene_message(), TIMEOUT).instances.instances) == 0
    (taken,) = set_parameters(player, client, min_score=0.0)
    first, second = (player.ask(scene_message(i), TIMEOUT).instances.instances for i in (1, 2))
    assert [item.id for item in first] == [item.id for item in second]
    set_parameters(player, client, track=False)
    instances = player.ask(scene_message(), TIMEOUT).instances.instances
    assert [item.id for item in instances] == list(range(1, len(first) + 1))
    (taken,) = set_parameters(player, client, max_range=0.01)
    assert taken.successful
    assert not player.ask(scene_message(), TIMEOUT).instances.instances
    (taken, refused) = set_parameters(player, client, max_range=0.0, class_scores=["cra:0.5"])
    assert taken.successful and not refused.successful
    assert refused.reason == "class_scores: the model finds no class 'cra'; it finds object"
    (taken,) = set_parameters(player, client, class_scores=["object:1.0"])
    assert taken.successful
    assert not player.ask(scene_message(), TIMEOUT).instances.instances
    (taken,) = set_parameters(player, client, class_scores=[])
    assert taken.successful
    set_parameters(player, client, track=True, outputs=["markers"])
    heard = {"markers": [], "instances": [], "labelled_points": []}
    kinds = dict(zip(heard, (MarkerArray, InstanceArray, PointCloud2), strict=True))
    subscriptions = [
        player.create_subscription(kinds[name], f"segment/{name}", heard[name].append, 10) for name in heard
    ]
    wait_until_answerable(player, "segment")
    player.publish(scene_message(31))
    wait_until(
        player, lambda: 31 in [marker.header.stamp.sec for msg in heard["markers"] for marker in msg.markers]
    )
    set_parameters(player, client, outputs=defaults["outputs"])
    player.publish(scene_message(32))
    for name in ("instances", "labelled_points"):
        wait_until(player, lambda name=name: 32 in [msg.header.stamp.sec for msg in heard[name]])
        assert 31 not in [msg.header.stamp.sec for msg in heard[name]]
    for subscription in subscriptions:
        player.destroy_subscription(subscription)


@pytest.fixture(scope="module")
def client(player):
    return parameter_client(player, "segment")


def _stored(player, client):
    """The node's parameters as it tells them: they are valid together, whatever was sent."""
    values = wait_for(player, client.get_parameters(NAMES)).values
    return Parameters(
        **{name: rclpy.parameter.parameter_value_to_python(v) for name, v in zip(NAMES, values, strict=True)}
    )
