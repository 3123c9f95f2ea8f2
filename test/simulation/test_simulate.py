# SPDX-License-Identifier: Apache-2.0
"""The simulated camera: rays hit what they should, frames are labeled, organized and repeatable."""

from itertools import groupby

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sphmask_core.simulation.bodies import STEP, Body
from sphmask_core.simulation.camera import FOCAL, Image, normals, render
from sphmask_core.simulation.kinect import measure
from sphmask_core.simulation.objects import mug, open_box
from sphmask_core.simulation.paint import Paint
from sphmask_core.simulation.piles import Pile
from sphmask_core.simulation.scenes import NEAREST, labeled, random_camera, simulate_cloud
from sphmask_core.simulation.shapes import BOTTOM, Box, Revolved, Solid
from sphmask_core.simulation.soft import Soft
from sphmask_core.simulation.tables import table_scene

SHAPES = [
    Box(0.1, 0.2, 0.15),
    Revolved.cone(0.05, 0.05, 0.2),
    Revolved.cone(0.02, 0.06, 0.1),
    Revolved.ball(0.07),
    Soft(0.15, 0.2, 0.15, 4, np.eye(3) * 30, 0.4),
]


def contains(shape, points):
    """Whether points (..., 3) are inside a shape; of a hollow one, in its bottom."""
    x, y, z = np.moveaxis(points, -1, 0)
    within = (z > 0) & (z < shape.height)
    if isinstance(shape, Box):
        return within & (abs(x) < shape.width / 2) & (abs(y) < shape.depth / 2)
    if isinstance(shape, Soft):
        return within & (shape.outside(points.reshape(-1, 3).T).reshape(z.shape) < 0)
    return within & (x**2 + y**2 < shape.squared_radius(z)) & (~np.array(shape.hollow) | (z < BOTTOM))


def scene(seed):
    """A table and its objects, and the level direction that they are seen along."""
    rng = np.random.default_rng(seed)
    away = np.array([np.cos(seed), np.sin(seed)])
    return rng, table_scene(rng, away), away


def inner_points(solid, rng, count=300):
    """Points (count, 3) in the world within a solid, 1 mm under its surface."""
    low, high = solid.shape.hull.min(0), solid.shape.hull.max(0)
    points = rng.uniform(low, high, (count, 3))
    points = np.concatenate([points, solid.shape.surface])
    middle = [0, 0, solid.shape.height / 2]
    deep = points - 0.001 * np.sign(points - middle)
    return (
        deep[contains(solid.shape, points) | (np.arange(len(points)) >= count)] @ solid.rotation.T
        + solid.position
    )


