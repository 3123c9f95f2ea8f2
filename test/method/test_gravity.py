# SPDX-License-Identifier: Apache-2.0
"""The vertical of a room, found from its surfaces."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial import cKDTree
from scipy.spatial.transform import Rotation

from sphmask_core import native
from sphmask_core.clouds.coordinates import Z
from sphmask_core.config import load_config
from sphmask_core.method.gravity import find_vertical, is_optical
from sphmask_core.method.preparation import to_model_frame


def corner(rng, noise=0.003):
    """A floor and two walls, the floor the smallest of them."""
    floor = rng.uniform([0, 0, 0], [2, 2, 0], (4000, 3))
    walls = [rng.uniform([0, 0, 0], [2, 0, 2.5], (6000, 3)), rng.uniform([0, 0, 0], [0, 2, 2.5], (6000, 3))]
    return np.concatenate([floor, *walls]) + rng.normal(scale=noise, size=(16_000, 3))


@pytest.mark.parametrize("tilt", [(0, 0), (10, 0), (-20, 15), (5, -30)])
def test_it_is_found_from_a_guess_that_is_off(tilt):
    turn = Rotation.from_euler("xy", tilt, degrees=True).as_matrix()
    xyz = (corner(np.random.default_rng(0)) @ turn.T).astype(np.float32)
    assert find_vertical(xyz) @ turn[:, 2] > np.cos(np.radians(1))


def test_a_cloud_before_a_camera_is_taken_for_one_and_its_vertical_found():
    """A camera 1.3 m above the floor that looks down by 30 degrees into the corner."""
    pitch = np.radians(30)
    forward = np.array([-np.cos(pitch) / np.sqrt(2), -np.cos(pitch) / np.sqrt(2), -np.sin(pitch)])
    right = np.array([-1, 1, 0]) / np.sqrt(2)
    axes = np.stack([right, np.cross(forward, right), forward])
    xyz = (corner(np.random.default_rng(1)) - [2.2, 2.2, 1.3]) @ axes.T
    x, y, z = xyz.T
    xyz = xyz[(z > 0.3) & (np.abs(x) < z) & (np.abs(y) < 0.8 * z)].astype(np.float32)
    assert is_optical(xyz) and find_vertical(xyz) @ axes[:, 2] > np.cos(np.radians(1))


def test_who_says_that_z_is_up_is_believed():
    """Of a room high above the origin, which looks as if a camera saw it."""
    xyz = (corner(np.random.default_rng(5)) - [1, 1, -4]).astype(np.float32)
    assert is_optical(xyz)
    assert find_vertical(xyz, Z) @ Z > np.cos(np.radians(1)) and find_vertical(xyz) @ Z < 0.1


def test_what_has_no_surfaces_keeps_its_guess():
    rng = np.random.default_rng(2)
    assert tuple(find_vertical(np.zeros((0, 3), np.float32))) == Z
    assert tuple(find_vertical(rng.normal(size=(5, 3)).astype(np.float32))) == Z
    assert find_vertical(rng.normal(size=(3000, 3)).astype(np.float32)) @ Z > 0.7


def test_a_room_in_positive_coordinates_is_not_before_a_camera():
    assert not is_optical(corner(np.random.default_rng(3)).astype(np.float32) + 1)


def test_a_room_stands_on_its_floor_where_a_wall_is_larger():
    """The preset turns the room upright, z is the height above the floor, and the floor is left out."""
    turn = Rotation.from_euler("xy", (8, -12), degrees=True).as_matrix()
    room = corner(np.random.default_rng(4))
    xyz = torch.from_numpy((room @ turn.T).astype(np.float32))
    config = load_config("rooms")
    frame, rows, points = to_model_frame(xyz, None, config)
    assert frame.rotation[2].numpy() @ turn[:, 2] > np.cos(np.radians(1))
    np.testing.assert_allclose(points.xyz[:, 2].numpy() * config.unit, room[rows.numpy(), 2], atol=0.05)
    assert np.isin(np.arange(4000), rows.numpy()).mean() < 0.05


@settings(deadline=None, max_examples=50)
@given(st.integers(0, 2**32 - 1), st.integers(30, 400), st.integers(5, 24))
def test_normals_are_those_of_the_nearest_points(seed, count, neighbors):
    rng = np.random.default_rng(seed)
    xyz = (rng.normal(size=(count, 3)) * [2, 2, 0.3]).astype(np.float32)
    normals = np.empty((30, 3))
    found = normals[: native.surface_normals(xyz, normals, neighbors, 0.05)]
    points = xyz.astype(float)
    near = points[cKDTree(points).query(points[:30], neighbors)[1]]
    near = near - near.mean(1, keepdims=True)
    values, vectors = np.linalg.eigh(near.transpose(0, 2, 1) @ near)
    expected = vectors[values[:, 0] < 0.05 * values.sum(1), :, 0]
    assert len(found) == len(expected)
    np.testing.assert_allclose(np.abs((found * expected).sum(1)), 1, atol=1e-6)


def test_points_that_are_equal_have_no_normal():
    xyz, normals = np.ones((100, 3), np.float32), np.empty((30, 3))
    assert native.surface_normals(xyz, normals, 9, 0.05) == 0
