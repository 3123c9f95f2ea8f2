# SPDX-License-Identifier: Apache-2.0
"""Kernels between points and voxels against plain torch, to the last bit."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sphmask_core.method.voxels import (
    segment_bounds,
    segment_bounds_reference,
    segment_mean,
    segment_mean_reference,
    spread_segments,
    spread_segments_reference,
    voxel_keys,
    voxel_keys_reference,
)
from sphmask_core.sparse.maps import build_levels, family_reference, pack, pack_reference, unpack

SIZES = st.integers(1, 300), st.integers(1, 40), st.integers(0, 1000)


def random_points(n, seed):
    return torch.randn(n, 3, generator=torch.Generator().manual_seed(seed)) * 3


@settings(deadline=None)
@given(st.integers(1, 300), st.floats(0.1, 200), st.integers(0, 500), st.integers(0, 1000))
def test_keys_equal_plain_torch(n, scale, scene, seed):
    xyz = random_points(n, seed)
    keys = voxel_keys(xyz, scale, scene)
    assert torch.equal(keys, voxel_keys_reference(xyz, scale, scene))
    coords = unpack(keys)
    assert torch.equal(pack(coords), keys)
    assert torch.equal(pack(coords, halvings=1), pack_reference(coords, halvings=1))
    assert coords[:, 1:].min() == 0 and (coords[:, 0] == scene).all()


@pytest.mark.parametrize("length", [1e9, 3e38])
def test_too_long_a_cloud(length):
    with pytest.raises(ValueError, match="are its coordinates meters"):
        voxel_keys(torch.tensor([[-length, 0, 0], [length, 0, 0]]), 50.0, 0)


@settings(deadline=None)
@given(*SIZES)
def test_segments_equal_plain_torch(n, count, seed):
    xyz = random_points(n, seed)
    generator = torch.Generator().manual_seed(seed)
    segments = torch.randint(count, (n,), generator=generator)
    rows = torch.randperm(n, generator=generator)[: n // 2 + 1]
    bounds = segment_bounds(xyz, rows, segments[rows], count)
    assert torch.equal(bounds, segment_bounds_reference(xyz[rows], segments[rows], count))
    labels = torch.arange(count, dtype=torch.int32)
    spread = spread_segments(rows, segments[rows], labels, n)
    for made, expected in zip(
        spread, spread_segments_reference(rows, segments[rows], labels, n), strict=True
    ):
        assert torch.equal(made, expected)
    mean = segment_mean(xyz, segments, count)
    assert torch.equal(mean, segment_mean_reference(xyz, segments, count))


def test_mean_has_a_gradient():
    values = torch.tensor([[1.0], [2.0], [4.0]], requires_grad=True)
    segment_mean(values, torch.tensor([1, 1, 0]), 3).sum().backward()
    assert values.grad is not None and values.grad.flatten().tolist() == [0.5, 0.5, 1.0]


@settings(deadline=None)
@given(*SIZES)
def test_family_equals_plain_torch(n, side, seed):
    coords = torch.unique(
        torch.randint(side, (n, 4), generator=torch.Generator().manual_seed(seed)).int(), dim=0
    )
    fine, coarse = build_levels(coords, 2)
    place = {tuple(key): row for row, key in enumerate(coarse.coords.tolist())}
    parent = torch.tensor([place[b, x >> 1, y >> 1, z >> 1] for b, x, y, z in coords.tolist()])
    children, parents = family_reference(coords, parent, len(coarse.coords))
    assert torch.equal(fine.children.index, children) and torch.equal(fine.parents.index, parents)
