# SPDX-License-Identifier: Apache-2.0
"""Which points of a cloud are looked at: by the definition, point by point, and what the model answers."""

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sphmask_core import Segmenter
from sphmask_core.clouds.region import Region, thin
from sphmask_core.simulation.scenes import simulate_cloud
from test.helpers.balls import balls

LENGTHS = st.floats(0, 20)
SIDES = st.lists(st.floats(-10, 10, width=32), min_size=6, max_size=6)
POINTS = st.lists(
    st.tuples(*[st.floats(-12, 12, width=32) | st.sampled_from([math.nan, math.inf, 3e38])] * 3), max_size=30
)


def box_of(sides):
    """Six numbers as a box, None where a side has no length."""
    low, high = np.minimum(sides[:3], sides[3:]), np.maximum(sides[:3], sides[3:])
    return (*low.tolist(), *high.tolist()) if (low < high).all() else None


def is_inside(point, place, region):
    """By the words of the parameters."""
    if not all(map(math.isfinite, point)):
        return False
    distance = math.sqrt(sum(float(side) ** 2 for side in point))
    boxed = [
        box and all(box[i] <= place[i] <= box[3 + i] for i in range(3))
        for box in (region.crop_box, region.ego_box)
    ]
    far = region.max_range and distance > region.max_range
    return distance >= region.min_range and not far and boxed[0] is not False and not boxed[1]


@settings(max_examples=300, deadline=None)
@given(POINTS, LENGTHS, LENGTHS, SIDES, SIDES, st.sampled_from([None, "moved"]))
def test_is_what_its_words_say(points, least, span, crop, ego, pose):
    region = Region(round(least, 2), round(least, 2) + span + 0.1, box_of(crop), box_of(ego))
    xyz = np.array(points, np.float64).reshape(-1, 3)
    shift = np.array([1.0, -2.0, 0.5]) if pose else np.zeros(3)
    matrix = None if pose is None else np.block([[np.eye(3), shift[:, None]], [np.zeros(3), 1]])
    kept = region.inside(xyz, matrix)
    for point, inside in zip(xyz, kept, strict=True):
        distance = np.linalg.norm(point)
        if min(abs(distance - region.min_range), abs(distance - region.max_range)) > 1e-6:
            assert inside == is_inside(point, point + shift, region)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"min_range": -1.0}, "min_range must be at least 0 m"),
        ({"max_range": math.nan}, "max_range must be at least 0 m"),
        ({"voxel_filter": math.inf}, "voxel_filter must be at least 0 m"),
        ({"min_range": 2.0, "max_range": 2.0}, "max_range 2.0 must be more than min_range 2.0"),
        ({"crop_box": (0.0, 0.0, 0.0, 1.0, 1.0)}, "crop_box must be six numbers"),
        ({"ego_box": (0.0, 0.0, math.nan, 1.0, 1.0, 1.0)}, "ego_box must be six numbers"),
        ({"ego_box": (0.0, 0.0, 1.0, 1.0, 1.0, 1.0)}, "ego_box: its first three numbers must be less"),
    ],
)
def test_what_is_no_region_is_one_clear_line(values, words):
    with pytest.raises(ValueError, match=words) as caught:
        Region(**values)
    assert "\n" not in str(caught.value)


@settings(max_examples=100, deadline=None)
@given(
    POINTS.map(lambda points: [point for point in points if max(map(abs, point)) < 1e9]), st.floats(0.05, 5)
)
def test_thinning_keeps_one_mean_a_voxel(points, edge):
    xyz = np.array(points, np.float32).reshape(-1, 3)
    rgb = np.arange(3 * len(xyz), dtype=np.uint8).reshape(-1, 3)
    few = thin(xyz, rgb, edge)
    finite = np.isfinite(xyz).all(1)
    np.testing.assert_array_equal(few.rows, np.flatnonzero(finite))
    cells = np.floor(xyz[finite].astype(np.float64) / edge)
    assert len(few.xyz) == len(np.unique(cells, axis=0))
    for voxel in range(len(few.xyz)):
        members = few.rows[few.voxels == voxel]
        np.testing.assert_allclose(few.xyz[voxel], xyz[members].mean(0), rtol=1e-4, atol=1e-4)
        np.testing.assert_allclose(few.rgb[voxel], rgb[members].mean(0), atol=0.51)
        assert len(np.unique(np.floor(xyz[members].astype(np.float64) / edge), axis=0)) == 1


