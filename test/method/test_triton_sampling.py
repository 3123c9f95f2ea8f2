# SPDX-License-Identifier: Apache-2.0
"""Triton's farthest points and ball query are plain torch's to the last bit: on a GPU, or interpreted."""

import pytest
import torch

from test.helpers.clouds import make_cloud
from test.helpers.triton import DEVICE  # which sets the interpreter up

pytest.importorskip("triton", reason="triton is not installed")

from sphmask_core.method import triton_sampling
from sphmask_core.method.sampling import ball_query_reference, farthest_points_reference

pytestmark = pytest.mark.filterwarnings("ignore:overflow")  # numpy's, which interprets; infinity is meant
SHAPES = ("free", "duplicate", "collinear", "huge")


@pytest.fixture(autouse=True)
def few_at_once(monkeypatch):
    """Several rounds over a small cloud."""
    for sizes in (triton_sampling.PICKER, triton_sampling.SEEKER):
        monkeypatch.setitem(sizes, "POINTS", 64)


@pytest.mark.parametrize("count", [1, 63, 64, 200])
@pytest.mark.parametrize("shape", SHAPES)
def test_farthest_points(shape, count):
    xyz = make_cloud(shape, count, seed=count).to(DEVICE)
    skip = torch.rand(count, generator=torch.Generator().manual_seed(0)).to(DEVICE) < 0.3
    for first, passed in ((0, None), (count // 2, skip), (1 % count, torch.ones_like(skip))):
        indices = triton_sampling.farthest_points(xyz, 12, first, passed)
        assert torch.equal(indices, farthest_points_reference(xyz, 12, first, passed))


@pytest.mark.parametrize(("count", "k"), [(1, 1), (64, 5), (200, 5), (30, 40)])
@pytest.mark.parametrize("shape", SHAPES)
def test_ball_query(shape, count, k):
    xyz = make_cloud(shape, count, seed=count).to(DEVICE)
    queries = torch.cat([xyz[::20], xyz.new_full((1, 3), 50.0)])  # one has no neighbor
    distance = (xyz[count // 2] - xyz[0]).norm().item()  # a distance that occurs: strictly inside
    for radius in (0.0, distance, 1e-3 + 2 * distance):
        neighbors = triton_sampling.ball_query(xyz, queries, radius, k)
        assert torch.equal(neighbors, ball_query_reference(xyz, queries, radius, k))


def test_no_queries_and_no_samples():
    xyz = torch.rand(5, 3, device=DEVICE)
    assert triton_sampling.ball_query(xyz, xyz[:0], 0.1, 4).shape == (0, 4)
    assert triton_sampling.farthest_points(xyz, 0, 0, None).shape == (0,)
