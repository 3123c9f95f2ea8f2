# SPDX-License-Identifier: Apache-2.0
"""The simulated camera: rays hit what they should, frames are labelled, organised and repeatable."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sphmask_core.raycast import Box, Revolved
from sphmask_core.simulate import FOCAL, kinect_depth, random_camera, render, simulate_cloud, table_scene

SHAPES = [
    Box(0.1, 0.2, 0.15),
    Revolved.cone(0.05, 0.05, 0.2),
    Revolved.cone(0.02, 0.06, 0.1),
    Revolved.ball(0.07),
]


def contains(shape, points):
    """Whether points (..., 3) are inside a closed shape."""
    x, y, z = np.moveaxis(points, -1, 0)
    within = (z > 0) & (z < shape.height)
    if isinstance(shape, Box):
        return within & (abs(x) < shape.width / 2) & (abs(y) < shape.depth / 2)
    return within & (x**2 + y**2 < shape.squared_radius(z))


@pytest.mark.parametrize("shape", SHAPES, ids=["box", "cylinder", "cone", "ball"])
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_first_hit(shape, seed):
    """Walking along each ray in 1 mm steps enters the shape where `hit` says."""
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=3)
    origin = np.array([0, 0, 0.1]) - direction / np.linalg.norm(direction) * 0.5
    rays = rng.uniform((-0.1, -0.1, -0.02), (0.1, 0.1, 0.18), (40, 3)) - origin
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    t = shape.hit(origin, rays)
    steps = np.arange(0, 1, 0.001)
    inside = contains(shape, origin + steps[:, None, None] * rays)
    entered = np.where(inside.any(0), steps[inside.argmax(0)], np.inf)
    hit = np.isfinite(entered)
    np.testing.assert_array_less(abs(t[hit] - entered[hit]), 0.0011)
    chord = np.isfinite(t) & ~hit  # grazed between two steps
    assert not contains(shape, origin + (t[chord] + 0.002)[:, None] * rays[chord]).any()


def test_hollow_shows_its_inside():
    bowl = Revolved.bowl(0.1, 0.06)
    down = np.array([[0.0, 0.0, -1.0]])
    assert bowl.hit(np.array([0, 0, 1.0]), down) == pytest.approx(1 - 0.004)
    wall = bowl.hit(np.array([0.09, 0, 1.0]), down)
    assert bowl.squared_radius(1 - wall[0]) == pytest.approx(0.09**2)


def test_same_seed_same_frame():
    one, again, other = simulate_cloud(3), simulate_cloud(3), simulate_cloud(4)
    np.testing.assert_array_equal(one.xyz, again.xyz)
    np.testing.assert_array_equal(one.rgb, again.rgb)
    assert not np.array_equal(one.labels, other.labels)


@pytest.mark.parametrize("seed", range(6))
def test_frame(seed):
    """An optical frame with the camera's geometry, at least one object, and labels where there are points."""
    cloud = simulate_cloud(seed, 320, 240)
    assert cloud.shape == (240, 320) and cloud.xyz.dtype == np.float32 and cloud.rgb.dtype == np.uint8
    seen = np.isfinite(cloud.xyz).all(1)
    np.testing.assert_array_equal(cloud.labels > 0, seen)
    labels = set(cloud.labels[seen])
    assert 1 in labels and len(labels) > 1 and all(label == 1 or label % 10 == 0 for label in labels)
    x, y, z = cloud.xyz[seen].T
    row, column = np.divmod(np.flatnonzero(seen), 320)
    np.testing.assert_allclose(x / z * FOCAL * 320, column + 0.5 - 160, atol=1e-3)
    np.testing.assert_allclose(y / z * FOCAL * 320, row + 0.5 - 120, atol=1e-3)
    assert 0.1 < z.min() < z.max() < 3


@pytest.mark.parametrize("seed", range(4))
def test_objects_do_not_sink_into_the_table(seed):
    solids = table_scene(np.random.default_rng(seed))
    assert len(solids) > 1
    assert all(solid.hull[:, 2].min() > -1e-9 for solid in solids[1:])


def test_depth_error_grows_with_the_square_of_the_depth():
    rng = np.random.default_rng(0)
    camera = random_camera(rng, 64, 48)
    normals = np.broadcast_to([0.0, 0.0, -1.0], (48, 64, 3))
    errors = []
    for depth in (0.7, 1.4):
        found = kinect_depth(rng, np.full((48, 64), depth), normals, camera)
        errors.append(np.nanstd(found - depth))
    assert errors[0] < 0.002 and 3 < errors[1] / errors[0] < 5.5


def test_render_keeps_the_nearest():
    """The depth of every pixel is the smallest over the solids."""
    rng = np.random.default_rng(1)
    solids, camera = table_scene(rng), random_camera(rng, 64, 48)
    image = render(solids, camera)
    rays = (camera.directions() @ camera.rotation.T).reshape(-1, 3)
    nearest = np.min([solid.hit(camera.position, rays)[0] for solid in solids], axis=0)
    np.testing.assert_array_equal(image.depth.reshape(-1), nearest)
    np.testing.assert_array_equal(image.labels > 0, np.isfinite(image.depth))