def test_a_cloud_too_large_for_its_voxels_is_one_clear_line():
    with pytest.raises(ValueError, match=r"voxels of voxel_filter 0\.001 m long: crop it first"):
        thin(np.array([[0, 0, 0], [5000, 0, 0]], np.float32), None, 0.001)


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter(balls())


@pytest.fixture(scope="module")
def cloud():
    return simulate_cloud(1, 160, 120)


def test_points_outside_are_as_if_they_were_not_there(segmenter, cloud):
    distances = np.linalg.norm(cloud.xyz, axis=1)
    region = Region(max_range=float(np.nanmedian(distances)))
    instances = segmenter(cloud.xyz, cloud.rgb, region=region, min_score=0.0)
    without = np.where((distances <= region.max_range)[:, None], cloud.xyz, np.nan).astype(np.float32)
    expected = segmenter(without, cloud.rgb, min_score=0.0)
    assert len(instances) == len(expected) > 0
    np.testing.assert_array_equal(instances.labels, expected.labels)
    assert (instances.labels[~(distances <= region.max_range)] == 0).all()
    assert len(segmenter(cloud.xyz, cloud.rgb, min_score=0.0)) > 0


def test_a_region_without_points_has_no_instances(segmenter, cloud):
    for region in (Region(min_range=100.0), Region(min_range=100.0, voxel_filter=0.01)):
        instances = segmenter(cloud.xyz, cloud.rgb, region=region)
        assert len(instances) == 0 and instances.labels.tolist() == [0] * len(cloud.xyz)


def test_a_voxel_filter_still_answers_every_point(segmenter, cloud):
    """All points of a voxel have its answer, and boxes are of all points."""
    edge = 0.02
    instances = segmenter(cloud.xyz, cloud.rgb, region=Region(voxel_filter=edge), min_score=0.0)
    few = thin(cloud.xyz, cloud.rgb, edge)
    assert len(few.xyz) < 0.5 * np.isfinite(cloud.xyz[:, 0]).sum()
    expected = segmenter(few.xyz, few.rgb, min_score=0.0)
    assert len(instances) == len(expected) > 0
    np.testing.assert_array_equal(instances.labels[few.rows], expected.labels[few.voxels])
    assert (instances.labels[np.isnan(cloud.xyz[:, 0])] == 0).all()
    for mask, box, own, size in zip(
        instances.masks, instances.boxes, expected.masks, instances.sizes, strict=True
    ):
        np.testing.assert_array_equal(mask[few.rows], own[few.voxels])
        np.testing.assert_allclose(box, [*cloud.xyz[mask].min(0), *cloud.xyz[mask].max(0)])
        assert size == mask.sum()


def test_boxes_may_be_in_another_frame(segmenter, cloud):
    """The same box by the frame of a robot that the sensor is turned and moved on."""
    pose = np.eye(4)
    pose[:3] = [[0, 0, 1, 2], [-1, 0, 0, 0.5], [0, -1, 0, 1]]
    low, high = np.nanpercentile(cloud.xyz, [20, 80], axis=0)
    corners = np.stack([low, high]) @ pose[:3, :3].T + pose[:3, 3]
    own = Region(crop_box=(*low, *high))
    moved = Region(crop_box=(*corners.min(0), *corners.max(0)))
    np.testing.assert_array_equal(own.inside(cloud.xyz), moved.inside(cloud.xyz, pose))
    assert 0 < own.inside(cloud.xyz).sum() < len(cloud.xyz)


def test_scores_of_classes(segmenter, cloud):
    (name,) = segmenter.config.found_classes
    every = segmenter(cloud.xyz, cloud.rgb, min_score=0.0)
    half = float(np.median(every.scores))
    instances = segmenter(cloud.xyz, cloud.rgb, min_score=1.0, class_scores={name: half})
    assert 0 < len(instances) <= (every.scores >= half).sum()
    assert (instances.scores >= half).all()
    assert len(segmenter(cloud.xyz, cloud.rgb, min_score=0.0, class_scores={name: 1.0})) == 0
    with pytest.raises(ValueError, match=f"finds no class 'cra'; it finds {name}"):
        segmenter(cloud.xyz, cloud.rgb, class_scores={"cra": 0.5})
