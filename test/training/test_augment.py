# SPDX-License-Identifier: Apache-2.0
"""Augmentation changes what a scene looks like, never what its points are."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates
from scipy.spatial.distance import pdist

from sphmask_core.config import AugmentConfig, ModelConfig
from sphmask_core.method.voxels import segment_mean
from training.augment import affine, augment, crop, elastic, limit, smooth_noise
from training.scene import TrainingScene, collate, thin
from training.targets import build_targets

STILL = AugmentConfig(axis_jitter=0, flip="", turn=0, elastic=(), color_jitter=0, color_noise=0, color_drop=0)
VOXEL = 0.02


def scene(seed, n=200):
    """Random points whose superpoint is their own number."""
    rng = np.random.default_rng(seed)
    semantic = rng.integers(0, 2, n)
    return TrainingScene(
        xyz=rng.uniform(-1, 1, (n, 3)).astype(np.float32),
        rgb=rng.uniform(-1, 1, (n, 3)).astype(np.float32),
        superpoints=np.arange(n),
        semantic=semantic,
        instance=np.where(semantic == 1, rng.integers(0, 4, n), -100),
    )


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 10**6),
    n=st.integers(1, 200),
    config=st.builds(
        AugmentConfig,
        tilt=st.floats(0, 10),
        scale=st.floats(0, 0.5),
        z_shift=st.floats(0, 0.1),
        elastic_chance=st.floats(0, 1),
        color_noise=st.floats(0, 0.5),
        color_drop=st.floats(0, 1),
        point_drop=st.floats(0, 1),
        crop_chance=st.floats(0, 1),
        crop_margin=st.floats(0, 1),
    ),
)
def test_labels_stay_with_their_points(seed, n, config):
    before = scene(seed, n)
    after = augment(before, config, VOXEL, np.random.default_rng(seed))
    assert 0 < len(after) <= n
    assert (after.semantic == before.semantic[after.superpoints]).all()
    assert (after.instance == before.instance[after.superpoints]).all()
    assert after.xyz.dtype == after.rgb.dtype == np.float32
    assert np.isfinite(after.xyz).all() and np.isfinite(after.rgb).all()
    again = augment(before, config, VOXEL, np.random.default_rng(seed))
    assert (again.xyz == after.xyz).all() and (again.rgb == after.rgb).all()


def test_nothing_asked_for_changes_nothing():
    before = scene(0)
    after = augment(before, STILL, VOXEL, np.random.default_rng(0))
    assert np.allclose(after.xyz, before.xyz) and np.allclose(after.rgb, before.rgb)


@given(st.integers(0, 10**6))
@settings(max_examples=20, deadline=None)
def test_turns_and_flips_keep_distances_and_heights(seed):
    before = scene(seed, 30)
    turned = dataclasses.replace(STILL, turn=180, flip="xy")
    after = augment(before, turned, VOXEL, np.random.default_rng(seed))
    assert np.allclose(pdist(after.xyz), pdist(before.xyz), atol=1e-5)
    assert np.allclose(after.xyz[:, 2], before.xyz[:, 2], atol=1e-6)
    tilted = augment(before, dataclasses.replace(turned, tilt=5.0), VOXEL, np.random.default_rng(seed))
    assert np.allclose(pdist(tilted.xyz), pdist(before.xyz), atol=1e-5)


def test_colors_are_shifted_and_neither_scaled_nor_clipped():
    """As published: one shift of each channel for all points of a scene."""
    before = scene(2)
    config = dataclasses.replace(STILL, color_jitter=0.5)
    shifts = augment(before, config, VOXEL, np.random.default_rng(0)).rgb - before.rgb
    assert np.abs(shifts - shifts[0]).max() < 1e-6 and np.abs(shifts[0]).min() > 0.01
    scaled = augment(before, dataclasses.replace(STILL, color_gain=0.5), VOXEL, np.random.default_rng(0)).rgb
    factors = scaled / before.rgb
    assert np.abs(factors - factors[0]).max() < 1e-3 and np.abs(factors[0] - 1).max() > 0.01


def test_affine_is_a_product():
    rng = np.random.default_rng(0)
    rows, matrix, shift = rng.normal(size=(50, 3)), rng.normal(size=(3, 3)), rng.normal(size=3)
    assert np.allclose(affine(rows, matrix, shift), rows @ matrix.T + shift, atol=1e-5)


def test_crop_keeps_every_instance():
    before = scene(3)
    after = crop(before, 0.2, np.random.default_rng(0))
    assert set(before.superpoints[before.instance >= 0]) <= set(after.superpoints)
    nothing = dataclasses.replace(before, instance=np.full(len(before), -100))
    assert len(crop(nothing, 0.2, np.random.default_rng(0))) == len(before)


def test_elastic_distortion_is_smooth_and_grows_with_magnitude():
    xyz = np.random.default_rng(0).uniform(-1, 1, (3000, 3)).astype(np.float32)
    near = xyz + np.float32(1e-3)
    small, large = (elastic(xyz, 0.2, m, np.random.default_rng(1)) - xyz for m in (0.3, 0.6))
    assert np.allclose(2 * small, large, atol=1e-5)
    assert 0.01 < small.std() < 0.1
    moved = elastic(np.concatenate([xyz, near]), 0.2, 0.3, np.random.default_rng(1))
    change = moved[len(xyz) :] - moved[: len(xyz)] - (near - xyz)
    assert np.abs(change).max() < 5e-3


@pytest.mark.parametrize(("granularity", "points"), [(0.2, 3000), (7.0, 3000), (0.3, 1)])
def test_elastic_distortion_is_trilinear(granularity, points):
    """Equal to scipy's interpolation of the same noise, in units of the largest move to float precision."""
    xyz = np.random.default_rng(0).uniform(-1, 1, (points, 3)).astype(np.float32)
    moved = elastic(xyz, granularity, 1.0, np.random.default_rng(1))
    rng, low = np.random.default_rng(1), xyz.min(0)
    shape = np.ceil((xyz.max(0) - low) / granularity).astype(int) + 3
    nodes = ((xyz - low) / granularity + 1).astype(np.float64).T
    noise = np.moveaxis(smooth_noise(shape, rng), 3, 0)
    move = [map_coordinates(axis, nodes, np.float64, order=1) for axis in noise]
    assert np.abs(move).max() > 0.01
    assert np.allclose(moved, xyz + np.stack(move, axis=1), rtol=0, atol=2e-6)


