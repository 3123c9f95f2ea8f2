# SPDX-License-Identifier: Apache-2.0
"""The Segmenter on simulated and real frames and on bad input."""

import copy
import dataclasses
import time
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sphmask_core import Segmenter
from sphmask_core.clouds.cloud import read_cloud
from sphmask_core.config import ConfigError
from sphmask_core.method.model import SphericalMask
from sphmask_core.runtime.cancellation import Cancellation, CancelledError, TooLateError
from sphmask_core.runtime.timing import Timer
from sphmask_core.simulation.scenes import simulate_cloud
from test.helpers.threads import threads_of


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter.load("tabletop", device="cpu")


@pytest.fixture(params=["simulated", "real"])
def cloud(request):
    if request.param == "simulated":
        return simulate_cloud(3)
    return read_cloud(request.getfixturevalue("mosd") / "learn4.pcd")


def assert_consistent(instances, num_points):
    assert instances.masks.shape == (len(instances), num_points) and instances.labels.shape == (num_points,)
    assert (np.diff(instances.scores) <= 0).all() and (
        (instances.scores >= 0) & (instances.scores <= 1)
    ).all()
    assert np.array_equal(instances.labels > 0, instances.masks.any(0))
    assert instances.centers.shape == (len(instances), 3) and instances.boxes.shape == (len(instances), 6)
    assert len(instances.class_names) == len(instances.class_ids) == len(instances.rays) == len(instances)


@pytest.mark.usefixtures("threads")
def test_a_frame(segmenter, cloud):
    instances = segmenter(cloud.xyz, cloud.rgb)
    assert_consistent(instances, len(cloud.xyz))
    assert len(instances) >= 1
    assert not instances.labels[np.isnan(cloud.xyz).any(1)].any()
    best = cloud.xyz[instances.masks[0]]
    np.testing.assert_allclose(instances.boxes[0], [*best.min(0), *best.max(0)])
    assert (instances.centers[0] > best.min(0) - 0.1).all() and (
        instances.centers[0] < best.max(0) + 0.1
    ).all()


def test_same_result_twice_and_with_any_number_of_threads(segmenter, cloud):
    results = []
    for count in (1, 1, 2):
        with threads_of(count):
            results.append(segmenter(cloud.xyz, cloud.rgb))
    for again in results[1:]:
        np.testing.assert_array_equal(again.labels, results[0].labels)
        np.testing.assert_allclose(again.scores, results[0].scores, rtol=1e-5)
    np.testing.assert_array_equal(results[1].scores, results[0].scores)


def test_a_cloud_without_colors_is_gray(segmenter):
    """As if every point had the mean color; not as if it had its own."""
    cloud = simulate_cloud(3)
    plain = segmenter(cloud.xyz)
    gray, colored = segmenter(cloud.xyz, np.full(cloud.xyz.shape, 0.5)), segmenter(cloud.xyz, cloud.rgb)
    assert_consistent(plain, len(cloud.xyz))
    assert len(plain) > 1
    np.testing.assert_array_equal(plain.labels, gray.labels)
    np.testing.assert_allclose(plain.scores, gray.scores, rtol=1e-4)
    assert not np.array_equal(plain.scores, colored.scores)


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


@pytest.mark.parametrize("up", ["z", "gravity", "plane"])
def test_the_vertical_may_be_an_array(segmenter, up):
    model = SphericalMask(replace(segmenter.config, up=up))
    model.load_state_dict(segmenter.model.state_dict())
    turned = Segmenter(model)
    cloud = simulate_cloud(3, 96, 64)
    given, same = (
        turned(cloud.xyz, cloud.rgb, vertical=vertical) for vertical in (-np.eye(3)[1], (0, -1, 0))
    )
    np.testing.assert_array_equal(given.rotation, same.rotation)
    np.testing.assert_array_equal(given.labels, same.labels)


def test_repeats_hidden_under_better_instances_are_dropped(segmenter, cloud):
    instances = segmenter(cloud.xyz, cloud.rgb)
    shown = np.bincount(instances.labels, minlength=len(instances) + 1)[1:]
    assert len(instances) and (shown >= 0.5 * instances.masks.sum(1)).all()


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


