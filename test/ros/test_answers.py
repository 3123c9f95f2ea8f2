# SPDX-License-Identifier: Apache-2.0
"""What the node answers beside labeled points, over real DDS: image of ids, an object's points, frames."""

import time

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
import rclpy
from nav_msgs.msg import Odometry
from sensor_msgs.msg import Image, PointCloud2
from sphmask_ros.srv import GetInstanceCloud

from sphmask_core.messages.instances import read_instances, read_tracks
from sphmask_core.messages.pointcloud2 import read_cloud_message, read_labels
from sphmask_ros.player import Player
from test.helpers.ros import SCENE, TIMEOUT, ask_patiently, call, header, scene_message, small_message

TURN = Rotation.from_euler("xyz", [100, 20, -30], degrees=True)
PLACE = np.array([1.0, -2.0, 0.5])
"""The camera in the robot's frame."""


def hear(player, kind, topic, cloud):
    """What comes on a topic for a cloud, and the answer to it."""
    heard = []
    subscription = player.create_subscription(kind, topic, heard.append, 5)
    limit = time.monotonic() + TIMEOUT
    while True:
        answer = player.ask(cloud, TIMEOUT)
        for _ in range(10):
            rclpy.spin_once(player, timeout_sec=0.1)
        mine = [msg for msg in heard if msg.header == cloud.header]
        if mine or time.monotonic() > limit:
            break
    player.destroy_subscription(subscription)
    return mine[-1], answer


def test_the_label_image_has_the_ids_of_the_labelled_points(player):
    image, answer = hear(player, Image, "segment/label_image", scene_message(21))
    assert (image.encoding, image.height, image.width) == ("16UC1", *SCENE.shape)
    ids = np.frombuffer(image.data, "<u2")
    assert len(np.unique(ids)) > 2
    np.testing.assert_array_equal(ids, read_labels(answer.points))


def test_labels_are_a_cloud_of_ids_alone(player):
    msg, answer = hear(player, PointCloud2, "segment/labels", small_message(22))
    assert (msg.height, msg.point_step) == (1, 4)
    np.testing.assert_array_equal(read_labels(msg), read_labels(answer.points))


def test_a_bad_cloud_has_an_empty_label_image(player):
    image, _ = hear(player, Image, "segment/label_image", PointCloud2(header=header(23)))
    assert (image.height, image.width, len(image.data)) == (0, 0, 0)


def test_an_objects_points_are_given_by_its_id(player):
    answer = player.ask(scene_message(24), TIMEOUT)
    instances, tracks = (
        read_instances(answer.instances, read_labels(answer.points)),
        read_tracks(answer.instances),
    )
    for index, number in enumerate(tracks.ids[:3].tolist()):
        given = call(player, GetInstanceCloud, "segment/get_instance_cloud", id=number)
        assert given.success, given.message
        assert given.cloud.header == header(24)
        cloud = read_cloud_message(given.cloud)
        np.testing.assert_array_equal(cloud.xyz, SCENE.xyz[instances.masks[index]])
        np.testing.assert_array_equal(cloud.rgb, SCENE.rgb[instances.masks[index]])
    missing = call(player, GetInstanceCloud, "segment/get_instance_cloud", id=4_000_000_000)
    assert (missing.success, missing.message) == (False, "object 4000000000 is not in the newest cloud")


def where_the_camera_is(second):
    """In the robot's frame."""
    msg = Odometry(header=header(second), child_frame_id="tilted_camera")
    msg.header.frame_id = "base_link"
    x, y, z, w = TURN.as_quat().tolist()
    turn, place = msg.pose.pose.orientation, msg.pose.pose.position
    turn.x, turn.y, turn.z, turn.w = x, y, z, w
    place.x, place.y, place.z = PLACE.tolist()
    return msg


def test_answers_are_told_in_the_frame_of_choice(ros, start_node):
    """Every box and center in the robot's frame has its object's points, which stay in the camera's.

    The pose may be heard later than the first clouds; each has a stamp of its own, so that what is answered
    late is not taken for what is answered now.
    """
    node = start_node("/told", target_frame="base_link")
    player = Player(namespace="told")
    player.wait_until_heard(TIMEOUT, node.running)
    publisher = player.create_publisher(Odometry, "odometry", 10)
    limit, second, answer = time.monotonic() + TIMEOUT, 0, None
    while answer is None or not answer.instances.instances:
        assert time.monotonic() < limit, node.text()
        second += 1
        publisher.publish(where_the_camera_is(second))
        answer = ask_patiently(player, scene_message(second))
    assert answer.points.header == header(second)
    assert answer.instances.header.frame_id == "base_link"
    assert {marker.header.frame_id for marker in answer.markers.markers} == {"base_link"}
    instances = read_instances(answer.instances, read_labels(answer.points))
    moved = TURN.apply(SCENE.xyz) + PLACE
    for instance, mask, box in zip(answer.instances.instances, instances.masks, instances.boxes, strict=True):
        np.testing.assert_allclose([moved[mask].min(0), moved[mask].max(0)], box.reshape(2, 3), atol=1e-4)
        axes = Rotation.from_quat([getattr(instance.box.orientation, axis) for axis in "xyzw"])
        middle = [getattr(instance.box.position, axis) for axis in "xyz"]
        size = [getattr(instance.size, axis) for axis in "xyz"]
        np.testing.assert_allclose(
            np.abs(axes.inv().apply(moved[mask] - middle)).max(0), np.divide(size, 2), atol=1e-4
        )
        np.testing.assert_allclose(axes.as_matrix()[:, 2], instances.rotation[2], atol=1e-5)  # upright
    player.destroy_node()
    assert node.end() == 0
