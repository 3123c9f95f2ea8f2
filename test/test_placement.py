# SPDX-License-Identifier: Apache-2.0
"""Upright boxes, heights and supports, of bodies whose measures are known."""

import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy.spatial import ConvexHull, QhullError
from scipy.spatial.transform import Rotation

from sphmask_core import Instances
from sphmask_core.clouds.cloud import Cloud
from sphmask_core.commands.results import record
from sphmask_core.placement import place

FINE = np.linspace(-0.5, 0.5, 21)
SURFACE = np.array([(x, y, z) for x in FINE for y in FINE for z in FINE if 0.5 in map(abs, (x, y, z))])
"""Points on the faces of the unit cube."""
TILTED = Rotation.from_euler("xyz", [130, 10, 25], degrees=True).as_matrix()
"""From the world, whose z is up, to a camera's frame."""


def table(half=1.0):
    grid = np.linspace(-half, half, 101)
    return np.stack([*np.meshgrid(grid, grid), np.zeros((101, 101))], -1).reshape(-1, 3)


def box(size, yaw=0.0, x=0.0, y=0.0, base=0.0):
    turn = Rotation.from_euler("z", yaw).as_matrix()
    return (SURFACE * size) @ turn.T + [x, y, base + size[2] / 2]


def seen(*bodies, rest=None, camera=TILTED):
    """A cloud of bodies, each an instance, and of what belongs to none; in the camera's frame."""
    parts = [table() if rest is None else rest, *bodies]
    xyz = (np.concatenate(parts) @ camera.T).astype(np.float32)
    segments = np.repeat(np.arange(len(parts)), [len(part) for part in parts])
    count = len(bodies)
    masks = np.eye(count, count + 2, 1, dtype=bool)
    instances = Instances(
        segment_masks=masks,
        segments=segments,
        labels=segments.astype(np.int32),
        scores=np.ones(count, np.float32),
        class_ids=np.zeros(count, np.int32),
        class_names=("body",) * count,
        centers=np.zeros((count, 3), np.float32),
        rays=np.zeros((count, 4), np.float32),
        boxes=np.zeros((count, 6), np.float32),
        rotation=camera.T.astype(np.float32),
        timings={},
    )
    return xyz, instances


@settings(max_examples=60, deadline=None)
@given(st.floats(-3, 3), st.floats(0.01, 0.4), st.floats(0.01, 0.4), st.floats(0.01, 0.4))
def test_a_box_is_found_as_it_lies(yaw, length, width, height):
    xyz, instances = seen(box((length, width, height), yaw, x=0.3, y=-0.2))
    placed = place(xyz, instances)
    np.testing.assert_allclose(placed.sizes[0], [max(length, width), min(length, width), height], atol=1e-5)
    np.testing.assert_allclose(placed.centers[0], TILTED @ [0.3, -0.2, height / 2], atol=1e-5)
    np.testing.assert_allclose(placed.rotations[0].T @ placed.rotations[0], np.eye(3), atol=1e-5)
    assert np.linalg.det(placed.rotations[0]) == pytest.approx(1, abs=1e-5)
    np.testing.assert_allclose(placed.rotations[0][:, 2], TILTED[:, 2], atol=1e-5)
    along = TILTED.T @ placed.rotations[0][:, 0]
    if abs(length - width) > 1e-3:
        assert abs(along @ [np.cos(yaw), np.sin(yaw), 0]) == pytest.approx(float(length > width), abs=1e-2)
    assert placed.heights[0] == pytest.approx(height, abs=1e-5)
    assert placed.supports.tolist() == [-1]


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 10_000), st.integers(1, 300))
def test_any_points_are_within_and_no_upright_box_has_a_smaller_footprint(seed, count):
    points = np.random.default_rng(seed).normal(size=(count, 3)) * [0.2, 0.1, 0.05]
    xyz, instances = seen(points)
    placed = place(xyz, instances)
    local = (xyz[instances.points(0)] - placed.centers[0]) @ placed.rotations[0]
    assert (np.abs(local) <= placed.sizes[0] / 2 + 1e-5).all()
    yaws = np.linspace(0, np.pi, 181)
    level = points[:, :2] @ np.stack([np.cos(yaws), np.sin(yaws)])
    spans = np.ptp(level, axis=0)
    areas = spans * spans[(np.arange(181) + 90) % 180]
    assert np.prod(placed.sizes[0][:2]) <= areas.min() + 1e-5
    assert placed.sizes[0][0] >= placed.sizes[0][1]


