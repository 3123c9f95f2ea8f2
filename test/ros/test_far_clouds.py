# SPDX-License-Identifier: Apache-2.0
"""Clouds in UTM coordinates in the node: what is found is what is found near, moved, in any frame."""

from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
from builtin_interfaces.msg import Time
from scipy.spatial.transform import Rotation
from sphmask_ros.srv import GetInstanceCloud
from std_msgs.msg import Header

from sphmask_core import Segmenter
from sphmask_core.clouds.region import Region
from sphmask_core.messages.pointcloud2 import cloud_points, read_cloud_message, read_labels
from sphmask_ros.conversions import InstanceMarkers, instance_array, make, write_points
from sphmask_ros.parameters import Parameters
from sphmask_ros.perception import Perception
from sphmask_ros.poses import FOREVER, Poses
from test.helpers.balls import balls
from test.helpers.far import MILLIMETER, UTM, check_moved, far_scene, near_scene, two_messages, vector
from test.helpers.ros import TIMEOUT, ask_patiently, call, header, ns, pose

BASE = np.eye(4)
BASE[:3, :3] = Rotation.from_euler("xyz", [5, -3, 130], degrees=True).as_matrix()
BASE[:3, 3] = np.nanmedian(near_scene().xyz, axis=0) + np.array([3.0, -2.0, 1.0])
"""Where a robot is in the near cloud's frame."""
SHIFT = np.eye(4)
SHIFT[:3, 3] = UTM


def perceive(poses, **settings):
    """A perception of balls with such poses and its settings."""
    perception = Perception(Segmenter(balls()), poses, lambda remark: None)
    return lambda msg: perception(msg, Parameters(min_score=0.0, pose_timeout=0.0, **settings))


def told(answer):
    """The answer's instances as they are published, and their markers."""
    there = answer.in_target_frame
    parts = there.header, there.instances, there.tracks, there.placed
    return instance_array(*parts, answer.rays), InstanceMarkers().update(*parts, answer.rays)


def header_of(frame, second):
    return Header(frame_id=frame, stamp=Time(sec=second))


def messages(frames=("local", "utm"), second=1):
    """The near and the far scene, each in its frame."""
    sent = two_messages(make, Header())
    for msg, frame in zip(sent, frames, strict=True):
        msg.header = header_of(frame, second)
    return sent


def robot():
    """Poses in which the robot stands at the same place of the near and of the far scene."""
    poses = Poses()
    poses.add("utm", "local", FOREVER, SHIFT)
    poses.add("local", "base_link", FOREVER, BASE)
    return poses


def test_instances_are_moved():
    near, far = (told(perceive(Poses())(msg)) for msg in messages())
    check_moved(near[0], far[0])
    for one, other in zip(near[1].markers, far[1].markers, strict=True):
        for point, twin in zip(one.points, other.points, strict=True):
            np.testing.assert_allclose(vector(twin), vector(point) + UTM, rtol=0, atol=MILLIMETER)


@pytest.mark.parametrize(
    ("target", "offset"), [("base_link", np.zeros(3)), ("local", np.zeros(3)), ("utm", UTM)]
)
def test_a_frame_of_choice(target, offset):
    """The far cloud is told in the robot's frame, in a frame near, in its own; so is the near one."""
    near, far = (told(perceive(robot(), target_frame=target)(msg))[0] for msg in messages())
    assert near.header.frame_id == far.header.frame_id == target
    check_moved(near, far, np.zeros(3))
    own = told(perceive(robot())(messages()[0]))[0]
    if target != "base_link":
        check_moved(own, far, offset)
    else:
        turn = Rotation.from_matrix(BASE[:3, :3])
        middles = np.array([vector(instance.center) for instance in own.instances])
        expected = turn.inv().apply(middles - BASE[:3, 3])
        there = [vector(instance.center) for instance in far.instances]
        np.testing.assert_allclose(there, expected, rtol=0, atol=MILLIMETER)


@pytest.mark.parametrize("frame", ["local", "utm"])
def test_ids_are_kept_in_a_frame_at_rest(frame):
    """A camera that moves and turns sends near clouds; the frame at rest may be UTM's."""
    poses, ids = Poses(), []
    find = perceive(poses, fixed_frame=frame)
    scene = near_scene()
    for second in range(3):
        camera = pose(0.2 * second, 3 * second)
        poses.add(frame, "camera", ns(second), (SHIFT if frame == "utm" else np.eye(4)) @ camera)
        seen = ((scene.xyz - camera[:3, 3]) @ camera[:3, :3]).astype(np.float32)
        msg = write_points(header_of("camera", second), cloud_points(replace(scene, xyz=seen)))
        ids.append(set(find(msg).tracks.ids.tolist()))
    assert len(ids[0]) > 3
    assert len(ids[0] & ids[2]) >= len(ids[0]) / 2  # this model's balls lie elsewhere in each frame


def test_far_clouds_keep_their_ids():
    find = perceive(Poses())
    first, second = (find(messages(second=second)[1]).tracks for second in (1, 2))
    assert len(first.ids) > 3 and second.ids.tolist() == first.ids.tolist()
    assert np.abs(second.velocities).max() < MILLIMETER


def test_boxes_in_the_robots_frame_crop_a_far_cloud():
    """And ranges are from the origin of the cloud's own frame, however far that is."""
    there = np.linalg.inv(BASE)
    middle = np.nanmedian(near_scene().xyz @ there[:3, :3].T + there[:3, 3], axis=0)
    box = (-50.0, -50.0, -50.0, float(middle[0]), 50.0, 50.0)
    near, far = (perceive(robot(), crop_box=box, box_frame="base_link")(msg) for msg in messages())
    np.testing.assert_array_equal(near.instances.labels, far.instances.labels)
    inside = Region(crop_box=box).inside(near_scene().xyz, there)
    assert 0.2 < inside.mean() < 0.8 and far.instances.labels[inside].any()
    assert not far.instances.labels[~inside].any()
    assert not len(perceive(robot(), max_range=1000.0)(messages()[1]).instances)


def test_the_node_answers_a_far_cloud(player, node):
    """Over DDS: its points as they came, instances moved, and the points of one that is asked for."""
    answers = []
    for msg in two_messages(make, header(31)):
        ask_patiently(player, msg)
        answers.append(player.ask(msg, TIMEOUT))
    near, far = answers
    check_moved(near.instances, far.instances, same_ids=False)
    points = read_cloud_message(far.points)
    assert points.xyz.dtype == np.float64
    np.testing.assert_array_equal(points.xyz, far_scene().xyz)
    number = far.instances.instances[0].id
    given = call(player, GetInstanceCloud, "segment/get_instance_cloud", id=number)
    assert given.success, given.message
    rows = far.instances.point_indices[: far.instances.instances[0].point_count]
    np.testing.assert_array_equal(read_cloud_message(given.cloud).xyz, far_scene().xyz[rows])
    assert (read_labels(far.points) != 0).sum() > 100 and node.running()
