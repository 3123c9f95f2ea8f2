# SPDX-License-Identifier: Apache-2.0
"""Clouds in interleaved parts, superpoints that points bring along, classes that are one instance."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sphmask_core.config import InferenceConfig
from sphmask_core.method.candidates import Candidates
from sphmask_core.method.model import SphericalMask
from sphmask_core.method.parts import join_parts, vote, voxelize_parts
from sphmask_core.method.pointwise_heads import PointwisePredictions
from sphmask_core.method.rounds import whole_classes
from sphmask_core.method.voxels import Points, segment_mean, voxelize
from sphmask_core.segmenter import Segmenter
from test.helpers.small import SMALL

CONFIG = replace(
    SMALL,
    semantic_classes=("ceiling", "floor", "chair"),
    instance_classes=("chair",),
    inference=InferenceConfig(min_points=1, foreground_threshold=0.0, parts=4, whole_classes=(0, 1)),
)


def cloud(points=900, superpoints=True, seed=0):
    rng = torch.Generator().manual_seed(seed)
    numbers = torch.randint(0, 9, (points,), generator=rng) * 5 - 3 if superpoints else None
    xyz, rgb = torch.rand(2, points, 3, generator=rng)
    return Points(xyz * 0.4, rgb * 2 - 1, numbers)


@pytest.mark.parametrize("superpoints", [True, False])
def test_one_part_is_the_whole(superpoints):
    whole, parts = (
        voxelize([cloud(superpoints=superpoints)], 50.0),
        voxelize_parts(cloud(superpoints=superpoints), 1, SMALL.model),
    )
    for name, value in vars(whole).items():
        torch.testing.assert_close(getattr(parts, name), value, rtol=0, atol=0)


@settings(deadline=None, max_examples=30)
@given(st.integers(1, 40), st.integers(1, 5), st.booleans())
def test_parts(points, parts, superpoints):
    """A voxel has points of one part, and the superpoint of its first point; no part is lost."""
    scene = cloud(points, superpoints, seed=points)
    voxels = voxelize_parts(scene, parts, SMALL.model)
    part = voxels.coords[voxels.point_to_voxel, 0]
    assert torch.equal(part, (torch.arange(points) % parts).int())
    torch.testing.assert_close(segment_mean(scene.xyz, voxels.point_to_voxel, len(voxels.xyz)), voxels.xyz)
    assert voxels.batch_size == 1 and voxels.superpoint_offsets[1] == int(voxels.superpoints.max()) + 1
    if superpoints:
        first = [int((voxels.point_to_voxel == v).nonzero()[0]) for v in range(len(voxels.xyz))]
        pairs = set(zip(scene.superpoints[first].tolist(), voxels.superpoints.tolist(), strict=True))
        assert len(pairs) == len({a for a, _ in pairs}) == len({b for _, b in pairs})


def test_joined_parts_are_one_scene():
    voxels = voxelize_parts(cloud(), 4, SMALL.model)
    joined, sampled = join_parts(voxels, 4)
    assert (joined.coords[:, 0] == 0).all() and torch.equal(joined.coords[:, 1:], voxels.coords[:, 1:])
    assert torch.equal(sampled, voxels.coords[:, 0] < 2)


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(1, 8))
def test_vote_is_that_of_points(seed, points, columns):
    """A superpoint is in a mask with at least half of its points, counted one by one."""
    rng = torch.Generator().manual_seed(seed)
    segments = torch.randint(0, columns, (points,), generator=rng)
    superpoints = torch.randint(-3, 4, (points,), generator=rng)
    masks = torch.rand(3, columns, generator=rng) < 0.5
    candidates = replace(Candidates.none(columns, (1, 1), torch.device("cpu")), masks=masks)
    voted, numbers = vote(candidates, segments, superpoints)
    inside = masks[:, segments]
    for point, own in enumerate(superpoints):
        share = inside[:, superpoints == own].float().mean(1)
        assert torch.equal(voted.masks[:, numbers[point]], share >= 0.5)


def test_whole_classes():
    """Superpoints of which most points are ceiling make one instance; no floor is seen, so there is none."""
    voxels = voxelize_parts(cloud(), 4, SMALL.model)
    ceiling = torch.isin(voxels.superpoints, torch.tensor([1, 4]))
    logits = torch.nn.functional.one_hot(torch.where(ceiling, 0, 2), 3).float()
    zeros = torch.zeros(len(logits), 6)
    candidates = whole_classes(CONFIG, voxels, PointwisePredictions(logits, zeros[:, :3], zeros, zeros[:, 0]))
    assert candidates.masks.nonzero()[:, 1].tolist() == [1, 4]
    assert (
        candidates.class_ids.tolist() == [1]
        and CONFIG.found_classes[1] == "ceiling"
        and candidates.scores == 1
    )
    torch.testing.assert_close(candidates.centers[0], voxels.xyz[ceiling].mean(0))


@pytest.mark.parametrize("given_superpoints", [True, False])
def test_segmenter(given_superpoints):
    """A cloud in parts: ceiling and floor are found, and superpoints are in instances as a whole."""
    torch.manual_seed(0)
    model = SphericalMask(CONFIG)
    with torch.no_grad():
        model.pointwise.semantic[-1].bias[0] = 9.0
    scene = cloud(2000)
    numbers = scene.superpoints.numpy() if given_superpoints else None
    instances = Segmenter(model)(scene.xyz.numpy(), None, numbers)
    assert instances.class_names[0] == "ceiling" and instances.scores[0] == 1 and instances.masks[0].all()
    for mask in instances.masks if given_superpoints else ():
        assert not np.isin(numbers[~mask], numbers[mask]).any()


@pytest.mark.parametrize("superpoints", [np.zeros(5, int), np.zeros((9, 1), int), np.zeros(9)])
def test_bad_superpoints(superpoints):
    with pytest.raises(ValueError, match="expected one integer a point"):
        Segmenter(SphericalMask(CONFIG))(np.zeros((9, 3)), None, superpoints)
