# SPDX-License-Identifier: Apache-2.0
"""One round of queries: masks of foreground superpoints alone, as many queries as the foreground asks for."""

from dataclasses import replace

import pytest
import torch

from sphmask_core.method.model import SphericalMask
from sphmask_core.method.query_sampling import InferenceSampling
from sphmask_core.method.rounds import find_instances
from sphmask_core.method.voxels import Points, voxelize
from test.helpers.small import SMALL


@pytest.fixture
def model():
    torch.manual_seed(0)
    return SphericalMask(SMALL).eval()


@pytest.fixture
def voxels():
    rng = torch.Generator().manual_seed(3)
    xyz, rgb = torch.rand(2, 1500, 3, generator=rng)
    return voxelize([Points(xyz * 0.5, rgb * 2 - 1, torch.randint(0, 60, (1500,), generator=rng))], 50.0)


def found_with(model, voxels, threshold, foreground_masks):
    inference = replace(
        SMALL.inference,
        min_points=1,
        iterative_sampling=False,
        foreground_threshold=threshold,
        foreground_masks=foreground_masks,
    )
    model.config = replace(SMALL, inference=inference)
    return find_instances(model, voxels)


def test_nothing_changes_where_all_is_foreground(model, voxels):
    anything, alone = (found_with(model, voxels, 0.0, only) for only in (False, True))
    assert len(anything) and anything.masks.any()
    for name, value in vars(anything).items():
        torch.testing.assert_close(getattr(alone, name), value)


@torch.inference_mode()
def test_masks_are_of_foreground_superpoints(model, voxels):
    model.config = SMALL
    scores = model.encode(voxels).pointwise.semantic_logits.softmax(1)[:, SMALL.class_shift :].amax(1)
    threshold = float(scores.median())
    model.config = replace(SMALL, inference=replace(SMALL.inference, foreground_threshold=threshold))
    is_foreground = torch.zeros(voxels.superpoint_offsets[-1], dtype=torch.bool)
    is_foreground[voxels.superpoints[model.encode(voxels).foreground]] = True
    assert 0 < is_foreground.sum() < len(is_foreground)
    anything, alone = (found_with(model, voxels, threshold, only) for only in (False, True))
    assert anything.masks[:, ~is_foreground].any()
    assert alone.masks.shape[1] == len(is_foreground) and alone.masks.any()
    assert not alone.masks[:, ~is_foreground].any()


@pytest.mark.parametrize(
    ("voxels_per_query", "seeds", "queries"),
    [(0, 400, 250), (4, 400, 250), (10, 300, 150), (20, 150, 75), (100, 128, 64)],
)
@torch.inference_mode()
def test_queries_go_by_the_foreground(model, voxels_per_query, seeds, queries):
    """Of 1500 foreground voxels; never more than the settings say."""
    rng = torch.Generator().manual_seed(4)
    points = Points(torch.rand(3000, 3, generator=rng) * 3, torch.zeros(3000, 3))
    voxels = voxelize([points], 50.0)
    inference = replace(
        SMALL.inference, queries=250, iterative_sampling=False, voxels_per_query=voxels_per_query
    )
    model.config = replace(SMALL, inference=inference, model=replace(SMALL.model, seeds=400))
    sampling = InferenceSampling(model.config)
    encoding = model.encode(voxels)
    encoding.foreground = torch.arange(len(voxels.coords)) < 1500
    model.encode = lambda *_: encoding
    (predictions,) = model.predict(voxels, sampling)
    assert (len(predictions.seeds), predictions.rows.shape[1]) == (seeds, queries)
