# SPDX-License-Identifier: Apache-2.0
"""The node over real DDS: it runs in a process of its own, the test is the sensor and the subscriber."""

import struct
import time

import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
import rclpy
from sensor_msgs.msg import PointCloud2, PointField
from sphmask_ros.msg import Instance
from visualization_msgs.msg import Marker

from sphmask_core.clouds.cloud import CloudError, read_cloud
from sphmask_core.commands import cli
from sphmask_core.messages.instances import read_instances, read_tracks
from sphmask_core.messages.pointcloud2 import cloud_points, read_cloud_message, read_labels
from sphmask_ros.conversions import write_points
from sphmask_ros.player import Player
from sphmask_ros.segment_node import LOG_PERIOD
from test.helpers.ros import SCENE, TIMEOUT, ask_patiently, header, scene_message, wait_until_answerable

XYZ = [PointField(name=name, offset=4 * i, datatype=7, count=1) for i, name in enumerate("xyz")]
INTEGERS = [PointField(name=name, offset=4 * i, datatype=5, count=1) for i, name in enumerate("xyz")]


def test_answers_a_cloud_under_its_header(player):
    answer = player.ask(scene_message(7), TIMEOUT)
    assert answer.points.header == answer.instances.header == header(7)
    assert {marker.header.frame_id for marker in answer.markers.markers} == {"tilted_camera"}
    assert {marker.header.stamp.sec for marker in answer.markers.markers} == {7}
    cloud = read_cloud_message(answer.points)
    assert cloud.shape == SCENE.shape
    np.testing.assert_array_equal(cloud.xyz, SCENE.xyz)


def test_outputs_agree_with_each_other(player):
    answer = player.ask(scene_message(), TIMEOUT)
    instances = read_instances(answer.instances, read_labels(answer.points))
    assert len(instances) > 1
    assert (np.diff(instances.scores) <= 0).all()
    shown = {marker.id for marker in answer.markers.markers if marker.action == Marker.ADD}
    assert shown == set(read_tracks(answer.instances).ids.tolist())
    first = instances.masks.argmax(0) + 1
    np.testing.assert_array_equal(instances.labels, np.where(instances.masks.any(0), first, 0))
    for mask, box, center, rays in zip(
        instances.masks, instances.boxes, instances.centers, instances.rays, strict=True
    ):
        np.testing.assert_allclose([SCENE.xyz[mask].min(0), SCENE.xyz[mask].max(0)], box.reshape(2, 3))
        np.testing.assert_allclose(rays, 0.4 * 0.0075 * 50, rtol=1e-5)
        assert np.linalg.norm(center - SCENE.xyz[mask].mean(0)) < 0.3


def test_detections_have_the_ids_of_the_instances(player):
    vision_msgs = pytest.importorskip("vision_msgs.msg", reason="needs vision_msgs, which is not on PyPI")
    heard = []
    subscription = player.create_subscription(
        vision_msgs.Detection3DArray, "segment/detections", heard.append, 1
    )
    limit = time.monotonic() + TIMEOUT
    while not any(msg.header == header(8) for msg in heard):
        assert time.monotonic() < limit
        answer = player.ask(scene_message(8), TIMEOUT)
        rclpy.spin_once(player, timeout_sec=0.5)
    player.destroy_subscription(subscription)
    ids = [str(number) for number in read_tracks(answer.instances).ids]
    assert [detection.id for detection in heard[-1].detections] == ids != []


