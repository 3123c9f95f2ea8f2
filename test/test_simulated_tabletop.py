# SPDX-License-Identifier: Apache-2.0
"""Simulated tables of meshes: geometry, sensors and labels; whole frames where the extra is installed."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sphmask_core.clouds.scenes import BACKGROUND, OBJECT, SUPPORT
from sphmask_core.simulation.tabletop import Assets, extra, load_assets, simulate_scene
from sphmask_core.simulation.tabletop.household import MAKERS, make
from sphmask_core.simulation.tabletop.labels import labels, owners
from sphmask_core.simulation.tabletop.model import Part, box, random_rotation, turned
from sphmask_core.simulation.tabletop.physics import Pose, settle
from sphmask_core.simulation.tabletop.raycast import Pinhole, View
from sphmask_core.simulation.tabletop.sensors import SENSORS

seeds = st.integers(0, 2**32 - 1)
SPHERE, RADIUS, PLANE = np.array([0.0, 0.0, 0.8]), 0.1, 1.0


@dataclass
class BallBeforeAWall:
    """A ball before a wall that faces the camera, solved by hand: a world that needs no Embree."""

    camera: Pinhole = None

    def look(self) -> View:
        self.camera = Pinhole(320, 240, 270.0, np.eye(3), np.zeros(3))
        rays = self.camera.directions
        t = self._ball(np.zeros(3), rays)
        hit = np.isfinite(t)
        depth = np.where(hit, t, PLANE).astype(np.float32)
        points = rays * depth[..., None]
        normals = np.where(hit[..., None], (points - SPHERE) / RADIUS, [0, 0, -1.0]).astype(np.float32)
        cosine = -(normals * rays).sum(2) / np.linalg.norm(rays, axis=2)
        white = np.full((*depth.shape, 3), 0.7, np.float32)
        return View(self.camera, depth, hit.astype(int), points, normals, cosine, white, np.zeros_like(depth))

    def reached(self, view, place):
        return np.isinf(self._ball(view.points + 1e-4 * view.normals, place - view.points))

    @staticmethod
    def _ball(origin, rays):
        """First t > 0 of rays that meet the ball."""
        out = origin - SPHERE
        a, b, c = (rays**2).sum(-1), (out * rays).sum(-1), (out**2).sum(-1) - RADIUS**2
        root = np.sqrt(np.where(b * b >= a * c, b * b - a * c, np.nan))
        t = (-b - root) / a
        return np.where(t > 0, t, np.inf)


@pytest.fixture(scope="module")
def world():
    return BallBeforeAWall()


@pytest.fixture(scope="module")
def view(world):
    return world.look()


@given(seeds)
def test_rotations_keep_lengths_and_handedness(seed):
    rotation = random_rotation(np.random.default_rng(seed))
    assert np.allclose(rotation @ rotation.T, np.eye(3))
    assert np.isclose(np.linalg.det(rotation), 1)


def test_a_turn_follows_the_right_hand():
    assert np.allclose(turned((0, 0, 1), np.pi / 2) @ [1, 0, 0], [0, 1, 0])


@settings(max_examples=40, deadline=None)
@given(seeds, st.sampled_from(sorted(MAKERS)))
def test_things_made_by_rule_are_as_large_as_in_a_home_and_collide_as_they_look(seed, kind):
    model = make(np.random.default_rng(seed), kind)
    assert model.size.min() > 0.0005 and 0.02 < model.size.max() < 1.0
    assert np.isfinite(model.vertices).all() and model.faces.max() < len(model.vertices)
    assert model.parts
    for part in model.parts:
        corners = part.points if part.points is not None else part.position[None]
        assert (corners >= model.low - 0.02).all() and (corners <= model.high + 0.02).all()


@pytest.mark.parametrize("sensor", SENSORS, ids=lambda sensor: sensor.name)
def test_sensors_measure_a_wall_to_a_centimeter_and_repeat_themselves(sensor, world, view):
    light = view.colors.mean(2)
    measured = [sensor.measure(np.random.default_rng(3), world, view, light) for _ in range(2)]
    assert np.array_equal(*measured, equal_nan=True)
    depth = measured[0]
    assert depth.shape == view.depth.shape and depth.dtype == np.float32
    corner = depth[20:60, 60:120]  # far from the ball
    assert np.isfinite(corner).mean() > 0.5
    assert abs(np.nanmedian(corner) - PLANE) < 0.01
    assert np.nanstd(corner) < 0.015


@pytest.mark.parametrize("name", ["structured light", "stereo", "stripes"])
def test_what_one_of_two_eyes_does_not_see_is_lost(name, world, view):
    """The ball's shadow on the wall lies left or right of it (stripes: or above or below)."""
    sensor = next(sensor for sensor in SENSORS if sensor.name == name)
    lost = np.zeros(view.depth.shape)
    for seed in range(12):
        depth = sensor.measure(np.random.default_rng(seed), world, view, view.colors.mean(2))
        lost += ~np.isfinite(depth)
    beside = lost[110:130, 110:122].mean() + lost[110:130, 198:210].mean()
    assert beside > 4 * lost[20:60, 60:120].mean() + 0.5


