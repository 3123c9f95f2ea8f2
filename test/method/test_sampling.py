# SPDX-License-Identifier: Apache-2.0
"""Farthest points and ball query: the native code equals the plain reference to the last bit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sphmask_core.method.sampling import (
    ball_query,
    ball_query_reference,
    farthest_points,
    farthest_points_reference,
)
from test.helpers.clouds import SHAPES, make_cloud
from test.helpers.threads import threads_of

FREE = st.floats(-1e3, 1e3, width=32)


def clouds(least=1, most=200):
    free = hnp.arrays(np.float32, st.tuples(st.integers(least, most), st.just(3)), elements=FREE)
    made = st.builds(make_cloud, st.sampled_from(SHAPES), st.integers(least, most), st.integers(0, 10**6))
    return st.one_of(free.map(torch.from_numpy), made)


def random_cloud(count, seed=0):
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(seed))


@settings(deadline=None)
@given(clouds(), st.data())
def test_native_farthest_points_are_the_reference(xyz, data):
    n = data.draw(st.integers(0, len(xyz) + 5))
    first = data.draw(st.integers(0, len(xyz) - 1))
    skip = data.draw(st.none() | hnp.arrays(bool, len(xyz)).map(torch.from_numpy))
    indices = farthest_points(xyz, n, first, skip)
    assert torch.equal(indices, farthest_points_reference(xyz, n, first, skip))


@settings(deadline=None)
@given(clouds(), clouds(0, 20), st.floats(0.0, 5.0), st.integers(1, 40))
def test_native_ball_query_is_the_reference(xyz, others, radius, k):
    queries = torch.cat([others, xyz[::3]])
    neighbors = ball_query(xyz, queries, radius, k)
    assert torch.equal(neighbors, ball_query_reference(xyz, queries, radius, k))


@settings(max_examples=30, deadline=None)
@given(clouds(2), st.data())
def test_ball_query_is_strict_at_a_distance_that_occurs(xyz, data):
    a, b = (data.draw(st.integers(0, len(xyz) - 1)) for _ in range(2))
    radius = float((xyz[a] - xyz[b]).norm())
    for reach in (radius, np.nextafter(np.float32(radius), np.float32(np.inf)).item()):
        neighbors = ball_query(xyz, xyz, reach, 8)
        assert torch.equal(neighbors, ball_query_reference(xyz, xyz, reach, 8))


@np.errstate(over="ignore")
@settings(max_examples=30, deadline=None)
@given(clouds(1, 40), st.floats(0.0, 1.0), st.integers(1, 8))
def test_ball_query_is_the_definition(xyz, radius, k):
    squared = np.float32(radius) * np.float32(radius)
    for query, row in zip(xyz.numpy(), ball_query(xyz, xyz, radius, k).tolist(), strict=True):
        d = xyz.numpy() - query
        hits = np.flatnonzero((d[:, 0] ** 2 + d[:, 1] ** 2) + d[:, 2] ** 2 < squared)[:k].tolist()
        assert row == hits + [hits[0] if hits else 0] * (k - len(hits))


def test_farthest_points_of_a_line():
    xyz = torch.tensor([[0.0, 0, 0], [1, 0, 0], [2, 0, 0], [3, 0, 0], [4, 0, 0]])
    assert farthest_points(xyz, 7).tolist() == [0, 4, 2, 1, 3, 0, 0]
    skip = torch.tensor([True, False, False, False, True])
    assert farthest_points(xyz, 5, skip=skip).tolist() == [0, 3, 1, 2, 1]
    assert farthest_points(xyz, 3, skip=torch.ones(5, dtype=torch.bool)).tolist() == [0, 0, 0]


@pytest.mark.parametrize("shape", SHAPES)
def test_large_cloud_any_number_of_threads(shape):
    xyz = make_cloud(shape, 20000, seed=0)
    picked = farthest_points(xyz, 100)
    assert torch.equal(picked, farthest_points_reference(xyz, 100))
    for radius in (0.1, 2.0):
        expected = ball_query_reference(xyz, xyz[picked], radius, 32)
        for count in (1, 2, 5):
            with threads_of(count):
                assert torch.equal(ball_query(xyz, xyz[picked], radius, 32), expected)


def test_strided_and_double_input():
    wide = random_cloud(600).double().repeat(1, 2)[:, 1:4]
    plain = wide.float().contiguous()
    assert torch.equal(farthest_points(wide, 50), farthest_points(plain, 50))
    assert torch.equal(ball_query(wide, wide, 0.2, 8), ball_query(plain, plain, 0.2, 8))


def test_bad_input_says_what_is_wrong():
    with pytest.raises(ValueError, match="first point 3 is not one of the 3 points"):
        farthest_points(torch.zeros(3, 3), 2, first=3)
    with pytest.raises(ValueError, match="no points"):
        ball_query(torch.zeros(0, 3), torch.zeros(1, 3), 0.1, 4)
