# SPDX-License-Identifier: Apache-2.0
"""The ground that is left out: floors of rooms and open ground, slopes, kerbs, reflections from below."""

import numpy as np
import pytest

from sphmask_core.method.ground import find_ground


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


def street(rng, slope, kerb):
    """Rolling ground with a kerb, four cars, a wall that hides what is behind it."""
    ground = rectangle(rng, [40, 40], 0, 60_000)
    ground[:, 2] += slope * ground[:, 0] + kerb * (np.abs(ground[:, 1]) > 5)
    ground = ground[ground[:, 1] < 20]
    cars = [box(rng, [x, 3, 0], [2.2, 0.9, 0.75], 800) for x in (-25, -8, 9, 26)]
    wall = box(rng, [0, 20, kerb], [30, 0.1, 3], 6_000)
    for thing in (*cars, wall):
        thing[:, 2] += slope * thing[:, 0]
    parts = [ground, *cars, wall]
    part = np.repeat(np.arange(len(parts)), [len(points) for points in parts])
    return np.concatenate(parts).astype(np.float32), part


@pytest.mark.parametrize("slope", [0.0, 0.05, 0.15])
@pytest.mark.parametrize("kerb", [0.0, 0.15])
def test_open_ground_is_left_out_and_nothing_that_stands_on_it(rng, slope, kerb):
    xyz, part = street(rng, slope, kerb)
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
