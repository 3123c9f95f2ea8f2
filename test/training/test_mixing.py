# SPDX-License-Identifier: Apache-2.0
"""Mixed frames: objects keep their shape and their labels, and hide what is behind them."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.spatial.distance import pdist

from sphmask_core.clouds.scenes import OBJECT, UNLABELED, Scene, ground_truth
from sphmask_core.simulation.scenes import simulate_cloud
from training.mixing import View, mix, mixed_scenes

KINECT_FOCAL = 525.0 / 640.0
"""Of the simulated camera, in image widths."""


def frame(seed: int) -> Scene:
    cloud = simulate_cloud(seed)
    return Scene(f"frame{seed}", cloud, *ground_truth(cloud.labels))


@pytest.fixture(scope="module")
def frames():
    return [frame(seed) for seed in range(4)]


@pytest.fixture(scope="module")
def mixed(frames):
    return list(mixed_scenes(frames, 6, seed=0))


def added(scene, base):
    """Points of the objects that came from other frames."""
    return scene.instance > base.instance.max()


def test_objects_are_added(frames):
    counts = []
    for i, base in enumerate(frames):
        donors = [View.of(other) for other in frames if other is not base]
        scene = mix(View.of(base), donors, np.random.default_rng(i))
        counts.append(len(np.unique(scene.instance[added(scene, base)])))
    assert sum(counts) >= 4


def test_repeatable(frames, mixed):
    for first, again in zip(mixed, mixed_scenes(frames, 6, seed=0), strict=True):
        np.testing.assert_array_equal(first.cloud.xyz, again.cloud.xyz)
        np.testing.assert_array_equal(first.instance, again.instance)


def test_points_stay_in_their_pixels(mixed):
    for scene in mixed:
        height, width = scene.cloud.shape
        xyz = scene.cloud.xyz.reshape(height, width, 3)
        column = xyz[..., 0] / xyz[..., 2] * KINECT_FOCAL * width + width / 2 - 0.5
        assert np.nanmax(np.abs(column - np.arange(width))) <= 0.51


def test_labels_are_of_seen_points(mixed):
    for scene in mixed:
        unseen = ~np.isfinite(scene.cloud.xyz).all(1)
        assert (scene.instance[unseen] < 0).all() and (scene.semantic[unseen] == UNLABELED).all()
        assert ((scene.instance >= 0) == (scene.semantic == OBJECT)).all()


def test_nearest_points_are_seen(frames):
    base = frames[0]
    scene = mix(View.of(base), [View.of(other) for other in frames[1:]], np.random.default_rng(1))
    before, after = (np.nan_to_num(s.cloud.xyz[:, 2], nan=np.inf) for s in (base, scene))
    seen = np.isfinite(after)
    assert (after[seen] <= before[seen]).all()
    same = seen & ~added(scene, base)
    np.testing.assert_array_equal(scene.cloud.xyz[same], base.cloud.xyz[same])
    np.testing.assert_array_equal(scene.instance[same], base.instance[same])


def test_objects_keep_their_shape(frames):
    base, donor = frames[1], frames[2]
    scene = mix(View.of(base), [View.of(donor)], np.random.default_rng(2))
    new = added(scene, base)
    assert new.any()
    for number in np.unique(scene.instance[new]):
        moved = scene.cloud.xyz[scene.instance == number]
        source = donor.cloud.xyz[donor.instance == number - base.instance.max() - 1]
        assert pdist(moved[::7]).max() <= pdist(source[::3]).max() + 0.02


def test_objects_do_not_share_ground(frames):
    base = View.of(frames[0])
    scene = mix(base, [View.of(other) for other in frames[1:]], np.random.default_rng(3))
    view = View.of(scene)
    low = view.xyz[:, 2] < 0.03
    cells = {}
    for number in np.unique(scene.instance[scene.instance >= 0]):
        points = view.xyz[(scene.instance == number) & low, :2]
        cells[number] = {tuple(cell) for cell in np.floor(points / 0.005).astype(int)}
    numbers = list(cells)
    for i, number in enumerate(numbers):
        for other in numbers[i + 1 :]:
            shared = len(cells[number] & cells[other])
            assert shared <= 0.05 * max(min(len(cells[number]), len(cells[other])), 20)
