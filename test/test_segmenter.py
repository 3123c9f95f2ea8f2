# SPDX-License-Identifier: Apache-2.0
"""The Segmenter on real frames and on bad input."""

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sphmask_core import Segmenter
from sphmask_core.clouds.cloud import read_cloud


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter.load("tabletop", device="cpu")


def assert_consistent(found, num_points):
    assert found.masks.shape == (len(found), num_points) and found.labels.shape == (num_points,)
    assert (np.diff(found.scores) <= 0).all() and ((found.scores >= 0) & (found.scores <= 1)).all()
    assert np.array_equal(found.labels > 0, found.masks.any(0))
    assert found.centers.shape == (len(found), 3) and found.boxes.shape == (len(found), 6)
    assert len(found.class_names) == len(found.class_ids) == len(found.rays) == len(found)


@pytest.mark.parametrize("threads", [1, 2])
def test_real_frame(segmenter, mosd, threads):
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        cloud = read_cloud(mosd / "learn4.pcd")
        found = segmenter(cloud.xyz, cloud.rgb)
    finally:
        torch.set_num_threads(before)
    assert_consistent(found, len(cloud.xyz))
    assert len(found) >= 1
    assert not found.labels[np.isnan(cloud.xyz).any(1)].any()
    best = cloud.xyz[found.masks[0]]
    np.testing.assert_allclose(found.boxes[0], [*best.min(0), *best.max(0)])
    assert (found.centers[0] > best.min(0) - 0.1).all() and (found.centers[0] < best.max(0) + 0.1).all()


def test_same_result_twice_and_for_any_numbering_of_threads(segmenter, mosd):
    cloud = read_cloud(mosd / "learn9.pcd")
    first, second = (segmenter(cloud.xyz, cloud.rgb) for _ in range(2))
    assert np.array_equal(first.labels, second.labels)
    assert np.array_equal(first.scores, second.scores)


def test_a_cloud_without_colors_is_gray(segmenter, mosd):
    cloud = read_cloud(mosd / "learn4.pcd")
    assert_consistent(segmenter(cloud.xyz), len(cloud.xyz))


@settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    xyz=hnp.arrays(
        np.float32,
        st.tuples(st.integers(0, 60), st.just(3)),
        elements=st.one_of(st.floats(-2, 2, width=32), st.sampled_from([np.nan, np.inf, -np.inf])),
    )
)
def test_any_small_cloud_is_answered(segmenter, xyz):
    assert_consistent(segmenter(xyz), len(xyz))


def test_a_cloud_too_large_to_number_is_refused(segmenter):
    xyz = np.random.default_rng(0).uniform(-1e9, 1e9, (1000, 3)).astype(np.float32)
    with pytest.raises(ValueError, match="crop it first"):
        segmenter(xyz)


def test_repeats_hidden_under_better_instances_are_dropped(segmenter, mosd):
    cloud = read_cloud(mosd / "learn14.pcd")
    found = segmenter(cloud.xyz, cloud.rgb)
    shown = np.bincount(found.labels, minlength=len(found) + 1)[1:]
    assert len(found) and (shown >= 0.5 * found.masks.sum(1)).all()


@pytest.mark.parametrize(
    ("xyz", "rgb", "message"),
    [
        (np.zeros((4, 2)), None, "expected \\(N, 3\\)"),
        (np.zeros((4, 3)), np.zeros((3, 3)), "one color a point"),
    ],
)
def test_wrong_shapes_are_named(segmenter, xyz, rgb, message):
    with pytest.raises(ValueError, match=message):
        segmenter(xyz, rgb)


def test_device_that_is_not_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    with pytest.raises(ValueError, match="no CUDA device"):
        Segmenter.load("tabletop", device="cuda")
