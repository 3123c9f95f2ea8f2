# SPDX-License-Identifier: Apache-2.0
"""Poses between messages: against motions whose poses are known at every time, by the rules of tf2."""

import threading
import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
from geometry_msgs.msg import Quaternion, Vector3

from sphmask_ros.poses import KEPT, MOST_FRAMES, PoseError, Poses, pose_matrix
from test.helpers.ros import TIMEOUT, pose

SPIN, SPEED = np.array([0.3, -0.5, 1.0]), np.array([0.4, -0.2, 0.1])
"""Of a camera that turns and moves evenly: radians and meters a second."""


def motion(seconds):
    """The pose (4, 4) of the camera at a time."""
    matrix = np.eye(4)
    matrix[:3, :3] = Rotation.from_rotvec(SPIN * seconds).as_matrix()
    matrix[:3, 3] = SPEED * seconds
    return matrix


def moving(stamps):
    poses = Poses()
    for stamp in stamps:
        poses.add("odom", "base", stamp, motion(stamp))
    poses.add("base", "camera", np.inf, pose(0.5, 90))
    return poses


@settings(max_examples=100, deadline=None)
@given(st.floats(100.0, 105.0), st.permutations(range(26)))
def test_a_steady_motion_is_met_exactly_at_any_time(seconds, order):
    """Five transforms a second: the nearest one would be up to 0.11 rad and 46 mm away."""
    poses = moving(100.0 + 0.2 * np.array(order))
    np.testing.assert_allclose(
        poses.find("odom", "camera", seconds), motion(seconds) @ pose(0.5, 90), atol=1e-9
    )


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(105.001, "newest known is 0.001 s older"), (99.9, "oldest known is 0.100 s newer")],
)
def test_nothing_is_extrapolated(seconds, words):
    poses = moving(100.0 + 0.2 * np.arange(26))
    with pytest.raises(PoseError, match=words):
        poses.find("odom", "camera", seconds)
    assert poses.find("base", "camera", seconds)[0, 3] == 0.5


def test_a_pose_that_comes_is_waited_for_and_no_longer_than_asked():
    poses = moving([100.0])
    begun = time.monotonic()
    threading.Timer(0.2, poses.add, ["odom", "base", 100.2, motion(100.2)]).start()
    pose = poses.find("odom", "base", 100.1, timeout=TIMEOUT)
    assert 0.15 < time.monotonic() - begun < TIMEOUT / 2
    np.testing.assert_allclose(pose, motion(100.1), atol=1e-9)
    begun = time.monotonic()
    with pytest.raises(PoseError, match="older"):
        poses.find("odom", "base", 101.0, timeout=0.3)
    assert 0.3 <= time.monotonic() - begun < TIMEOUT / 2


def test_frames_are_joined_through_what_they_share():
    poses = Poses()
    poses.add("odom", "base", 10.0, pose(1, 0))
    poses.add("odom", "base", 10.2, pose(2, 90))
    poses.add("base", "camera", np.inf, pose(0.5, 0))
    poses.add("base", "arm", np.inf, pose(0, 180))
    np.testing.assert_allclose(poses.find("odom", "camera", 10.0)[:3, 3], [1.5, 0, 0], atol=1e-9)
    np.testing.assert_allclose(poses.find("odom", "camera", 10.2)[:3, 3], [2, 0.5, 0], atol=1e-9)
    np.testing.assert_allclose(poses.find("arm", "camera", 99.0), pose(0, 180) @ pose(0.5, 0), atol=1e-9)
    assert poses.find("camera", "camera", 10.0).tolist() == np.eye(4).tolist()
    with pytest.raises(PoseError, match="nothing joins 'camera' and 'map'"):
        poses.find("map", "camera", 10.0)


def test_between_two_parents_the_earlier_one_holds_as_in_tf2():
    poses = Poses()
    poses.add("left hand", "cup", 1.0, pose(1, 0))
    poses.add("right hand", "cup", 2.0, pose(5, 0))
    assert poses.find("left hand", "cup", 1.9)[0, 3] == 1
    with pytest.raises(PoseError, match="nothing joins"):
        poses.find("right hand", "cup", 1.9)


def test_history_is_short_and_begins_anew_when_a_bag_is_played_again():
    poses = moving(np.arange(0.0, 100.0, 0.5))
    with pytest.raises(PoseError, match="newer"):
        poses.find("odom", "base", 99.5 - KEPT - 0.5)
    poses.add("odom", "base", 3.0, motion(3.0))
    np.testing.assert_allclose(poses.find("odom", "base", 3.0), motion(3.0))
    with pytest.raises(PoseError, match="older"):
        poses.find("odom", "base", 99.0)


def test_circles_end():
    poses = Poses()
    poses.add("a", "b", 1.0, pose(1, 0))
    poses.add("b", "a", 1.0, pose(1, 0))
    with pytest.raises(PoseError):
        poses.find("c", "a", 1.0)


@pytest.mark.parametrize(
    "turn",
    [(0, 0, 0, 0), (np.nan, 0, 0, 1), (0, 0, 0, 5e-324), (0, 0, 0, 1e-160), (0, 0, 0, 1e200), (1, 1, 1, 1)],
)
def test_quaternions_that_are_no_rotation_are_refused(turn):
    x, y, z, w = map(float, turn)
    with pytest.raises(ValueError, match="quaternion has length"):
        pose_matrix(Vector3(), Quaternion(x=x, y=y, z=z, w=w))


def test_who_invents_frames_does_not_fill_the_memory():
    poses = Poses()
    for number in range(MOST_FRAMES):
        poses.add("odom", f"frame {number}", 1.0, np.eye(4))
    with pytest.raises(ValueError, match="more than"):
        poses.add("odom", "one more", 1.0, np.eye(4))
    with pytest.raises(ValueError, match="not finite"):
        poses.add("odom", "frame 0", 1.0, np.full((4, 4), np.nan))
    with pytest.raises(ValueError, match="joins no two"):
        poses.add("odom", "odom", 1.0, np.eye(4))
    with pytest.raises(ValueError, match=r"^'x+' is longer than 1000 letters$"):
        poses.add("odom", "x" * 1_000_000, 1.0, np.eye(4))
    with pytest.raises(ValueError, match="is longer than"):
        poses.add("x" * 1_000_000, "frame 0", 1.0, np.eye(4))
