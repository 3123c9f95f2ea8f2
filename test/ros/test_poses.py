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

from sphmask_core.runtime.units import NS_PER_SECOND
from sphmask_ros.poses import FOREVER, KEPT, LATEST, MOST_FRAMES, PoseError, Poses, pose_matrix
from test.helpers.ros import TIMEOUT, ns, pose

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
        poses.add("odom", "base", ns(stamp), motion(stamp))
    poses.add("base", "camera", FOREVER, pose(0.5, 90))
    return poses


@settings(max_examples=100, deadline=None)
@given(st.integers(ns(100.0), ns(105.0)), st.permutations(range(26)))
def test_a_steady_motion_is_met_exactly_at_any_time(stamp, order):
    """Five transforms a second: the nearest one would be up to 0.11 rad and 46 mm away."""
    poses = moving(100.0 + 0.2 * np.array(order))
    expected = motion(stamp / NS_PER_SECOND) @ pose(0.5, 90)
    np.testing.assert_allclose(poses.find("odom", "camera", stamp), expected, atol=1e-9)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(105.001, "newest known is 0.001 s older"), (99.9, "oldest known is 0.100 s newer")],
)
def test_nothing_is_extrapolated(seconds, words):
    poses = moving(100.0 + 0.2 * np.arange(26))
    with pytest.raises(PoseError, match=words):
        poses.find("odom", "camera", ns(seconds))
    assert poses.find("base", "camera", ns(seconds))[0, 3] == 0.5


def test_a_pose_that_comes_is_waited_for_and_no_longer_than_asked():
    poses = moving([100.0])
    begun = time.monotonic()
    threading.Timer(0.2, poses.add, ["odom", "base", ns(100.2), motion(100.2)]).start()
    pose = poses.find("odom", "base", ns(100.1), timeout=TIMEOUT)
    assert 0.15 < time.monotonic() - begun < TIMEOUT / 2
    np.testing.assert_allclose(pose, motion(100.1), atol=1e-9)
    begun = time.monotonic()
    with pytest.raises(PoseError, match="older"):
        poses.find("odom", "base", ns(101.0), timeout=0.3)
    assert 0.3 <= time.monotonic() - begun < TIMEOUT / 2


def test_frames_are_joined_through_what_they_share():
    poses = Poses()
    poses.add("odom", "base", ns(10.0), pose(1, 0))
    poses.add("odom", "base", ns(10.2), pose(2, 90))
    poses.add("base", "camera", FOREVER, pose(0.5, 0))
    poses.add("base", "arm", FOREVER, pose(0, 180))
    np.testing.assert_allclose(poses.find("odom", "camera", ns(10.0))[:3, 3], [1.5, 0, 0], atol=1e-9)
    np.testing.assert_allclose(poses.find("odom", "camera", ns(10.2))[:3, 3], [2, 0.5, 0], atol=1e-9)
    np.testing.assert_allclose(poses.find("arm", "camera", ns(99.0)), pose(0, 180) @ pose(0.5, 0), atol=1e-9)
    assert poses.find("camera", "camera", ns(10.0)).tolist() == np.eye(4).tolist()
    with pytest.raises(PoseError, match="nothing joins 'camera' and 'map'"):
        poses.find("map", "camera", ns(10.0))


def test_a_stamp_of_zero_asks_for_the_latest_that_is_known_of_all():
    poses = moving([100.0, 100.2])
    poses.add("odom", "table", ns(100.1), pose(3, 0))
    np.testing.assert_allclose(poses.find("odom", "base", LATEST), motion(100.2))
    joined = np.linalg.inv(pose(3, 0)) @ motion(100.1)
    np.testing.assert_allclose(poses.find("table", "base", LATEST), joined, atol=1e-9)
    np.testing.assert_allclose(poses.find("base", "camera", LATEST), pose(0.5, 90))
    with pytest.raises(PoseError, match="nothing joins 'map' and 'base'"):
        poses.find("base", "map", LATEST)


def test_between_two_parents_the_earlier_one_holds_as_in_tf2():
    poses = Poses()
    poses.add("left hand", "cup", ns(1.0), pose(1, 0))
    poses.add("right hand", "cup", ns(2.0), pose(5, 0))
    assert poses.find("left hand", "cup", ns(1.9))[0, 3] == 1
    with pytest.raises(PoseError, match="nothing joins"):
        poses.find("right hand", "cup", ns(1.9))


def test_history_is_short_and_begins_anew_when_a_bag_is_played_again():
    poses = moving(np.arange(0.0, 100.0, 0.5))
    with pytest.raises(PoseError, match="newer"):
        poses.find("odom", "base", ns(99.0) - KEPT)
    poses.add("odom", "base", ns(3.0), motion(3.0))
    np.testing.assert_allclose(poses.find("odom", "base", ns(3.0)), motion(3.0))
    with pytest.raises(PoseError, match="older"):
        poses.find("odom", "base", ns(99.0))


def test_circles_end():
    poses = Poses()
    poses.add("a", "b", ns(1.0), pose(1, 0))
    poses.add("b", "a", ns(1.0), pose(1, 0))
    with pytest.raises(PoseError):
        poses.find("c", "a", ns(1.0))


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
        poses.add("odom", f"frame {number}", ns(1.0), np.eye(4))
    with pytest.raises(ValueError, match="more than"):
        poses.add("odom", "one more", ns(1.0), np.eye(4))
    with pytest.raises(ValueError, match="not finite"):
        poses.add("odom", "frame 0", ns(1.0), np.full((4, 4), np.nan))
    with pytest.raises(ValueError, match="joins no two"):
        poses.add("odom", "odom", ns(1.0), np.eye(4))
    with pytest.raises(ValueError, match=r"^'x+' is longer than 1000 letters$"):
        poses.add("odom", "x" * 1_000_000, ns(1.0), np.eye(4))
    with pytest.raises(ValueError, match="is longer than"):
        poses.add("x" * 1_000_000, "frame 0", ns(1.0), np.eye(4))
