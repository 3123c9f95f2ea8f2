# SPDX-License-Identifier: Apache-2.0
"""Colors of another camera: of another size, elsewhere and turned, its pose heard on /tf_static and /tf."""

import time
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
from builtin_interfaces.msg import Time
from geometry_msgs.msg import TransformStamped
from rclpy.qos import DurabilityPolicy, QoSProfile
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header
from tf2_msgs.msg import TFMessage

from sphmask_core.clouds.depth import Intrinsics
from sphmask_core.messages.pointcloud2 import read_cloud_message, read_labels
from sphmask_core.palette import MID_GRAY
from sphmask_ros.conversions import make
from sphmask_ros.player import RgbdPlayer
from test.helpers.rgbd import image_message, info_message, rgbd_frame
from test.helpers.ros import SCENE, TIMEOUT, ask_patiently

WIDTH, HEIGHT = 320, 240
COLOR_LENS = Intrinsics(400.0, 420.0, 150.0, 130.0)
POSE_TIMEOUT = 10.0
"""Seconds that the node waits for a pose that is to come."""
LATCHED = QoSProfile(depth=1, durability=DurabilityPolicy.TRANSIENT_LOCAL)
"""As tf2_ros's static_transform_publisher sends."""
DEPTH_POSE = Rotation.from_euler("xyz", [-100, 3, -90], degrees=True), np.array([0.02, -0.03, 0.01])
"""Of the depth camera on the link that carries both."""


def color_pose(seconds):
    """Turn and place of the color camera on that link, where it pans."""
    turn = Rotation.from_euler("xyz", [-104, -2, -92 + 4 * seconds], degrees=True)
    return turn, np.array([0.06 + 0.01 * seconds, 0.04, -0.02])


def transform(child, pose, seconds=0.0):
    turn, place = pose
    header = Header(frame_id="eyes_link", stamp=stamp(seconds))
    message = TransformStamped(header=header, child_frame_id=child)
    translation, rotation = message.transform.translation, message.transform.rotation
    translation.x, translation.y, translation.z = place.tolist()
    rotation.x, rotation.y, rotation.z, rotation.w = turn.as_quat().tolist()
    return message


def stamp(seconds):
    return Time(sec=int(seconds), nanosec=round(seconds % 1 * 1e9))


def frame_at(seconds, color_frame):
    """Colors that tell their pixel: red grows to the right, green downwards."""
    x, y = np.meshgrid(np.linspace(0, 255, WIDTH), np.linspace(0, 255, HEIGHT))
    pixels = np.stack([x, y, np.full_like(x, 77)], -1).round().astype(np.uint8)
    plain = rgbd_frame(make, Header(frame_id="eyes_depth", stamp=stamp(seconds)), SCENE)
    header = Header(frame_id=color_frame, stamp=stamp(seconds))
    return replace(
        plain,
        color=image_message(make, header, pixels, "rgb8"),
        color_info=info_message(make, header, COLOR_LENS, (HEIGHT, WIDTH)),
    )


def check_colors(answer, color_at):
    """Each point has the color of the pixel that shows it, and those that no pixel shows are gray."""
    cloud, plain = read_cloud_message(answer.points), read_labels(answer.points) == 0
    plain &= np.isfinite(cloud.xyz).all(1)
    (depth_turn, depth_place), (turn, place) = DEPTH_POSE, color_at
    points = turn.inv().apply(depth_turn.apply(cloud.xyz[plain]) + depth_place - place)
    u = COLOR_LENS.fx * points[:, 0] / points[:, 2] + COLOR_LENS.cx
    v = COLOR_LENS.fy * points[:, 1] / points[:, 2] + COLOR_LENS.cy
    seen = (u > 0.5) & (u < WIDTH - 1.5) & (v > 0.5) & (v < HEIGHT - 1.5)
    hidden = (u < -1.5) | (u > WIDTH + 0.5) | (v < -1.5) | (v > HEIGHT + 0.5)
    assert seen.sum() > 500 and hidden.sum() > 500
    expected = np.stack([u / (WIDTH - 1), v / (HEIGHT - 1)], 1)[seen] * 255
    colors = cloud.rgb[plain].astype(float)
    assert np.abs(colors[seen, :2] - expected).max() <= 1.1  # a pixel is 0.8 red and 1.07 green
    assert (colors[seen, 2] == 77).all() and (colors[hidden] == MID_GRAY).all()