def test_thinned_scene_has_one_point_a_cell():
    before = scene(5, 2000)
    after = thin(before, 0.5)
    cells = np.unique(np.floor((before.xyz - before.xyz.min(0)) / 0.5), axis=0)
    assert len(after) == len(cells)
    assert (after.semantic == before.semantic[after.superpoints]).all()
    assert after.xyz.mean(0) == pytest.approx(before.xyz.mean(0), abs=0.05)


@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6), n=st.integers(1, 200), most=st.integers(1, 250))
def test_limit_is_a_square_window(seed, n, most):
    whole = scene(seed, n)
    kept = limit(whole, most, np.random.default_rng(seed))
    assert len(kept) == min(n, most) and np.array_equal(kept.superpoints, np.unique(kept.superpoints))
    np.testing.assert_array_equal(kept.xyz, whole.xyz[kept.superpoints])
    gone = np.setdiff1d(whole.superpoints, kept.superpoints)
    if len(gone):
        index = np.random.default_rng(seed).integers(n)
        distance = np.abs(whole.xyz[:, :2] - whole.xyz[index, :2]).max(1)
        assert distance[kept.superpoints].max() <= distance[gone].min()


def test_elastic_distortion_moves_the_voxels_and_no_target():
    """Boxes, rays, centers and coordinate features are those of the undistorted points, as published."""
    before = scene(11, 2000)
    config = dataclasses.replace(STILL, elastic=AugmentConfig().elastic)
    after = augment(before, config, VOXEL, np.random.default_rng(0))
    np.testing.assert_array_equal(after.xyz, before.xyz)
    assert np.abs(after.grid_xyz - before.xyz).max() > 10 * VOXEL
    model = ModelConfig(use_superpoints=False)
    still, moved = (collate([scene], model) for scene in (before, after))
    assert not torch.equal(moved.voxels.coords, still.voxels.coords)
    rows = moved.voxels.point_to_voxel
    mean = segment_mean(torch.from_numpy(before.xyz), rows, len(moved.voxels.coords))
    torch.testing.assert_close(moved.voxels.xyz, mean)
    torch.testing.assert_close(moved.voxels.features[:, 3:], mean)
    boxes = [
        build_targets(batch.voxels, batch.semantic, batch.instance, 1, (5, 5)).boxes
        for batch in (still, moved)
    ]
    torch.testing.assert_close(*boxes, atol=5 * VOXEL, rtol=0)
