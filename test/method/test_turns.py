# SPDX-License-Identifier: Apache-2.0
"""A cloud that is seen several times, turned on by a quarter each time."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sphmask_core import Segmenter
from sphmask_core.clouds.cloud import Cloud
from sphmask_core.clouds.coordinates import Z
from sphmask_core.commands.bench import measure
from sphmask_core.method.blocks import measure_rays
from sphmask_core.method.candidates import Candidates
from sphmask_core.method.model import SphericalMask
from sphmask_core.method.rounds import find_instances
from sphmask_core.method.spherical import ray_directions
from sphmask_core.method.turns import turned, turned_back, turned_points
from sphmask_core.method.voxels import Points, voxelize
from sphmask_core.segmenter import Request
from test.helpers.looks import note_looks
from test.helpers.small import SMALL

QUARTERS = st.integers(1, 4)
QUARTER = np.array([[0, -1, 0], [1, 0, 0], [0, 0, 1]])
ROTATIONS = [np.linalg.matrix_power(QUARTER, quarters) for quarters in range(5)]


def voxels_of(points, seed=3, with_coords=True):
    rng = torch.Generator().manual_seed(seed)
    xyz, rgb = torch.rand(2, points, 3, generator=rng)
    superpoints = torch.randint(0, 60, (points,), generator=rng)
    return voxelize([Points(xyz * 0.5, rgb * 2 - 1, superpoints)], 50.0, with_coords)


@given(QUARTERS, st.integers(1, 200), st.booleans())
def test_neighbors_stay_neighbors(quarters, points, with_coords):
    voxels = voxels_of(points, with_coords=with_coords)
    seen, rotation = turned(voxels, quarters), ROTATIONS[quarters]
    steps = (voxels.coords - voxels.coords[0])[:, 1:].numpy()
    np.testing.assert_array_equal((seen.coords - seen.coords[0])[:, 1:].numpy(), steps @ rotation.T)
    assert seen.coords.dtype == torch.int32 and seen.coords.min() == 0
    np.testing.assert_array_equal(seen.xyz.numpy(), voxels.xyz.numpy() @ rotation.T.astype("f4"))
    torch.testing.assert_close(seen.features[:, :3], voxels.features[:, :3])
    assert seen.features.shape == voxels.features.shape
    if with_coords:
        torch.testing.assert_close(seen.features[:, 3:], seen.xyz)


@given(QUARTERS, st.integers(0, 99))
def test_polygons_are_turned_back(quarters, seed):
    """Exactly so where a quarter turn takes sectors to sectors."""
    xyz, rays = torch.randn(300, 3, generator=torch.Generator().manual_seed(seed)), (5, 8)
    found = [measure_rays(points, rays) for points in (xyz, turned_points(xyz, quarters))]
    here, there = (
        Candidates(torch.ones(1, 1) > 0, torch.ones(1), torch.zeros(1).long(), center[None], lengths[None])
        for center, lengths in found
    )
    back = turned_back(there, quarters, rays)
    torch.testing.assert_close(back.centers, here.centers)
    close = torch.isclose(back.rays, here.rays, atol=1e-5)
    assert close.float().mean() > 0.9  # a point on the edge of a sector may be in the next


@pytest.mark.parametrize("quarters", [1, 2, 3])
def test_other_polygons_have_the_nearest_rays(quarters):
    rays = (5, 5)
    directions = ray_directions(rays)
    lengths = torch.arange(25.0)[None]
    none = Candidates(torch.zeros(1, 1) > 0, torch.ones(1), torch.zeros(1).long(), torch.zeros(1, 3), lengths)
    taken = turned_back(none, quarters, rays).rays[0].long().numpy()
    cosines = (directions @ ROTATIONS[quarters].T) @ directions.T
    best = cosines[np.arange(25), taken]
    np.testing.assert_allclose(best, cosines.max(1), atol=1e-6)


def summary(found):
    return Counter(map(bytes, found.masks.numpy())), found.scores.sort().values


@pytest.mark.parametrize("agreement", [0.0, 0.5])
@pytest.mark.parametrize("foreground_masks", [False, True])
def test_four_views_see_the_same_however_the_cloud_is_turned(foreground_masks, agreement):
    torch.manual_seed(0)
    inference = replace(
        SMALL.inference,
        min_points=1,
        iterative_sampling=False,
        foreground_threshold=0.45,
        foreground_masks=foreground_masks,
        agreement=agreement,
        max_instances=1000,
    )
    model = SphericalMask(replace(SMALL, inference=inference)).eval()
    voxels = voxels_of(1500)
    (masks, scores), (others, their_scores) = (
        summary(find_instances(model, turned(voxels, quarters), turns=4)) for quarters in (0, 1)
    )
    assert len(scores) > 16 and masks == others
    torch.testing.assert_close(scores, their_scores, atol=1e-4, rtol=1e-3)
    assert summary(find_instances(model, voxels))[0] != summary(find_instances(model, turned(voxels, 1)))[0]


def test_every_view_has_its_candidates():
    torch.manual_seed(0)
    inference = replace(SMALL.inference, min_points=0, iterative_sampling=False, max_instances=3)
    model = SphericalMask(replace(SMALL, inference=inference)).eval()
    assert [len(find_instances(model, voxels_of(1500), turns=turns)) for turns in (1, 4)] == [3, 12]


@pytest.fixture
def looks(monkeypatch):
    return note_looks(monkeypatch)


@pytest.fixture(scope="module")
def twice():
    torch.manual_seed(0)
    inference = replace(SMALL.inference, turns=2, queries=8)
    return Segmenter(SphericalMask(replace(SMALL, inference=inference)))


def test_a_camera_frame_is_seen_once(twice, looks):
    xyz = np.random.default_rng(0).random((2000, 3), np.float32)
    before_the_camera = xyz + np.float32([-0.5, -0.5, 1.5])
    before_the_camera[:1000] = np.nan
    for cloud in (xyz, before_the_camera):
        twice(cloud)
    assert looks == [2, 1]
    twice(before_the_camera, turns=4)
    twice(xyz, turns=1)
    Request().find(twice, Cloud(xyz, None, None, (40, 50)), Z)
    Request().find(twice, Cloud(xyz, None, None, (1, 2000)), Z)
    assert looks[2:] == [4, 1, 1, 2]


def test_bench_sees_an_organized_cloud_once(twice, looks):
    xyz = np.random.default_rng(0).random((2000, 3), np.float32)
    measure(twice, "frame", Cloud(xyz, None, None, (40, 50)), 1)
    assert set(looks) == {1}
    measure(twice, "scan", Cloud(xyz, None, None, (1, 2000)), 1)
    assert set(looks) == {1, 2}


@pytest.mark.parametrize("turns", [0, 5, -1])
def test_other_numbers_are_refused(twice, turns):
    with pytest.raises(ValueError, match=f"turns is {turns}; expected 1 to 4"):
        twice(np.zeros((1, 3)), turns=turns)