@pytest.fixture(scope="module")
def eyes(start_node):
    node = start_node("/eyes", input="rgbd", pose_timeout=POSE_TIMEOUT)
    yield node
    assert node.end() == 0, node.text()
    assert "Traceback" not in node.text()


@pytest.fixture(scope="module")
def player(ros, eyes):
    player = RgbdPlayer(namespace="eyes")
    player.wait_until_heard(TIMEOUT, eyes.running)
    yield player
    player.destroy_node()


def test_without_tf_colors_are_left_out_and_the_answer_does_not_wait(player, eyes):
    second = 1
    while not eyes.says("colors are left out: nothing joins 'eyes_depth' and 'eyes_color'", 0):
        assert second < TIMEOUT, eyes.text()
        ask_patiently(player, frame_at(second, "eyes_color"))
        second += 1

    def seconds_to_answer(frame):
        begun = time.monotonic()
        player.ask(frame, TIMEOUT)
        return time.monotonic() - begun

    # A busy machine may be late once; a node that waits for the pose always is.
    frames = [frame_at(second + further, "eyes_color") for further in range(3)]
    assert any(seconds_to_answer(frame) < POSE_TIMEOUT / 2 for frame in frames)
    answer = ask_patiently(player, frame_at(second + 3, "eyes_color"))
    assert answer.instances.instances
    colors = read_cloud_message(answer.points).rgb[read_labels(answer.points) == 0]
    assert (colors == MID_GRAY).all()


def test_a_color_camera_that_is_fixed_elsewhere(player):
    publisher = player.create_publisher(TFMessage, "/tf_static", LATCHED)
    poses = {"eyes_depth": DEPTH_POSE, "eyes_color": color_pose(0.0)}
    publisher.publish(TFMessage(transforms=[transform(child, pose) for child, pose in poses.items()]))
    colors = MID_GRAY
    for second in range(1000, 1000 + TIMEOUT):  # the transforms may be heard after the first images
        answer = ask_patiently(player, frame_at(second, "eyes_color"))
        colors = read_cloud_message(answer.points).rgb[read_labels(answer.points) == 0]
        if (colors != MID_GRAY).any():
            break
    check_colors(answer, color_pose(0.0))
    player.destroy_publisher(publisher)


START, FEW = 2000, 5
"""Second of the first of the poses, and how many of the newest are sent: older ones than the node keeps would
begin its history anew."""


def test_a_color_camera_that_pans_where_it_was_at_that_time(player):
    """Its pose at the image's time is between two, of which the later one comes after the images."""
    latched = player.create_publisher(TFMessage, "/tf_static", LATCHED)
    latched.publish(TFMessage(transforms=[transform("eyes_depth", DEPTH_POSE)]))
    publisher = player.create_publisher(TFMessage, "/tf", 100)
    later = []

    def send():
        publisher.publish(
            TFMessage(transforms=[transform("eyes_pan", color_pose(s - START), s) for s in later[-FEW:]])
        )

    later += [START, START + 1]
    timer = player.create_timer(0.3, send)
    answer = None
    for second in range(START, START + TIMEOUT):
        later.append(second + 2)
        answer = ask_patiently(player, frame_at(second + 0.5, "eyes_pan"))
        colors = read_cloud_message(answer.points).rgb[read_labels(answer.points) == 0]
        if (colors != MID_GRAY).any():
            break
    player.destroy_timer(timer)
    check_colors(answer, color_pose(second + 0.5 - START))
