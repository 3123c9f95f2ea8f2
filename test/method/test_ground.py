# SPDX-License-Identifier: Apache-2.0
"""The ground that is left out: floors of rooms and open ground, slopes, curbs, reflections from below."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import map_coordinates

from sphmask_core import native
from sphmask_core.method.ground import find_ground
from test.helpers.threads import threads_of


def rectangle(rng, half, height, count):
    xy = rng.uniform(-1, 1, (count, 2)) * half
    return np.column_stack([xy, np.full(count, height)])


def box(rng, middle, half, count):
    """Points on the sides and the top of a box that stands at z = middle[2]."""
    points = rng.uniform(-1, 1, (count, 3))
    face = rng.integers(0, 5, count)
    points[face < 2, 0] = np.sign(points[face < 2, 0])
    points[(face >= 2) & (face < 4), 1] = np.sign(points[(face >= 2) & (face < 4), 1])
    points[face == 4, 2] = 1
    points = points * half
    points[:, 2] += half[2]
    return points + middle


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def room(rng, noise):
    floor = rectangle(rng, [2, 2], 0, 20_000)
    table = rectangle(rng, [0.8, 0.5], 0.75, 8_000)
    chest = box(rng, [1, 1, 0], [0.3, 0.3, 0.4], 4_000)
    xyz = np.concatenate([floor, table, chest])
    xyz[:, 2] += rng.normal(scale=noise, size=len(xyz))
    return xyz.astype(np.float32), np.repeat([0, 1, 2], [20_000, 8_000, 4_000])


@pytest.mark.parametrize("noise", [0.0, 0.004, 0.01])
@pytest.mark.parametrize("height", [-1.2, 0.0, 3.5])
def test_a_floor_is_left_out_and_nothing_that_stands_on_it(rng, noise, height):
    xyz, part = room(rng, noise)
    ground = find_ground(xyz + np.float32([0, 0, height]), "floor")
    assert abs(ground.height - height) < 0.01
    assert ground.left_out[part == 0].mean() > 0.97
    assert ground.left_out[part == 1].mean() == 0 and ground.left_out[part == 2].mean() < 0.1


def test_a_floor_may_lean_a_little(rng):
    xyz, part = room(rng, 0.004)
    xyz[:, 2] += 0.03 * xyz[:, 0]
    ground = find_ground(xyz, "floor")
    assert ground.left_out[part == 0].mean() > 0.97 and not ground.left_out[part == 1].any()


def test_a_few_points_have_no_floor():
    assert find_ground(np.zeros((3, 3), np.float32), "floor") is None
    assert find_ground(np.zeros((0, 3), np.float32), "terrain") is None
    assert find_ground(np.zeros((5, 3), np.float32), "none") is None


def street(rng, slope, curb):
    """Rolling ground with a curb, four cars, a wall that hides what is behind it."""
    ground = rectangle(rng, [40, 40], 0, 60_000)
    ground[:, 2] += slope * ground[:, 0] + curb * (np.abs(ground[:, 1]) > 5)
    ground = ground[ground[:, 1] < 20]
    cars = [box(rng, [x, 3, 0], [2.2, 0.9, 0.75], 800) for x in (-25, -8, 9, 26)]
    wall = box(rng, [0, 20, curb], [30, 0.1, 3], 6_000)
    for thing in (*cars, wall):
        thing[:, 2] += slope * thing[:, 0]
    parts = [ground, *cars, wall]
    part = np.repeat(np.arange(len(parts)), [len(points) for points in parts])
    return np.concatenate(parts).astype(np.float32), part


@pytest.mark.parametrize("slope", [0.0, 0.05, 0.15])
@pytest.mark.parametrize("curb", [0.0, 0.15])
def test_open_ground_is_left_out_and_nothing_that_stands_on_it(rng, slope, curb):
    xyz, part = street(rng, slope, curb)
    left_out = find_ground(xyz, "terrain").left_out
    assert left_out[part == 0].mean() > 0.97
    for car in range(1, 5):
        assert left_out[part == car].mean() < 0.25, car
    assert left_out[part == 5].mean() < 0.15


def test_reflections_from_below_do_not_pull_the_ground_down(rng):
    xyz, part = street(rng, 0.0, 0.0)
    ghosts = rng.uniform([-30, -30, -25], [30, 15, -3], (200, 3)).astype(np.float32)
    left_out = find_ground(np.concatenate([xyz, ghosts]), "terrain").left_out[: len(xyz)]
    assert left_out[part == 0].mean() > 0.95


def plain_lowest(xyz, x, y, edge, cells):
    place = np.clip((xyz[:, :2] - np.float32([x, y])) / np.float32(edge) + cells / 2, 0, cells - 1 - 0.001)
    lowest = np.full((cells, cells), np.inf)
    np.minimum.at(lowest, tuple(place.astype(int).T), xyz[:, 2].astype(float))
    return lowest, place


def plain_spread(heights, rise):
    """One round by the definition: the least of nine."""
    padded = np.pad(heights, 1, constant_values=np.inf)
    high, wide = heights.shape
    ways = [(a, b) for a in range(3) for b in range(3)]
    around = [padded[a : a + high, b : b + wide] + rise * np.hypot(a - 1, b - 1) for a, b in ways]
    return np.min(around, axis=0)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(2, 12), st.floats(0.1, 10))
def test_the_kernels_do_what_plain_operations_do(seed, cells, edge):
    rng = np.random.default_rng(seed)
    xyz = rng.normal(0, cells * edge / 3, (200, 3)).astype(np.float32)
    x, y = rng.normal(size=2).astype(np.float32).tolist()
    lowest = np.empty((cells, cells))
    native.lowest(xyz, lowest, x, y, edge)
    expected, place = plain_lowest(xyz, x, y, edge, cells)
    np.testing.assert_array_equal(lowest, expected)
    native.spread(lowest, 0.3 * edge, 3)
    for _ in range(3):
        expected = plain_spread(expected, 0.3 * edge)
    np.testing.assert_allclose(lowest, expected, rtol=1e-12)
    heights = np.where(np.isfinite(lowest), lowest, 0)
    below = np.empty(len(xyz), bool)
    native.below_heights(xyz, heights, below, x, y, edge, 0.2)
    between = map_coordinates(heights, np.clip(place.T - 0.5, 0, cells - 1), order=1)
    sure = np.abs(xyz[:, 2] - between - 0.2) > 1e-3
    np.testing.assert_array_equal(below[sure], (xyz[:, 2] < between + 0.2)[sure])


def test_any_number_of_threads_finds_the_same(rng):
    xyz, _ = street(rng, 0.05, 0.15)
    marks = []
    for threads in (1, 3):
        with threads_of(threads):
            marks.append(find_ground(xyz, "terrain").left_out)
    np.testing.assert_array_equal(*marks)


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(4, 300), st.floats(-0.1, 0.1), st.floats(-0.1, 0.1))
def test_a_level_is_the_plane_of_least_squares(seed, count, a, b):
    rng = np.random.default_rng(seed)
    xyz = rng.uniform(-5, 5, (count, 3)).astype(np.float32)
    xyz[:, 2] = a * xyz[:, 0] + b * xyz[:, 1] + 1.3 + rng.normal(0, 0.05, count)
    plane, band = np.array([a, b, 1.3]), 0.06
    rows = np.column_stack([xyz[:, :2], np.ones(count)]).astype(float)
    inside = np.abs(xyz[:, 2] - rows @ plane) < band
    expected = np.linalg.lstsq(rows[inside], xyz[inside, 2].astype(float), rcond=None)
    assert native.fit_level(xyz, plane, band) == inside.sum()
    if inside.sum() >= 3 and expected[3][2] > 0.1:
        np.testing.assert_allclose(plane, expected[0], atol=1e-9)
    heights, marks = xyz[:, 2] - rows @ plane, np.empty(count, bool)
    native.near_level(xyz, plane, marks, 0.08, 0.02)
    np.testing.assert_array_equal(marks, (heights > -0.08) & (heights < 0.02))
