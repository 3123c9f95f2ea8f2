# SPDX-License-Identifier: Apache-2.0
"""Simulated rooms and yards: classes, instances, furniture that stands apart, rings of a LiDAR."""

import numpy as np
import pytest

from sphmask_core.clouds.scenes import UNLABELED
from sphmask_core.simulation.bodies import TOUCH, gaps
from sphmask_core.simulation.lidar import Lidar
from sphmask_core.simulation.rooms import CLUTTER, room
from sphmask_core.simulation.scenes import (
    LIDAR_HEIGHT,
    ROOM_CLASSES,
    simulate_plain_room,
    simulate_plain_yard,
)
from sphmask_core.simulation.yards import CLASSES, GROUND, HOUSE, yard


@pytest.fixture(scope="module")
def scanned():
    return simulate_plain_room(0)


def test_room(scanned):
    """About 150,000 points in ScanNet's classes; every instance is of one class, walls and floor of none."""
    assert 60_000 < len(scanned.cloud.xyz) < 400_000
    assert np.isfinite(scanned.cloud.xyz).all()
    names = {ROOM_CLASSES[i] for i in np.unique(scanned.semantic) if i >= 0}
    assert {"wall", "floor"} < names and len(names) >= 6
    labeled = scanned.instance >= 0
    assert not np.isin(scanned.semantic[labeled], [0, 1, UNLABELED]).any()
    pairs = np.unique(np.stack([scanned.instance, scanned.semantic])[:, labeled], axis=1)
    assert len(np.unique(pairs[0])) == pairs.shape[1] >= 5


def test_room_stands_on_its_floor(scanned):
    floor, wall = (
        scanned.cloud.xyz[scanned.semantic == ROOM_CLASSES.index(name), 2] for name in ("floor", "wall")
    )
    assert abs(np.median(floor)) < 0.002 and floor.std() < 0.01
    assert scanned.cloud.xyz[:, 2].min() > -0.03 and wall.max() > 1.5


def test_rooms_repeat(scanned):
    again = simulate_plain_room(0)
    np.testing.assert_array_equal(scanned.cloud.xyz, again.cloud.xyz)
    np.testing.assert_array_equal(scanned.cloud.rgb, again.cloud.rgb)
    np.testing.assert_array_equal(scanned.instance, again.instance)


def test_every_class_of_furniture_is_in_some_room():
    names = {thing.name for seed in range(40) for thing in room(np.random.default_rng(seed))[0]}
    assert len(names & set(ROOM_CLASSES)) >= 17 and CLUTTER in names


@pytest.mark.parametrize(
    "make", [lambda rng: room(rng)[1].items, lambda rng: yard(rng)[0]], ids=["room", "yard"]
)
def test_nothing_in_another(make):
    for seed in range(5):
        items = make(np.random.default_rng(seed))
        for i, item in enumerate(items):
            for other in items[:i]:
                assert (gaps(item.extents, other.extents).max(2) > -2 * TOUCH).all()


def test_rings():
    """Each row keeps one elevation, each column one azimuth."""
    sensor = Lidar(beams=16, columns=360, elevations=(-15, 15))
    scene = simulate_plain_yard(0, sensor)
    assert scene.cloud.shape == (16, 360)
    x, y, z = scene.cloud.xyz.reshape(16, 360, 3).transpose(2, 0, 1)
    elevation = np.degrees(np.arctan2(z, np.hypot(x, y)))
    expected = np.broadcast_to(np.linspace(15, -15, 16)[:, None], (16, 360))
    seen = np.isfinite(x)
    np.testing.assert_allclose(elevation[seen], expected[seen], atol=0.01)
    azimuth = np.degrees(np.arctan2(y, x))
    turned = (azimuth - np.broadcast_to(np.arange(360) - 180, (16, 360)) + 180) % 360 - 180
    np.testing.assert_allclose(turned[seen], 0, atol=0.01)


def test_yard():
    scene = simulate_plain_yard(1)
    xyz, seen = scene.cloud.xyz, np.isfinite(scene.cloud.xyz[:, 0])
    np.testing.assert_array_equal(scene.semantic != UNLABELED, seen)
    ground = xyz[scene.semantic == GROUND, 2] + LIDAR_HEIGHT
    assert abs(np.median(ground)) < 0.01 and 0.4 < seen.mean() < 0.99
    assert set(np.unique(scene.semantic[scene.instance >= 0])) <= set(range(len(CLASSES))) - {GROUND, HOUSE}
    assert len(np.unique(scene.instance)) > 5


def test_range_noise():
    """A sensor in an empty yard sees the ground plane within its noise."""
    rng = np.random.default_rng(0)
    sensor = Lidar(noise=0.02, dropout=0.0)
    items, _ = yard(rng)
    points, first = sensor.scan(rng, items[0].parts, np.array([0, 0, 1.7]))
    ranges, rays = np.linalg.norm(points, axis=0), sensor.directions()
    error = (ranges + 1.7 / rays[2])[first >= 0]
    assert error.std() == pytest.approx(0.02, rel=0.1) and abs(error.mean()) < 0.002
