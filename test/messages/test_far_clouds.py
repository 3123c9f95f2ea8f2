# SPDX-License-Identifier: Apache-2.0
"""Clouds of messages in UTM coordinates: what is found is what is found near the origin, moved."""

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="needs the extra `bags`")
from hypothesis import given, settings
from hypothesis import strategies as st

from sphmask_core import Segmenter
from sphmask_core.messages.definitions import Definitions
from sphmask_core.messages.detections import detection_array
from sphmask_core.messages.instances import instance_array, read_instances
from sphmask_core.messages.markers import InstanceMarkers
from sphmask_core.messages.pointcloud2 import labelled_points, read_cloud_message, read_labels, read_points
from sphmask_core.placement import place
from sphmask_core.tracking import Tracker
from test.helpers.balls import balls
from test.helpers.far import MILLIMETER, check_moved, far_scene, two_messages, vector

DEFINITIONS = Definitions()
MAKE = DEFINITIONS.make
HEADER = MAKE("std_msgs/Header", frame_id="map")


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter(balls())


def answers(segmenter, sent):
    """Labeled points, instances, markers and detections of a message that comes twice, the second time."""
    tracker = Tracker(segmenter.config.voxel_size)
    cloud = read_cloud_message(sent)
    instances = segmenter(cloud.xyz, cloud.rgb)
    for now in (0.0, 0.1):
        tracks = tracker.update(cloud.xyz, instances, now)
    assert (tracks.states == 1).all() and np.abs(tracks.velocities).max() < MILLIMETER
    placed, rays = place(cloud.xyz, instances), segmenter.config.model.rays
    return (
        labelled_points(MAKE, HEADER, cloud, instances, tracks),
        instance_array(MAKE, HEADER, instances, tracks, placed, rays),
        InstanceMarkers(MAKE).update(HEADER, instances, tracks, placed, rays),
        detection_array(MAKE, HEADER, instances, tracks, placed),
    )


@settings(max_examples=12, deadline=None)
@given(
    st.integers(2_000, 900_000),
    st.integers(2_000, 9_900_000),
    st.integers(-400, 8_000),
    st.booleans(),
    st.booleans(),
)
def test_answers_are_those_of_near_moved(segmenter, east, north, height, west, south):
    offset = np.array([-east if west else east, -north if south else north, height], np.float64)
    near, far = (answers(segmenter, sent) for sent in two_messages(MAKE, HEADER, offset))
    check_moved(near[1], far[1], offset)
    np.testing.assert_array_equal(read_labels(near[0]), read_labels(far[0]))
    for one, other in zip(near[2].markers, far[2].markers, strict=True):
        assert (one.ns, one.id) == (other.ns, other.id)
        places = [
            np.array([vector(point) for point in (*marker.points, marker.pose.position)])
            for marker in (one, other)
        ]
        moved = places[0] + offset
        if one.points:
            moved[-1] -= offset  # the pose of what has points is the origin
        np.testing.assert_allclose(places[1], moved, rtol=0, atol=MILLIMETER)
    for one, other in zip(near[3].detections, far[3].detections, strict=True):
        for pose, twin in (
            (one.bbox.center, other.bbox.center),
            (one.results[0].pose.pose, other.results[0].pose.pose),
        ):
            np.testing.assert_allclose(
                vector(twin.position), vector(pose.position) + offset, rtol=0, atol=MILLIMETER
            )


def test_positions_of_labelled_points_stay_float64(segmenter):
    _, sent = two_messages(MAKE, HEADER)
    points, instances, *_ = answers(segmenter, sent)
    fields = read_points(points, {*"xyz", "rgb", "label", "score", "class_id"})
    assert [fields.dtype[axis] for axis in "xyz"] == [np.float64] * 3
    np.testing.assert_array_equal(np.stack([fields[axis].ravel() for axis in "xyz"], 1), far_scene().xyz)
    back = read_cloud_message(points)
    np.testing.assert_array_equal(back.xyz, far_scene().xyz)
    assert back.xyz.dtype == np.float64
    plain = fields["label"].ravel() == 0
    np.testing.assert_array_equal(back.rgb[plain], far_scene().rgb[plain])
    numbers = [instance.id for instance in instances.instances]
    assert set(numbers) <= set(fields["label"].ravel().tolist()) and len(set(numbers)) > 3
    for instance in instances.instances:
        scores = fields["score"][fields["label"] == instance.id]
        np.testing.assert_array_equal(scores, np.float32(instance.score))
    read = read_instances(instances, read_labels(points))
    np.testing.assert_array_equal(read.centers, [vector(instance.center) for instance in instances.instances])