def test_what_stands_on_what():
    crate, can, cup = (
        box((0.3, 0.3, 0.1), 0.4),
        box((0.1, 0.1, 0.12), 1.0, base=0.1),
        box((0.05, 0.05, 0.08), x=0.5),
    )
    xyz, instances = seen(can, crate, cup)
    placed = place(xyz, instances)
    assert placed.supports.tolist() == [1, -1, -1]
    np.testing.assert_allclose(placed.heights, [0.12, 0.1, 0.08], atol=1e-4)


def test_the_hidden_foot_of_an_object_counts():
    """A box behind another, of which the lower 5 cm are not seen: the table around says how high it is."""
    seen_part = box((0.1, 0.1, 0.1), base=0.05)
    xyz, instances = seen(seen_part)
    assert place(xyz, instances).heights[0] == pytest.approx(0.15, abs=1e-4)
    high_up = box((0.1, 0.1, 0.1), base=0.5)
    xyz, instances = seen(high_up)
    assert place(xyz, instances).heights[0] == pytest.approx(0.1, abs=1e-4)


def test_what_is_beside_supports_nothing():
    """The tops of low neighbors are near the foot of a tall one, but its middle is not over them."""
    xyz, instances = seen(box((0.1, 0.1, 0.3)), box((0.3, 0.1, 0.01), y=0.11), rest=np.full((3, 3), np.nan))
    placed = place(xyz, instances)
    assert placed.supports.tolist() == [-1, -1]
    np.testing.assert_allclose(placed.heights, [0.3, 0.01], atol=1e-5)


@pytest.mark.parametrize("count", [0, 1, 2])
def test_few_points_and_none(count):
    line = np.linspace(0, 1, count)[:, None] * [0.3, 0.4, 0.0] if count else np.empty((0, 3))
    xyz, instances = seen(*([line] if count else []), rest=np.empty((0, 3)))
    placed = place(xyz, instances)
    assert len(placed) == min(count, 1)
    if count == 2:
        np.testing.assert_allclose(placed.sizes, [[0.5, 0, 0]], atol=1e-6)


@pytest.mark.parametrize("count", [1, 2, 100])
@pytest.mark.parametrize("end", [(0.0, 0.0, 0.0), (0.0, 0.0, 0.4), (0.3, 0.4, 0.0)])
def test_points_on_each_other_and_on_a_line(count, end):
    """Poles are seen as lines, and what is far away as one point many times."""
    xyz, instances = seen(np.linspace(0, 1, count)[:, None] * end, rest=np.empty((0, 3)), camera=np.eye(3))
    length, height = (np.hypot(end[0], end[1]), end[2]) if count > 1 else (0.0, 0.0)
    np.testing.assert_allclose(place(xyz, instances).sizes, [[length, 0, height]], atol=1e-6)


@settings(max_examples=100, deadline=None)
@given(st.integers(0, 10_000), st.integers(3, 2000), st.sampled_from(["ball", "ring", "grid"]))
def test_the_smallest_box_is_that_of_all_edges_of_qhulls_hull(seed, count, kind):
    random = np.random.default_rng(seed)
    points = random.normal(size=(count, 3)) * [0.2, 0.1, 0.05]
    if kind == "ring":
        points /= np.linalg.norm(points[:, :2], axis=1, keepdims=True)
    if kind == "grid":
        points = points.round(1)
    xyz, instances = seen(points, camera=np.eye(3))
    own = xyz[instances.points(0)][:, :2].astype(float)
    try:
        corners = own[ConvexHull(own).vertices]
    except QhullError:
        assume(False)  # on one line
    edges = np.roll(corners, -1, axis=0) - corners
    along = edges / np.linalg.norm(edges, axis=1, keepdims=True)
    across = along[:, ::-1] * [-1, 1]
    areas = np.ptp(corners @ along.T, axis=0) * np.ptp(corners @ across.T, axis=0)
    assert np.prod(place(xyz, instances).sizes[0][:2]) == pytest.approx(areas.min(), rel=1e-5)


def test_the_json_record_says_how_each_instance_stands():
    xyz, instances = seen(box((0.1, 0.1, 0.12), 1.0, base=0.1), box((0.3, 0.2, 0.1), 0.4))
    cloud = Cloud(xyz, None, None, (1, len(xyz)))
    can, crate = json.loads(json.dumps(record(Path("a.pcd"), cloud, instances, {})))["instances"]
    assert (can["id"], can["support"], crate["id"], crate["support"]) == (1, 2, 2, 0)
    assert can["height"] == pytest.approx(0.12, abs=1e-4)
    np.testing.assert_allclose(crate["upright_box"]["size"], [0.3, 0.2, 0.1], atol=1e-4)
    turned = Rotation.from_quat(crate["upright_box"]["quaternion"]).as_matrix()
    np.testing.assert_allclose(turned[:, 2], TILTED[:, 2], atol=1e-4)