BAD = {
    "no points": (PointCloud2(), "no field x, y, z"),
    "no positions": (PointCloud2(height=1, width=2, point_step=4, data=bytes(8)), "no field x, y, z"),
    "no point": (PointCloud2(height=1, width=0, fields=XYZ, point_step=12), "none of its 0 points"),
    "integers": (PointCloud2(height=1, width=1, fields=INTEGERS, point_step=12, data=bytes(12)), "int32"),
    "short": (
        PointCloud2(height=2, width=2, fields=XYZ, point_step=12, row_step=24, data=bytes(47)),
        "47 bytes",
    ),
    "rows overlap": (
        PointCloud2(height=2, width=2, fields=XYZ, point_step=12, row_step=12, data=bytes(48)),
        "row_step",
    ),
    "field outside": (PointCloud2(height=1, width=1, fields=XYZ, point_step=8, data=bytes(8)), "point_step"),
    "all NaN": (
        PointCloud2(height=1, width=2, fields=XYZ, point_step=12, data=struct.pack("<6f", *[np.nan] * 6)),
        "finite",
    ),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_clouds_get_an_empty_answer(player, node, name):
    cloud, text = BAD[name]
    with pytest.raises(CloudError, match=text):
        read_cloud_message(cloud)
    cloud.header = header(3)
    player.ask(scene_message(), TIMEOUT)
    answer = player.ask(cloud, TIMEOUT)
    assert answer.points.header == answer.instances.header == header(3)
    assert answer.points.width * answer.points.height == 0
    assert len(answer.instances.instances) == 0
    assert answer.markers.markers
    assert {marker.action for marker in answer.markers.markers} == {Marker.DELETE}
    assert node.running()


def test_bad_clouds_make_few_lines_of_log(player, node):
    words = "no field x, y, z"
    before, begun = node.text().count(words), time.monotonic()
    for _ in range(20):
        player.ask(PointCloud2(header=header(1)), TIMEOUT)
    node.wait_for_log(words)
    said = node.text().count(words) - before
    assert said <= 1 + (time.monotonic() - begun) / LOG_PERIOD


@pytest.mark.parametrize("points", [[0.1, 0.2, 0.9], [0.0, 0.0, 0.0, 3e38, 3e38, 3e38]])
def test_odd_clouds_are_answered(player, points):
    msg = PointCloud2(header=header(2), height=1, width=len(points) // 3, fields=XYZ, point_step=12)
    msg.data = struct.pack(f"<{len(points)}f", *points)
    answer = player.ask(msg, TIMEOUT)
    assert answer.instances.header == header(2)
    assert len(answer.instances.instances) == 0


def test_padded_big_endian_rows_read_as_the_same_scene(player):
    height, width = SCENE.shape
    rows = np.zeros((height, width * 12 + 40), np.uint8)
    rows[:, : width * 12] = SCENE.xyz.astype(">f4").reshape(height, -1).view(np.uint8)
    msg = PointCloud2(height=height, width=width, fields=XYZ, point_step=12, row_step=rows.shape[1])
    msg.is_bigendian, msg.data, msg.header = True, rows.tobytes(), header(5)
    plain = write_points(header(5), cloud_points(SCENE)[list("xyz")])
    _, *answers = [player.ask(cloud, TIMEOUT) for cloud in (plain, msg, plain)]
    assert answers[0].instances == answers[1].instances
    assert len(answers[0].instances.instances) > 0


def test_a_burst_is_answered_by_its_newest_frame(player):
    heard = []
    subscription = player.create_subscription(PointCloud2, "segment/labelled_points", heard.append, 20)
    wait_until_answerable(player, "segment")
    for cloud in [scene_message(second) for second in range(100, 120)]:
        player.publish(cloud)
    limit = time.monotonic() + TIMEOUT
    while 119 not in (stamps := [msg.header.stamp.sec for msg in heard]):
        assert time.monotonic() < limit, stamps
        rclpy.spin_once(player, timeout_sec=0.1)
    player.destroy_subscription(subscription)
    assert len(stamps) < 20
    assert stamps == sorted(stamps)


@pytest.mark.parametrize(
    ("parameters", "text"),
    [({"model": "no-such-model"}, "no-such-model: no such weights"), ({"min_score": 2.5}, "min_score")],
)
def test_says_in_one_line_why_it_cannot_start(start_node, parameters, text):
    node = start_node(**parameters)
    assert node.process.wait(TIMEOUT) == 2
    (line,) = node.text().strip().splitlines()
    assert text in line


@pytest.fixture(scope="module")
def real_player(ros, start_node):
    """The other side of a node with the shipped weights."""
    node = start_node("/real", model="tabletop", min_score=-1.0)
    player = Player(namespace="real")
    player.wait_until_heard(TIMEOUT, node.running)
    yield player
    player.destroy_node()


def test_real_frames_are_labeled_as_the_command_line_does(real_player, mosd, tmp_path):
    """Two scenes by turns: ids come back with their scene, and point for point the labels are the same."""
    ids = {}
    for second, name in enumerate(["learn4", "learn9", "learn4", "learn9"], 1):
        cloud = read_cloud(mosd / f"{name}.pcd")
        answer = ask_patiently(real_player, write_points(header(second), cloud_points(cloud)))
        assert (answer.points.height, answer.points.width) == cloud.shape == (480, 640)
        instances, tracks = (
            read_instances(answer.instances, read_labels(answer.points)),
            read_tracks(answer.instances),
        )
        # A cloud of 5 MB may be answered and its answer lost; the node then sees it a second time.
        assert set(tracks.states.tolist()) <= (
            {Instance.NEW, Instance.KEPT} if name not in ids else {Instance.FOUND_AGAIN, Instance.KEPT}
        )
        assert ids.setdefault(name, tracks.ids.tolist()) == tracks.ids.tolist()
        assert len(set().union(*ids.values())) == sum(map(len, ids.values()))
        if second <= 2:
            assert cli.main(["segment", str(mosd / f"{name}.pcd"), "-o", str(tmp_path)]) == 0
            written = np.load(tmp_path / f"{name}.npz")
            for array in ("labels", "masks", "scores", "class_ids", "boxes"):
                np.testing.assert_array_equal(getattr(instances, array), written[array], err_msg=array)
