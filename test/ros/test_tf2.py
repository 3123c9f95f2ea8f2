# SPDX-License-Identifier: Apache-2.0
"""Our poses against those of tf2, and the node with either."""

import os
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
from geometry_msgs.msg import TransformStamped
from hypothesis import given, settings
from hypothesis import strategies as st
from rclpy.qos import DurabilityPolicy, QoSProfile
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header

from sphmask_ros.player import Player
from sphmask_ros.poses import FOREVER, LATEST, PoseError, Poses, UnjoinedError
from sphmask_ros.tf2_poses import Tf2Poses
from test.helpers.ros import TIMEOUT, ask_patiently, header, ns, scene_message

FRAMES = 6
BEGIN, END = ns(100.0), ns(109.0)
"""Within what both keep: tf2 forgets older poses one message later than we do."""
TURN = 1.5
"""Radians at most: between two poses it is then less than a half turn, so that one way is the shortest."""


@st.composite
def transforms(draw):
    """Frames, each at rest, or moving, in earlier ones, which may change, in any order: what `add` takes."""
    told = []
    for child in range(1, FRAMES):
        stamps = draw(
            st.lists(st.integers(BEGIN, END), max_size=5, unique=True) | st.just([FOREVER]), label=str(child)
        )
        for stamp in stamps:
            parent = draw(st.integers(0, child - 1))
            pose = np.eye(4)
            axis = np.array(draw(st.tuples(*[st.floats(-1.0, 1.0)] * 3)))
            angle = draw(st.floats(0.0, TURN))
            pose[:3, :3] = Rotation.from_rotvec(angle * axis / max(np.linalg.norm(axis), 1e-3)).as_matrix()
            pose[:3, 3] = draw(st.tuples(*[st.floats(-100.0, 100.0)] * 3))
            told.append((f"frame {parent}", f"frame {child}", stamp, pose))
    return draw(st.permutations(told))


@settings(max_examples=100, deadline=None)
@given(transforms(), st.data())
def test_poses_are_those_of_tf2(told, data):
    """At the stamps, between and beyond them, at the latest, along chains, at rest, and of frames apart."""
    pytest.importorskip("tf2_ros", reason="needs tf2_ros, not on PyPI")
    ours, theirs = Poses(), Tf2Poses()
    for transform in told:
        ours.add(*transform)
        theirs.add(*transform)
    frames = st.integers(0, FRAMES).map("frame {}".format)  # the last is in no transform
    known = st.sampled_from([stamp for _, _, stamp, _ in told if stamp != FOREVER] or [BEGIN])
    stamps = known | st.integers(BEGIN - ns(1), END + ns(1)) | st.just(LATEST)
    for _ in range(10):
        asked = data.draw(frames), data.draw(frames), data.draw(stamps)
        found, expected = outcome(ours, *asked), outcome(theirs, *asked)
        if isinstance(expected, type):
            assert found is expected, (asked, found)
        else:
            np.testing.assert_allclose(found, expected, atol=1e-9)


def outcome(poses, *asked):
    """The pose, or the type of what is raised."""
    try:
        return poses.find(*asked)
    except PoseError as error:
        return type(error)


@pytest.fixture(params=["tf2_ros", "the node"])
def kept_by(request, monkeypatch, tmp_path):
    """Who keeps the poses of a node that starts now: tf2_ros, if it is installed, or the node itself."""
    if request.param == "tf2_ros":
        pytest.importorskip("tf2_ros", reason="needs tf2_ros, not on PyPI")
    else:
        (tmp_path / "tf2_ros.py").write_text("raise ImportError('hidden by a test')")
        monkeypatch.setenv("PYTHONPATH", f"{tmp_path}:{os.environ.get('PYTHONPATH', '')}")
    return request.param


def test_a_node_hears_where_its_camera_is_by_tf(ros, start_node, kept_by):
    """The camera is fixed to a base, which moves."""
    tf2_msgs = pytest.importorskip("tf2_msgs.msg", reason="needs tf2_msgs, which is not on PyPI")
    name = f"by_{kept_by.replace(' ', '_')}"
    player = Player(namespace=name)
    latched = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
    fixed, moving = (
        player.create_publisher(tf2_msgs.TFMessage, *topic)
        for topic in (("/tf_static", latched), ("/tf", 10))
    )
    mount = TransformStamped(header=Header(frame_id="base"), child_frame_id="tilted_camera")
    fixed.publish(tf2_msgs.TFMessage(transforms=[mount]))
    node = start_node(f"/{name}", fixed_frame="odom")
    node.wait_for_log(f"poses are kept by {kept_by}")
    node.wait_for_log("segmenting")
    assert not ask_patiently(player, scene_message(1)).instances.instances
    node.wait_for_log("no transform to fixed_frame 'odom'")
    base = TransformStamped(header=header(1), child_frame_id="base")
    base.header.frame_id = "odom"
    limit = time.monotonic() + TIMEOUT
    while not ask_patiently(player, scene_message(1)).instances.instances:
        assert time.monotonic() < limit, node.text()
        moving.publish(tf2_msgs.TFMessage(transforms=[base]))
        time.sleep(0.2)
    assert not ask_patiently(player, scene_message(2)).instances.instances  # is not extrapolated
    player.destroy_node()
    assert node.end() == 0, node.text()
    assert "Traceback" not in node.text()


def test_unjoined_frames_are_told_from_times_that_are_not_known():
    pytest.importorskip("tf2_ros", reason="needs tf2_ros, not on PyPI")
    poses = Tf2Poses()
    poses.add("odom", "base", BEGIN, np.eye(4))
    with pytest.raises(UnjoinedError, match="nothing joins 'camera' and 'odom'"):
        poses.find("odom", "camera", BEGIN)
    with pytest.raises(PoseError, match="extrapolation") as raised:
        poses.find("odom", "base", END)
    assert not isinstance(raised.value, UnjoinedError)