@pytest.mark.parametrize("shape", SHAPES, ids=["box", "cylinder", "cone", "ball", "sack"])
@settings(max_examples=30, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_first_hit(shape, seed):
    """Walking along each ray in 1 mm steps enters the shape where `hit` says."""
    rng = np.random.default_rng(seed)
    direction = rng.normal(size=3)
    origin = np.array([0, 0, 0.1]) - direction / np.linalg.norm(direction) * 0.5
    rays = rng.uniform((-0.1, -0.1, -0.02), (0.1, 0.1, 0.18), (40, 3)) - origin
    rays /= np.linalg.norm(rays, axis=1, keepdims=True)
    t = shape.hit(origin, rays.T)
    steps = np.arange(0, 1, 0.001)
    inside = contains(shape, origin + steps[:, None, None] * rays)
    entered = np.where(inside.any(0), steps[inside.argmax(0)], np.inf)
    hit = np.isfinite(entered)
    close = abs(t[hit] - entered[hit]) < 0.0011
    assert close.all() or (isinstance(shape, Soft) and close.mean() > 0.8)  # its steps may miss a thin chord
    chord = np.isfinite(t) & ~hit  # grazed between two steps
    if not isinstance(shape, Soft):
        assert not contains(shape, origin + (t[chord] + 0.002)[:, None] * rays[chord]).any()


def test_hollow_shows_its_inside():
    bowl = Revolved.bowl(0.1, 0.06)
    down = np.array([[0.0], [0.0], [-1.0]])
    assert bowl.hit(np.array([0, 0, 1.0]), down) == pytest.approx(1 - 0.004)
    wall = bowl.hit(np.array([0.09, 0, 1.0]), down)
    assert bowl.squared_radius(1 - wall[0]) == pytest.approx(0.09**2)


def test_same_seed_same_frame():
    first, again, other = simulate_cloud(3), simulate_cloud(3), simulate_cloud(4)
    np.testing.assert_array_equal(first.xyz, again.xyz)
    np.testing.assert_array_equal(first.rgb, again.rgb)
    assert not np.array_equal(first.labels, other.labels)


@pytest.mark.parametrize("seed", range(6))
def test_frame(seed):
    """An optical frame with the camera's geometry, at least one object, and labels where there are points."""
    cloud = simulate_cloud(seed, 320, 240)
    assert cloud.shape == (240, 320) and cloud.xyz.dtype == np.float32 and cloud.rgb.dtype == np.uint8
    seen = np.isfinite(cloud.xyz).all(1)
    np.testing.assert_array_equal(cloud.labels > 0, seen)
    labels = set(cloud.labels[seen])
    assert 1 in labels and len(labels) > 1 and all(label <= 3 or label % 10 == 0 for label in labels)
    x, y, z = cloud.xyz[seen].T
    row, column = np.divmod(np.flatnonzero(seen), 320)
    np.testing.assert_allclose(x / z * FOCAL * 320, column + 0.5 - 160, atol=1e-3)
    np.testing.assert_allclose(y / z * FOCAL * 320, row + 0.5 - 120, atol=1e-3)
    assert 0.1 < z.min() < z.max() < 6


@pytest.mark.parametrize("seed", range(12))
def test_no_object_in_another(seed):
    """No point 1 mm under the surface of a solid is in a solid of another object."""
    rng, items, _ = scene(seed)
    for i, item in enumerate(items):
        points = np.concatenate([inner_points(part, rng) for part in item.parts])
        for other in items[:i] + items[i + 1 :]:
            for part in other.parts:
                assert not contains(part.shape, (points - part.position) @ part.rotation).any()


def test_objects_rest_on_something():
    """All stand on the table or on each other, and scenes are from a few objects to very many."""
    counts = []
    for seed in range(30):
        _, items, _ = scene(seed)
        counts.append(len(items) - 1)
        lows = np.array([item.extents[0, :, -1].min() for item in items])
        assert lows[1:].min() > -1e-6
    assert min(counts) <= 4 and max(counts) >= 15


PAINT = Paint(np.zeros((4, 3)), np.zeros(3), np.zeros(3))


def box(width, depth, height, mass=1.0):
    solid = Solid(Box(width, depth, height), np.eye(3), np.zeros(3), PAINT)
    return Body((solid,), np.array([0, 0, height / 2]), mass)


def cube(x, size=0.1):
    return box(size, size, size).at(x, 0)


def ground():
    return box(1, 1, 0.03).at(0, 0, -0.03)


def test_drop_needs_the_center_of_mass_carried():
    pile = Pile(ground())
    assert pile.drop(cube(0.4)) and not pile.drop(cube(0.46)) and not pile.drop(cube(0.51))
    assert pile.drop(cube(0.38)) and pile.items[-1].center[2] == pytest.approx(0.15)
    assert len(pile.items) == 3


def test_a_weight_may_not_tip_what_carries_it():
    pile = Pile(ground())
    assert pile.drop(cube(0)) and pile.drop(cube(0.03)) and not pile.drop(cube(0.07))


def test_bridge():
    """A plank over a gap, which alone on either side would fall."""
    pile = Pile(ground())
    plank = box(0.4, 0.05, 0.01, 1e-3).at(0, 0)
    assert pile.drop(cube(-0.15)) and not pile.drop(plank)
    assert pile.drop(cube(0.15)) and pile.drop(plank)


@pytest.mark.parametrize("turn", [0, 1, 7, 40])
def test_slide_touches(turn):
    """A box turned by steps is slid until its corner or its face is at the other's face."""
    pile = Pile(ground())
    pile.drop(cube(0))
    angle = turn * STEP
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    way = pile.slide(cube(0).body.turned(rotation).at(0, 0), 1, np.array([1.0, 0, 0]))
    assert way == pytest.approx(0.05 * (1 + abs(np.cos(angle)) + abs(np.sin(angle))))


def test_light_passes_a_mugs_handle():
    """From the axis outward level rays meet the wall, nothing, the handle, nothing."""
    forward = np.array([[0.0], [1.0], [0.0]])
    for seed in range(6):
        parts = mug(np.random.default_rng(seed)).parts
        middle = parts[0].surface[:, 2].mean()
        x = np.linspace(0, 0.12, 200)
        blocked = [
            any(np.isfinite(part.hit(np.array([at, -1.0, middle]), forward)) for part in parts) for at in x
        ]
        assert "".join(key for key, _ in groupby("".join(str(int(b)) for b in blocked))) == "1010"


def test_open_box_holds_things():
    pile = Pile(ground())
    assert pile.drop(open_box(np.random.default_rng(0)).at(0, 0))
    assert pile.drop(cube(0, 0.04)) and pile.items[-1].center[2] < 0.03


@pytest.mark.parametrize("seed", range(6))
def test_camera_keeps_its_distance(seed):
    rng, items, away = scene(seed)
    camera = random_camera(rng, items, away, 32, 24)
    depths = [camera.depths(part.surface).min() for item in items[1:] for part in item.parts]
    assert min(depths) > NEAREST - 1e-6


def flat(depth):
    return Image(
        np.full((480, 640), depth, np.float32), np.zeros((480, 640, 3)), np.ones((480, 640), np.int64)
    )


def test_depth_error_grows_with_the_square_of_the_depth():
    rng, items, away = scene(0)
    camera = random_camera(rng, items, away, 640, 480)
    errors = []
    for depth in (0.7, 1.4):
        measured = measure(rng, flat(depth), np.ones((480, 640)), camera).depth
        errors.append(np.nanstd(measured - depth))
    assert errors[0] < 0.002 and 3 < errors[1] / errors[0] < 5.5


def test_shadows_of_an_object():
    """Beside a near board the ground is lost, twice as wide on its left, from where the projector is away."""
    rng, items, away = scene(0)
    camera = random_camera(rng, items, away, 640, 480)
    image = flat(1.2)
    image.depth[100:380, 200:400] = 0.6
    image.labels[100:380, 200:400] = 20
    measured = measure(rng, image, np.ones((480, 640)), camera)
    lost = np.isnan(measured.depth[120:360]).mean(0) > 0.5
    left, right = lost[100:200].sum(), lost[400:500].sum()
    shift = 525 * (1 / 0.6 - 1 / 1.2)
    assert left == pytest.approx(0.05 * shift, abs=3) and right == pytest.approx(0.025 * shift, abs=3)
    assert not lost[:150].any() and not lost[210:390].any() and not lost[450:].any()
    np.testing.assert_array_equal(measured.labels > 0, np.isfinite(measured.depth))


def test_noise_is_alike_in_patches():
    """Neighbors in a row share two thirds of their error, as in real frames."""
    rng, items, away = scene(0)
    camera = random_camera(rng, items, away, 640, 480)
    error = 43.5 / measure(rng, flat(0.9), np.ones((480, 640)), camera).depth - 43.5 / 0.9
    error = np.where(np.isnan(error), 0, error - np.nanmean(error))
    assert 0.07 < error.std() < 0.1
    assert 0.55 < (error[:, 1:] * error[:, :-1]).mean() / error.var() < 0.8
    assert abs((error[:, 12:] * error[:, :-12]).mean()) < 0.05 * error.var()


def test_normals():
    """Of a tilted plane, up to its edge."""
    rng, items, away = scene(0)
    camera = random_camera(rng, items, away, 64, 48)
    normal = np.array([0.2, -0.6, -0.5]) / np.linalg.norm([0.2, -0.6, -0.5])
    depth = -0.4 / np.tensordot(normal, camera.directions, 1)
    depth[(depth < 0) | (depth > 2)] = np.inf
    depth[:, 40:] = np.inf
    computed = normals(depth, camera)[:, np.isfinite(depth)]
    assert (normal @ computed > 0.99).mean() > 0.97


def test_render_keeps_the_nearest():
    """The depth of every pixel is the smallest over the solids."""
    rng, items, away = scene(1)
    solids, camera = labeled(items), random_camera(rng, items, away, 64, 48)
    image = render(solids, camera)
    rays = np.tensordot(camera.rotation, camera.directions, 1).reshape(3, -1)
    each = np.array([solid.hit(camera.position, rays) for _, solid in solids])
    nearest = each.min(0)
    np.testing.assert_array_equal(image.labels > 0, np.isfinite(image.depth))
    close = np.isclose(image.depth.reshape(-1), nearest, atol=1e-4)
    assert close.mean() > 0.999  # but for rays that graze
    labels = np.array([label for label, _ in solids])[each.argmin(0)]
    seen = np.isfinite(nearest)
    assert (labels == image.labels.reshape(-1))[seen & close].mean() > 0.999
