# SPDX-License-Identifier: Apache-2.0
"""Which way is up, where the sensor is, and how often a cloud is looked at."""

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
import dataclasses
import time

import rclpy
from builtin_interfaces.msg import Time
from nav_msgs.msg import Odometry
from std_msgs.msg import Header

from sphmask_core import Segmenter
from sphmask_core.clouds.cloud import Cloud, CloudError
from sphmask_core.messages.pointcloud2 import cloud_points
from sphmask_ros.conversions import write_points
from sphmask_ros.parameters import Parameters
from sphmask_ros.perception import MOST_SAID, Perception
from sphmask_ros.player import Player
from sphmask_ros.poses import PoseError, Poses, listen
from test.helpers.looks import note_looks
from test.helpers.ros import SCENE, TIMEOUT, ask_patiently, header, ns, pose, scene_message


def test_odometry_is_listened_to(ros):
    node, poses, refused = rclpy.create_node("listening"), Poses(), []
    listen(node, poses, lambda what, error: refused.append(f"{what}: {error}"))
    publisher = node.create_publisher(Odometry, "odometry", 10)
    msg = Odometry(header=Header(frame_id="odom", stamp=Time(sec=5)), child_frame_id="camera")
    limit = time.monotonic() + TIMEOUT
    while (pose := known(poses, "odom", "camera", ns(5.0))) is None or not refused:
        assert time.monotonic() < limit, refused
        msg.pose.pose.orientation.w = 0.0  # no rotation at all: refused
        publisher.publish(msg)
        msg.pose.pose.orientation.w, msg.pose.pose.position.x = 1.0, 3.0
        publisher.publish(msg)
        rclpy.spin_once(node, timeout_sec=0.1)
    node.destroy_node()
    assert pose[:3, 3].tolist() == [3, 0, 0]
    assert refused[0] == "odometry of 'camera': its quaternion has length 0, not 1"


def known(poses, *where):
    try:
        return poses.find(*where)
    except PoseError:
        return None


def test_a_node_hears_where_its_camera_is_by_odometry(ros, start_node):
    """By the topic that needs nothing beside ROS 2's common messages."""
    player = Player(namespace="by_odometry")
    publisher = player.create_publisher(Odometry, "odometry", 10)
    msg = Odometry(header=header(1), child_frame_id="tilted_camera")
    msg.header.frame_id = "odom"
    node = start_node("/by_odometry", fixed_frame="odom")
    node.wait_for_log("segmenting")
    assert not ask_patiently(player, scene_message(1)).instances.instances
    node.wait_for_log("no transform to fixed_frame 'odom'")
    limit = time.monotonic() + TIMEOUT
    while not ask_patiently(player, scene_message(1)).instances.instances:
        assert time.monotonic() < limit, node.text()
        publisher.publish(msg)
        time.sleep(0.2)
    player.destroy_node()
    assert node.end() == 0


@pytest.fixture
def sees(weights):
    """Perception by a model that has to be told what is up, and what it says."""

    def make(poses=None, up="z"):
        segmenter, remarks = Segmenter.load(weights, "cpu"), []
        segmenter.model.config = dataclasses.replace(segmenter.config, up=up)
        return Perception(segmenter, poses or Poses(), remarks.append), remarks

    return make


def message(frame_id, xyz=SCENE.xyz):
    cloud = Cloud(np.ascontiguousarray(xyz, np.float32), SCENE.rgb, None, SCENE.shape)
    return write_points(Header(frame_id=frame_id, stamp=Time(sec=1)), cloud_points(cloud))


@pytest.mark.parametrize(
    ("frame_id", "settings", "vertical", "words"),
    [
        ("camera_optical_frame", {}, (0, -1, 0), "up is -y (taken for a level camera)"),
        ("base_link", {}, (0, 0, 1), "up is z (not an optical frame)"),
        ("camera_optical_frame", {"up": "x"}, (1, 0, 0), "up is x (parameter up)"),
        ("camera_optical_frame", {"fixed_frame": "odom"}, (0, 0.6, 0.8), "up is z (of odom)"),
    ],
)
def test_the_rule_of_what_is_up_is_kept_and_said_once(sees, frame_id, settings, vertical, words):
    poses = Poses()
    tilted = np.eye(4)
    tilted[:3, :3] = [[1, 0, 0], [0, 0.8, -0.6], [0, 0.6, 0.8]]
    poses.add("odom", "camera_optical_frame", ns(1.0), tilted)
    perception, remarks = sees(poses)
    for _ in range(2):
        answer = perception(message(frame_id), Parameters(min_score=0.0, **settings))
    np.testing.assert_allclose(answer.instances.rotation[2], vertical, atol=1e-6)
    assert remarks == [f"clouds of {frame_id!r}: {words}"]


def test_presets_of_tables_find_it_themselves(sees):
    perception, remarks = sees(up="plane")
    perception(message("camera_optical_frame"), Parameters())
    assert "largest plane" in remarks[0]


def test_a_moving_camera_keeps_ids_by_its_pose(sees):
    poses = Poses()
    perception, _ = sees(poses, up="plane")
    settings = Parameters(min_score=0.0, fixed_frame="odom")
    ids = []
    for second in range(3):
        camera = pose(0.2 * second, 15 * second)
        poses.add("odom", "camera", ns(second), camera)
        msg = message("camera", (SCENE.xyz - camera[:3, 3]) @ camera[:3, :3])
        msg.header.stamp.sec = second
        ids.append(set(perception(msg, settings).tracks.ids.tolist()))
    assert len(ids[0]) > 1
    assert len(ids[0] & ids[2]) >= len(ids[0]) / 2  # this model's balls lie elsewhere in each frame


def test_no_pose_is_one_clear_line(sees):
    perception, _ = sees()
    with pytest.raises(CloudError, match="no transform to fixed_frame 'odom'"):
        perception(message("camera"), Parameters(fixed_frame="odom", pose_timeout=0.0))


def test_another_frame_is_another_place(sees):
    perception, _ = sees()
    settings = Parameters(min_score=0.0)
    first, second, again = (perception(message(frame), settings).tracks.ids for frame in ("a", "b", "b"))
    assert not set(first.tolist()) & set(second.tolist())
    assert second.tolist() == again.tolist()


def test_who_invents_frames_fills_neither_log_nor_memory(sees):
    """Two lines for each frame, which rule is up and how its clouds are unlike; then no more."""
    perception, said = sees()
    for number in range(MOST_SAID + 5):
        perception(message(f"{'x' * 100_000}{number}", SCENE.xyz * 20), Parameters())
        perception(message(f"{number}", SCENE.xyz * 20), Parameters())
    assert MOST_SAID <= len(said) <= 2 * MOST_SAID
    assert len(perception.remarks) == MOST_SAID
    assert max(map(len, [*said, *perception.remarks])) < 1000


@pytest.mark.parametrize(
    ("shape", "turns", "expected"), [((40, 50), 0, 1), ((1, 2000), 0, 2), ((40, 50), 3, 3)]
)
def test_what_one_camera_sees_is_seen_once(sees, monkeypatch, shape, turns, expected):
    perception, _ = sees()
    config = perception.segmenter.config
    inference = dataclasses.replace(config.inference, turns=2)
    perception.segmenter.model.config = dataclasses.replace(config, inference=inference)
    seen = note_looks(monkeypatch)
    xyz = np.random.default_rng(0).random((2000, 3), np.float32)
    msg = write_points(header(1), cloud_points(Cloud(xyz, None, None, shape)))
    assert (msg.height, msg.width) == shape
    perception(msg, Parameters(turns=turns))
    assert seen == [expected]
