# SPDX-License-Identifier: Apache-2.0
"""What of a cloud the real node looks at, and what it says of clouds unlike those of the training."""

import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from nav_msgs.msg import Odometry
from sensor_msgs.msg import PointCloud2, PointField

from sphmask_core.messages.pointcloud2 import read_cloud_message, read_labels
from test.helpers.ros import (
    SCENE,
    TIMEOUT,
    ask_patiently,
    header,
    parameter_client,
    scene_message,
    set_parameters,
)

OUSTER = {"x": (7, 0), "y": (7, 4), "z": (7, 8), "intensity": (7, 16), "t": (6, 20), "ring": (4, 26)}
OUSTER_STEP = 48
"""Bytes a point."""


@pytest.fixture(scope="module")
def street_node(own_node):
    """The preset for LiDARs, to which a table is shown; its boxes are in base_link."""
    return own_node("/street", model="street", box_frame="base_link", min_score=0.0)


@pytest.fixture(scope="module")
def street_player(street_node, own_player):
    return own_player(street_node, "street")


def ouster_message(second, points):
    """A driver's cloud; rays without a return are (0, 0, 0)."""
    msg = PointCloud2(header=header(second), height=SCENE.shape[0], width=SCENE.shape[1])
    msg.fields = [
        PointField(name=name, datatype=kind, offset=at, count=1) for name, (kind, at) in OUSTER.items()
    ]
    rows = np.zeros((len(points), OUSTER_STEP), np.uint8)
    rows[:, :12] = np.ascontiguousarray(np.nan_to_num(points), "<f4").view(np.uint8).reshape(-1, 12)
    msg.point_step, msg.row_step, msg.data = OUSTER_STEP, OUSTER_STEP * msg.width, rows.tobytes()
    return msg


def test_a_drivers_cloud_is_answered_and_its_zeros_are_no_points(player):
    player.ask(ouster_message(1, SCENE.xyz), TIMEOUT)
    answer = player.ask(ouster_message(2, SCENE.xyz), TIMEOUT)
    answered = read_cloud_message(answer.points)
    np.testing.assert_array_equal(answered.xyz, SCENE.xyz)
    assert len(answer.instances.instances) > 0
    assert (read_labels(answer.points)[np.isnan(SCENE.xyz[:, 0])] == 0).all()


def test_a_crop_box_in_the_robots_frame(street_player, street_node):
    """Without the robot's pose there is one clear line; with it, only what is in the box gets a label."""
    client = parameter_client(street_player, "segment")
    (taken,) = set_parameters(street_player, client, crop_box=[-9.0, -9.0, 0.0, 9.0, 9.0, 9.0])
    assert taken.successful
    assert not ask_patiently(street_player, scene_message(1)).instances.instances
    street_node.wait_for_log("no transform to box_frame 'base_link' at its time")
    publisher = street_player.create_publisher(Odometry, "odometry", 10)
    pose = Odometry(header=header(2), child_frame_id="tilted_camera")
    pose.header.frame_id = "base_link"
    pose.pose.pose.orientation.w = 1.0
    pose.pose.pose.position.x = 100.0  # far away from the box
    limit = time.monotonic() + TIMEOUT
    while not (answer := ask_patiently(street_player, scene_message(2))).points.width:
        assert time.monotonic() < limit, street_node.text()
        publisher.publish(pose)
    assert answer.points.width == SCENE.shape[1]
    assert (read_labels(answer.points) == 0).all()
    (taken,) = set_parameters(street_player, client, crop_box=[])
    assert taken.successful


def test_clouds_unlike_the_training_are_said_once_and_in_the_diagnostics(street_player, street_node):
    heard = []
    subscription = street_player.create_subscription(
        DiagnosticArray, "/diagnostics", lambda msg: heard.extend(msg.status), 10
    )
    for second in (3, 4):
        ask_patiently(street_player, scene_message(second))
    words = "m across, not 10 to 260 m, as the sweeps of LiDARs"
    limit = time.monotonic() + TIMEOUT
    while not any(words in _value(status, "input") for status in heard if status.name.startswith("street")):
        assert time.monotonic() < limit, heard
        rclpy.spin_once(street_player, timeout_sec=0.2)
    street_player.destroy_subscription(subscription)
    assert street_node.text().count(words) == 1
    assert "the preset for it is tabletop" in street_node.text()


def _value(status, key):
    return next((pair.value for pair in status.values if pair.key == key), "")
