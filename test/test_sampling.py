# SPDX-License-Identifier: Apache-2.0
"""Farthest points and ball query: the native code equals the plain reference to the last bit."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sphmask_core.sampling import (
    ball_query,
    ball_query_reference,
    farthest_points,
    farthest_points_reference,
)

GRID = st.integers(-3, 3).map(lambda i: np.float32(0.1 * i))  # many equal distances, many equal points
FREE = st.floats(-1e3, 1e3, width=32)


def clouds(least=1, most=200):
    shape = st.tuples(st.integers(least, most), st.just(3))
    return st.one_of(
        hnp.arrays(np.float32, shape, elements=GRID), hnp.arrays(np.float32, shape, elements=FREE)
    ).map(torch.from_numpy)


def random_cloud(count, seed=0):
    return torch.rand(count, 3, generator=torch.Generator().manual_seed(seed))


@given(clouds(), st.data())
def test_native_farthest_points_are_the_reference(xyz, data):
    n = data.draw(st.integers(0, len(xyz) + 5))
    first = data.draw(st.integers(0, len(xyz) - 1))
    skip = data.draw(st.none() | hnp.arrays(bool, len(xyz)).map(torch.from_numpy))
    found = farthest_points(xyz, n, first, skip)
    assert torch.equal(found, farthest_points_reference(xyz, n, first, skip))


@given(clouds(), clouds(0, 20), st.floats(0.0, 5.0), st.integers(1, 40))
def test_native_ball_query_is_the_reference(xyz, queries, radius, k):
    found = ball_query(xyz, queries, radius, k)
    assert torch.equal(found, ball_query_reference(xyz, queries, radius, k))


@settings(max_examples=30)
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


def test_large_cloud_any_number_of_threads():
    xyz = random_cloud(20000)
    picked = farthest_points(xyz, 300)
    assert torch.equal(picked, farthest_points_reference(xyz, 300))
    expected = ball_query_reference(xyz, xyz[picked], 0.1, 32)
    before = torch.get_num_threads()
    try:
        for threads in (1, 2, 5):
            torch.set_num_threads(threads)
            assert torch.equal(ball_query(xyz, xyz[picked], 0.1, 32), expected)
    finally:
        torch.set_num_threads(before)


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
