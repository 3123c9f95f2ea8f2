# SPDX-License-Identifier: Apache-2.0
import numpy as np
import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
from std_msgs.msg import Header
from visualization_msgs.msg import Marker

from sphmask_core import Instances
from sphmask_core.messages.instances import read_instances
from sphmask_core.spherical import polygon
from sphmask_ros.conversions import InstanceMarkers, instance_array

RAYS = (4, 6)
HEADER = Header(frame_id="camera")


def instances(count, points=50):
    """Instances with random members, in a frame that is turned."""
    rng = np.random.default_rng(count)
    rotation, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    rotation[0] *= np.linalg.det(rotation)
    segments = rng.integers(0, 10, points)  # 9: of no instance
    masks = (rng.random((count, 10)) < 0.4) & (np.arange(10) < 9)
    dense = masks[:, segments]
    scores = np.sort(rng.random(count).astype(np.float32))[::-1]
    return Instances(
        segment_masks=masks,
        segments=segments,
        labels=(np.vstack([dense, np.ones(points, bool)]).argmax(0) + 1) % (count + 1),
        scores=scores,
        class_ids=rng.integers(0, 3, count).astype(np.int32),
        class_names=tuple(f"class {i}" for i in range(count)),
        centers=rng.normal(size=(count, 3)).astype(np.float32),
        rays=rng.random((count, RAYS[0] * RAYS[1])).astype(np.float32),
        boxes=np.sort(rng.normal(size=(count, 2, 3)).astype(np.float32), axis=1).reshape(count, 6),
        rotation=rotation.astype(np.float32),
        timings={},
    )


def keys(array, action):
    return {(marker.ns, marker.id) for marker in array.markers if marker.action == action}


def test_instances_keep_their_marker_and_stale_ones_are_deleted():
    markers = InstanceMarkers(RAYS)
    first, second, third = (markers.update(HEADER, instances(count)) for count in (3, 1, 0))
    assert keys(first, Marker.ADD) == {(ns, i) for ns in ("label", "box", "polygon") for i in (1, 2, 3)}
    assert keys(first, Marker.DELETE) == set()
    assert keys(second, Marker.ADD) == {(ns, 1) for ns in ("label", "box", "polygon")}
    assert keys(second, Marker.DELETE) == {(ns, i) for ns in ("label", "box", "polygon") for i in (2, 3)}
    assert keys(third, Marker.ADD) == set()
    assert keys(third, Marker.DELETE) == {(ns, 1) for ns in ("label", "box", "polygon")}


def test_markers_show_name_box_and_polygon_under_the_clouds_header():
    found = instances(2)
    made = InstanceMarkers(RAYS).update(HEADER, found).markers
    label, box, shape = (marker for marker in made if marker.id == 2)
    assert label.text == f"class 1 2: {found.scores[1]:.2f}"
    corners = np.array([(p.x, p.y, p.z) for p in box.points])
    assert len(corners) == 24  # 12 edges
    np.testing.assert_array_equal([corners.min(0), corners.max(0)], found.boxes[1].reshape(2, 3))
    assert sorted(np.count_nonzero(corners[0::2] != corners[1::2], axis=1)) == [1] * 12
    vertices, faces = polygon(found.centers[1], found.rays[1], RAYS, found.rotation)
    np.testing.assert_allclose([(p.x, p.y, p.z) for p in shape.points], vertices[faces].reshape(-1, 3))
    for marker in made:
        assert marker.header == HEADER
        assert (marker.lifetime.sec, marker.lifetime.nanosec) == (0, 0)
        assert marker.color.a > 0
        assert marker.pose.orientation.w == 1.0


@pytest.mark.parametrize("count", [0, 1, 5])
def test_instances_come_back_from_their_message(count):
    found = instances(count)
    msg = instance_array(HEADER, found, RAYS)
    assert [instance.id for instance in msg.instances] == list(range(1, count + 1))
    assert [instance.point_count for instance in msg.instances] == found.sizes.tolist()
    back = read_instances(msg, found.labels)
    for name in ("masks", "labels", "scores", "class_ids", "centers", "rays", "boxes"):
        np.testing.assert_array_equal(getattr(back, name), getattr(found, name), err_msg=name)
    np.testing.assert_allclose(back.rotation, found.rotation, atol=1e-6)
    assert back.class_names == found.class_names
