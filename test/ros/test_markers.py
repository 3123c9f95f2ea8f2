# SPDX-License-Identifier: Apache-2.0
import dataclasses

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from sphmask_core.messages.instances import read_instances, read_tracks
from sphmask_core.method.spherical import polygon
from sphmask_core.placement import place
from sphmask_core.tracking import Tracks
from sphmask_ros.conversions import InstanceMarkers, instance_array

RAYS = (4, 6)
HEADER = Header(frame_id="camera")


def keys(array, action):
    return {(marker.ns, marker.id) for marker in array.markers if marker.action == action}


def tracks(*ids, lost=()):
    states = np.arange(len(ids), dtype=np.uint8) % 3
    rng = np.random.default_rng(len(ids))
    return Tracks(
        ids=np.array(ids, np.uint32),
        states=states,
        lost=np.array(lost, np.uint32),
        velocities=rng.normal(size=(len(ids), 3)).astype(np.float32),
        ages=rng.random(len(ids), np.float32),
        unseen=rng.random(len(ids), np.float32),
        remembered=np.array(lost, np.uint32),
        remembered_unseen=rng.random(len(lost), np.float32),
    )


def placed(instances):
    """Where the instances are, of points that nobody knows else."""
    return place(
        np.random.default_rng(1).normal(size=(len(instances.labels), 3)).astype(np.float32), instances
    )


def numbers(message, axes="xyz"):
    return np.array([getattr(message, axis) for axis in axes])


def test_objects_keep_their_marker_and_stale_ones_are_deleted(make_instances):
    markers = InstanceMarkers()
    first, second, third = (
        markers.update(HEADER, instances, tracks(*ids), placed(instances), RAYS)
        for ids, instances in [(ids, make_instances(len(ids))) for ids in [(1, 2, 9), (9,), ()]]
    )
    assert keys(first, Marker.ADD) == {(ns, i) for ns in ("label", "box", "polygon") for i in (1, 2, 9)}
    assert keys(first, Marker.DELETE) == set()
    assert keys(second, Marker.ADD) == {(ns, 9) for ns in ("label", "box", "polygon")}
    assert keys(second, Marker.DELETE) == {(ns, i) for ns in ("label", "box", "polygon") for i in (1, 2)}
    assert keys(third, Marker.ADD) == set()
    assert keys(third, Marker.DELETE) == {(ns, 9) for ns in ("label", "box", "polygon")}
    before, after = (
        [m.color for m in made.markers if (m.ns, m.id) == ("box", 9)] for made in (first, second)
    )
    assert before == after


def test_markers_show_name_box_and_polygon_under_the_clouds_header(make_instances):
    instances = make_instances(2)
    made = InstanceMarkers().update(HEADER, instances, tracks(7, 3), placed(instances), RAYS).markers
    label, box, shape = (marker for marker in made if marker.id == 3)
    assert label.text == f"class 1 3: {instances.scores[1]:.2f}"
    corners = np.array([(p.x, p.y, p.z) for p in box.points])
    assert len(corners) == 24  # 12 edges
    where = placed(instances)
    local = (corners - where.centers[1]) @ where.rotations[1]
    np.testing.assert_allclose(np.abs(local), np.tile(where.sizes[1] / 2, (24, 1)), atol=1e-5)
    edges = np.abs(local[0::2] - local[1::2]) > 1e-4
    assert edges.sum(0).tolist() == [4, 4, 4] and edges.sum(1).tolist() == [1] * 12
    vertices, faces = polygon(instances.centers[1], instances.rays[1], RAYS, instances.rotation)
    np.testing.assert_allclose([(p.x, p.y, p.z) for p in shape.points], vertices[faces].reshape(-1, 3))
    for marker in made:
        assert marker.header == HEADER
        assert (marker.lifetime.sec, marker.lifetime.nanosec) == (0, 0)
        assert marker.color.a > 0
        assert marker.pose.orientation.w == 1.0


def test_names_stand_clear_of_their_objects(make_instances):
    """Text inside an object would be hidden by its points; `up` is the model's, in the clouds' frame."""
    instances = make_instances(3)
    where = placed(instances)
    made = InstanceMarkers().update(HEADER, instances, tracks(1, 2, 3), where, RAYS).markers
    up = instances.rotation[2]
    for number, (middle, size) in enumerate(zip(where.centers, where.sizes, strict=True), 1):
        (label,) = (marker for marker in made if (marker.ns, marker.id) == ("label", number))
        offset = numbers(label.pose.position) - middle
        np.testing.assert_allclose(offset, (size[2] / 2 + label.scale.z / 2) * up, atol=1e-5)
        assert 0 < label.scale.x < label.scale.z < 0.21


@pytest.mark.parametrize("ids", [(), (4,), (5, 1, 9, 2, 3)])
def test_instances_come_back_from_their_message(make_instances, ids):
    instances, followed = make_instances(len(ids)), tracks(*ids, lost=[6, 8])
    where = placed(instances)
    msg = instance_array(HEADER, instances, followed, where, RAYS)
    assert [instance.id for instance in msg.instances] == list(ids)
    assert [instance.point_count for instance in msg.instances] == instances.sizes.tolist()
    back = read_instances(msg, followed.of_points(instances.labels))
    for name in ("masks", "labels", "scores", "class_ids", "centers", "rays", "boxes"):
        np.testing.assert_array_equal(getattr(back, name), getattr(instances, name), err_msg=name)
    np.testing.assert_allclose(back.rotation, instances.rotation, atol=1e-6)
    assert back.class_names == instances.class_names
    for name in (field.name for field in dataclasses.fields(Tracks)):
        np.testing.assert_array_equal(getattr(read_tracks(msg), name), getattr(followed, name))
    for i, instance in enumerate(msg.instances):
        np.testing.assert_allclose(numbers(instance.box.position), where.centers[i], atol=1e-6)
        turned = Rotation.from_quat(numbers(instance.box.orientation, "xyzw")).as_matrix()
        np.testing.assert_allclose(turned, where.rotations[i], atol=1e-6)
        np.testing.assert_allclose(numbers(instance.size), where.sizes[i], atol=1e-6)
        assert instance.height == pytest.approx(where.heights[i])
        assert instance.support == (followed.ids[where.supports[i]] if where.supports[i] >= 0 else 0)


def test_detections_are_boxes_by_class_score_and_id(make_instances):
    pytest.importorskip("vision_msgs", reason="needs vision_msgs, which is not on PyPI")
    from sphmask_ros.conversions import detection_array

    instances = make_instances(2)
    where = placed(instances)
    first, second = detection_array(HEADER, instances, tracks(7, 3), where).detections
    assert (first.id, second.id) == ("7", "3")
    assert second.results[0].hypothesis.class_id == "class 1"
    assert second.results[0].hypothesis.score == pytest.approx(instances.scores[1])
    np.testing.assert_allclose(numbers(second.bbox.center.position), where.centers[1], atol=1e-6)
    turned = Rotation.from_quat(numbers(second.bbox.center.orientation, "xyzw")).as_matrix()
    np.testing.assert_allclose(turned, where.rotations[1], atol=1e-6)
    np.testing.assert_allclose(numbers(second.bbox.size), where.sizes[1], atol=1e-6)