def test_points_belong_to_the_surface_that_was_measured(view):
    measured = view.depth.copy()
    middle = (120, 160)
    assert view.item[middle] == 1
    assert (owners(measured, view) == view.item).all()
    measured[middle] = np.nan
    measured[10, 10] = 0.9  # flies between ball and wall
    owner = owners(measured, view)
    assert owner[middle] == owner[10, 10] == -1


def test_a_smeared_edge_is_of_the_near_thing(view):
    row = 120
    first = np.flatnonzero(view.item[row] == 1)[0]
    measured = view.depth.copy()
    measured[row, first - 1] = view.depth[row, first]
    assert owners(measured, view)[row, first - 1] == 1


def test_labels_number_what_shows_enough_of_itself():
    classes = np.array([SUPPORT, BACKGROUND, OBJECT, OBJECT, OBJECT])
    owner = np.repeat([-1, 0, 1, 2, 3, 4], [5, 20, 20, 100, 10, 100]).reshape(5, -1)
    semantic, instance = labels(owner, classes, fewest=60)
    assert (semantic[owner == -1] == -100).all() and (semantic[owner == 3] == -100).all()
    assert [set(semantic[owner == i]) for i in (0, 1, 2, 4)] == [{0}, {1}, {2}, {2}]
    assert (instance[owner == 2] == 0).all() and (instance[owner == 4] == 1).all()
    assert (instance[semantic != OBJECT] < 0).all()


def test_a_missing_extra_is_named_in_one_line(monkeypatch):
    monkeypatch.setattr(extra.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(
        extra.MissingExtraError, match=r"^pybullet_data: .*pip install sphmask\[simulation\]$"
    ):
        extra.folder("pybullet_data")
    with pytest.raises(extra.MissingExtraError, match=r"^no_such_engine: .*sphmask\[simulation\]$"):
        extra.needed("no_such_engine")


@pytest.fixture(scope="module")
def engines():
    for module in ("mujoco", "embreex"):
        pytest.importorskip(module, reason="needs the extra `simulation`")


@pytest.fixture(scope="module")
def scenes(engines):
    return [simulate_scene(seed, Assets()) for seed in range(8)]


class TestFrames:
    """Of parametric shapes alone: needs MuJoCo and Embree, but no meshes."""

    def test_the_same_seed_gives_the_same_frame(self, scenes):
        again = simulate_scene(0, Assets())
        assert np.array_equal(again.cloud.xyz, scenes[0].cloud.xyz, equal_nan=True)
        assert np.array_equal(again.instance, scenes[0].instance)

    def test_clouds_are_organized_in_the_optical_frame(self, scenes):
        for scene in scenes:
            height, width = scene.cloud.shape
            x, y, z = np.moveaxis(scene.cloud.xyz.reshape(height, width, 3), 2, 0)
            assert np.nanmin(z) > 0.1
            assert np.nanmax(x[:, : width // 2]) <= 0 <= np.nanmin(x[:, width // 2 :])
            assert np.nanmax(y[: height // 2]) <= 0 <= np.nanmin(y[height // 2 :])

    def test_labels_are_of_points_and_objects_are_numbered(self, scenes):
        for scene in scenes:
            assert set(np.unique(scene.semantic)) <= {-100, SUPPORT, BACKGROUND, OBJECT}
            assert (scene.semantic[~np.isfinite(scene.cloud.xyz[:, 2])] == -100).all()
            assert ((scene.instance >= 0) == (scene.semantic == OBJECT)).all()
            numbers = np.unique(scene.instance[scene.instance >= 0])
            assert len(numbers) and (numbers == np.arange(len(numbers))).all()

    def test_things_come_to_rest_on_the_ground_and_in_no_other(self, engines):
        boxes = [box((0.05, 0.04, 0.03))] * 3
        starts = [Pose(np.eye(3), np.array([0, 0, 0.05 + 0.1 * i])) for i in range(3)]
        rest = settle([Part.box((1, 1, 0.1), (0, 0, -0.1))], boxes, starts, 3.0)
        assert np.allclose([pose.position[2] for pose in rest], [0.03, 0.09, 0.15], atol=2e-3)
        assert all(pose.still for pose in rest)


def test_meshes_of_the_wheels_are_metric_and_colored():
    for package in ("mujoco", "trimesh", "fast_simplification", "pybullet_data", "robosuite"):
        if extra.importlib.util.find_spec(package) is None:
            pytest.skip(f"{package} is not installed: needs the extra `simulation`")
    assets = load_assets()
    assert len(assets.shapes) > 990 and len(assets.things) > 60
    for model in (*assets.shapes, *assets.things):
        assert model.size.min() > 0.005 and model.size.max() < 0.5
        assert np.allclose(model.low, -model.high, atol=1e-4)
    assert all(model.colors.std() > 0 for model in assets.things if "milk" in model.name)
