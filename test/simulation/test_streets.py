# SPDX-License-Identifier: Apache-2.0
"""Simulated sweeps: repeatable, labeled as a person would, on ground that can be found."""

import numpy as np
import pytest

from sphmask_core.clouds.scenes import UNLABELED
from sphmask_core.method.ground import find_ground

pytest.importorskip("embreex")

from sphmask_core.simulation.indoors.things import Footprint
from sphmask_core.simulation.streets import drive, lidars, undergrowth, vehicles, worlds
from sphmask_core.simulation.streets.sweep import CLASSES, FEWEST, STRUCTURE, simulate_sweep

SEEDS = range(6)


@pytest.fixture(scope="module")
def sweeps():
    return [simulate_sweep(seed) for seed in SEEDS]


def test_the_same_seed_gives_the_same_sweep(sweeps):
    again = simulate_sweep(0)
    np.testing.assert_array_equal(again.cloud.xyz, sweeps[0].cloud.xyz)
    np.testing.assert_array_equal(again.instance, sweeps[0].instance)


def test_labels(sweeps):
    for scene in sweeps:
        assert len(scene.cloud.xyz) == len(scene.semantic) == len(scene.instance)
        assert np.isfinite(scene.cloud.xyz).all()
        inside = scene.instance >= 0
        assert (scene.semantic[inside] >= STRUCTURE).all() and (scene.semantic < len(CLASSES)).all()
        assert (scene.semantic[~inside & (scene.semantic != UNLABELED)] < STRUCTURE).all()
        _, counts = np.unique(scene.instance[inside], return_counts=True)
        assert (counts >= FEWEST).all()


def test_the_ground_is_found_in_sweeps(sweeps):
    ground = np.concatenate(
        [find_ground(scene.cloud.xyz, "terrain").left_out[scene.semantic == 0] for scene in sweeps]
    )
    assert ground.mean() > 0.97


def test_sensors_see_all_around_or_ahead(rng=None):
    rng = np.random.default_rng(1)
    for elevations in lidars.ROTATING.values():
        directions, moments = lidars.rotating(rng, elevations, 900)
        assert len(directions) == 900 * len(elevations)
        np.testing.assert_allclose(np.linalg.norm(directions, axis=1), 1, atol=1e-5)
        assert moments.min() == 0 and moments.max() == 1


def test_vehicles_are_as_large_as_vehicles():
    rng = np.random.default_rng(0)
    for make, low, high in (
        (vehicles.car, (3.3, 1.5, 1.3), (6.3, 2.6, 2.7)),
        (vehicles.truck, (4.5, 1.9, 2.1), (16, 2.8, 4.2)),
        (vehicles.person, (0.15, 0.3, 0.9), (1.3, 1.0, 2.0)),
        (lambda r: vehicles.cyclist(r, True), (1.3, 0.4, 1.2), (2.6, 0.9, 2.2)),
    ):
        for _ in range(30):
            thing = make(rng)
            assert (thing.size >= low).all() and (thing.size <= high).all(), (thing.name, thing.size)
            assert thing.low[2] > -0.1


@pytest.mark.parametrize(
    "make",
    [
        undergrowth.bush, undergrowth.grass, undergrowth.bank, undergrowth.stone, undergrowth.low_wall,
        undergrowth.steps, undergrowth.shed,
    ],
)  # fmt: skip
def test_undergrowth_is_background_that_stands_on_the_ground(make):
    rng = np.random.default_rng(0)
    for _ in range(20):
        thing = make(rng)
        assert CLASSES.index(thing.name) < STRUCTURE
        heights = np.concatenate([model.vertices[:, 2] for model in thing.models])
        assert heights.min() < 0.5 and 0.05 < heights.max() < 6


def test_roadsides_are_overgrown(sweeps):
    beside = [scene.semantic[np.abs(scene.cloud.xyz[:, 1]) < 25] for scene in sweeps]
    grown = [np.isin(semantic, [CLASSES.index("vegetation")]).mean() for semantic in beside]
    assert max(grown) > 0.02


def test_vehicles_pass_beside_the_sensor_and_never_stand_around_it():
    beside = 0
    for seed in range(20):
        world = worlds.street(np.random.default_rng(seed))
        for put in world.placed:
            if put.thing.name in (vehicles.CAR, vehicles.TRUCK):
                place = Footprint.of(put.thing, *put.position[:2], put.yaw)
                assert not place.overlaps(worlds.OWN_PLACE), (seed, put.thing.name)
                beside += bool((np.abs(place.corners).min(axis=0) < np.add(worlds.OWN_HALF, (0, 1.7))).all())
    assert beside > 5


def test_things_of_a_drive_are_where_they_are_however_the_sensor_moves():
    """Points, put back into the street by the pose, lie on their thing, which rests or moves."""
    rng = np.random.default_rng(0)
    beams = lidars.Beams(*lidars.rotating(rng, lidars.ROTATING["vlp32"], 900), 0.0, 100.0)
    journey = drive.Drive.along(1, beams, speed=5.0, duration=4.0)
    first, *_, last = journey.sweeps(1.0)
    assert (first.seconds, last.seconds) == (0.0, 3.0)
    shared = np.intersect1d(first.thing[first.thing >= 0], last.thing)
    moving = [thing for thing in shared.tolist() if journey.moves(thing)]
    assert moving and len(shared) - len(moving) > 3
    for thing in shared.tolist():
        put, half = journey.world.placed[thing], journey.world.placed[thing].thing.size.max()
        for sweep in (first, last):
            points, pose = sweep.xyz[sweep.thing == thing], journey.pose(sweep.seconds)
            away = points @ pose[:3, :3].T + pose[:3, 3] - put.position
            away -= journey.world.speeds[thing] * (sweep.seconds - 2.0)
            assert np.abs(away[:, :2]).max() <= half, journey.name(thing)