STAGES = ("input", "frame", "voxels", "superpoints", "merge", "backbone", "seeds", "queries", "nms")


@pytest.mark.parametrize("last", STAGES)
def test_can_be_called_off_in_every_stage(segmenter, last):
    """Nothing is begun after the stage in which it is called off; the blocks of a large cloud are stages."""
    cancellation, begun = Cancellation(), []

    class Watching(Timer):
        def start(self, stage):
            begun.append(stage)
            super().start(stage)
            if stage == last:
                cancellation.cancel()

    blocks = dataclasses.replace(segmenter.config.inference, block_voxels=5000)
    model = copy.copy(segmenter.model)
    model.config = dataclasses.replace(segmenter.config, inference=blocks)
    cloud = simulate_cloud(3, 320, 240)
    with pytest.raises(CancelledError):
        Segmenter(model)(cloud.xyz, cloud.rgb, timer=Watching(segmenter.device), cancellation=cancellation)
    assert begun.index(last) == len(begun) - 1


@pytest.mark.parametrize(
    ("stage", "kernel"), [("voxels", "number_keys"), ("superpoints", "superpoints"), ("backbone", "unet")]
)
def test_kernels_are_called_off_before_they_end(segmenter, stage, kernel):
    cancellation = Cancellation()

    class Watching(Timer):
        def start(self, begun):
            super().start(begun)
            if begun == stage:
                cancellation.cancel()

    cloud = simulate_cloud(3, 160, 120)
    with pytest.raises(CancelledError, match=f"{kernel}: called off"):
        segmenter(cloud.xyz, timer=Watching(segmenter.device), cancellation=cancellation)
    assert len(segmenter(cloud.xyz).labels)


def test_what_is_too_late_is_not_begun(segmenter):
    cloud = simulate_cloud(3, 160, 120)
    with pytest.raises(TooLateError):
        segmenter(cloud.xyz, cancellation=Cancellation(time.monotonic() - 1e-3))
    assert len(segmenter(cloud.xyz, cancellation=Cancellation(time.monotonic() + 1e3)).labels)


def test_kernels_end_when_the_time_is_over(segmenter):
    """The limit passes once superpoints have begun; their kernel is then the first to look."""
    cloud, begun = simulate_cloud(3, 160, 120), []
    before = time.monotonic()
    segmenter(cloud.xyz)
    took = time.monotonic() - before  # superpoints begin well before this has passed again
    cancellation = Cancellation(time.monotonic() + 2 + 5 * took)

    class Watching(Timer):
        def start(self, stage):
            super().start(stage)
            begun.append(stage)
            while stage == "superpoints" and time.monotonic() < cancellation.limit + 0.1:
                time.sleep(0.01)

    with pytest.raises(TooLateError) as raised:
        segmenter(cloud.xyz, timer=Watching(segmenter.device), cancellation=cancellation)
    assert begun[-1] == "superpoints"
    assert "superpoints: called off" in str(raised.value.__context__)
    assert not cancellation.cancelled


def test_factors_of_classes_lower_scores_and_change_nothing_else(segmenter):
    cloud = simulate_cloud(3)
    plain = segmenter(cloud.xyz, cloud.rgb)
    inference = replace(segmenter.config.inference, class_factors=(0.75,))
    model = SphericalMask(replace(segmenter.config, inference=inference))
    model.load_state_dict(segmenter.model.state_dict())
    lower = Segmenter(model)(cloud.xyz, cloud.rgb, min_score=0.75 * segmenter.min_score)
    np.testing.assert_array_equal(lower.labels, plain.labels)
    np.testing.assert_allclose(lower.scores, 0.75 * plain.scores, rtol=1e-6)


def test_factors_are_as_many_as_classes(segmenter):
    inference = replace(segmenter.config.inference, class_factors=(0.75, 1.0))
    with pytest.raises(ConfigError, match="has 2 numbers for 1 instance classes"):
        replace(segmenter.config, inference=inference)
