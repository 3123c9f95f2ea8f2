# SPDX-License-Identifier: Apache-2.0
"""Simulated rooms: crowded, repeatable, labeled as a person would; no meshes of the extra are needed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sphmask_core.clouds.scenes import UNLABELED

pytest.importorskip("embreex")

from sphmask_core.simulation.indoors import kitchens
from sphmask_core.simulation.indoors.meshes import Stock
from sphmask_core.simulation.indoors.rooms import ROW_GAP, random_room
from sphmask_core.simulation.indoors.scan import FEWEST, simulate_part, simulate_room, simulate_room_frame
from sphmask_core.simulation.indoors.things import CLASSES, STRUCTURE, Footprint

STOCK = Stock()


@pytest.fixture(scope="module")
def scans():
    return [simulate_room(seed, STOCK) for seed in range(4)]


@pytest.fixture(scope="module")
def frames():
    return [simulate_room_frame(seed, STOCK) for seed in range(4)]


@pytest.fixture(scope="module")
def parts():
    return [simulate_part(seed, STOCK) for seed in range(4)]


def test_the_same_seed_gives_the_same_room(scans, frames, parts):
    np.testing.assert_array_equal(simulate_room(0, STOCK).cloud.xyz, scans[0].cloud.xyz)
    np.testing.assert_array_equal(simulate_part(0, STOCK).cloud.xyz, parts[0].cloud.xyz)
    np.testing.assert_array_equal(simulate_room_frame(0, STOCK).cloud.xyz, frames[0].cloud.xyz)


def test_labels(scans, frames, parts):
    for scene in [*scans, *frames, *parts]:
        assert np.isfinite(scene.cloud.xyz).all() and len(scene.cloud.rgb) == len(scene.semantic)
        inside = scene.instance >= 0
        assert (scene.semantic[inside] >= len(STRUCTURE)).all() and (scene.semantic < len(CLASSES)).all()
        assert (scene.semantic[~inside & (scene.semantic != UNLABELED)] < len(STRUCTURE)).all()
        _, counts = np.unique(scene.instance[inside], return_counts=True)
        assert (counts >= FEWEST).all()


def test_floors_are_level_and_scans_are_crowded(scans):
    for scene in scans:
        assert abs(np.median(scene.cloud.xyz[scene.semantic == 1, 2])) < 0.05
    crowds = [len(np.unique(scene.instance)) for scene in scans]
    assert np.mean(crowds) > 20


def test_parts_of_rooms_show_less(scans, parts):
    """Of the same seeds, so of the same rooms."""
    for scan, part in zip(scans, parts, strict=True):
        assert len(part.cloud.xyz) > 1000
        assert len(np.unique(part.instance)) < len(np.unique(scan.instance))


def test_furniture_stands_in_rows():
    """Desks stand side by side and back to back, a finger apart at most, and never within each other."""
    gaps = []
    for seed in range(120):
        desks = [put for put in random_room(np.random.default_rng(seed), STOCK) if put.thing.name == "desk"]
        places = [Footprint.of(put.thing, put.position[0], put.position[1], put.yaw) for put in desks]
        grown = [Footprint.of(put.thing, put.position[0], put.position[1], put.yaw, ROW_GAP) for put in desks]
        for i, place in enumerate(places):
            assert not any(place.overlaps(other) for other in places[:i])
            gaps += [place.overlaps(other) for other in grown[:i]]
    assert sum(gaps) >= 5


def test_every_class_is_in_some_room():
    names = {
        placed.thing.name for seed in range(60) for placed in random_room(np.random.default_rng(seed), STOCK)
    }
    assert set(CLASSES) - names == set()


def test_frames_lie_before_their_camera(frames):
    """Upright, the camera's foot at the origin: within its reach, and not below the floor."""
    for scene in frames:
        assert np.linalg.norm(scene.cloud.xyz[:, :2], axis=1).max() < 8
        assert scene.cloud.xyz[:, 2].min() > -0.3


def test_a_camera_that_measures_nothing_is_moved():
    """Of this seed the camera that sees most things stands within a wardrobe, nearer than it can measure."""
    assert len(simulate_room_frame(50931, STOCK).cloud.xyz) > 10_000


@given(st.integers(0, 10_000), st.floats(*kitchens.LENGTH), st.floats(2.2, 3.2))
def test_a_kitchen_is_within_its_place(seed, length, ceiling):
    rng = np.random.default_rng(seed)
    size = length, 0.6, 0.9
    parts = kitchens.kitchen(rng, size, ceiling, [(0.0, 0.5)])
    assert parts
    standing = []
    for part in parts:
        low, high = (np.add(end, (part.x, part.y, 0)) for end in (part.thing.low, part.thing.high))
        assert low[0] > -0.03 and high[0] < length + 0.03 and high[1] < 0.03
        assert low[2] >= 0 and (part.thing.name == "refrigerator" or high[2] < ceiling + 1e-6)
        if low[2] < 0.2:
            standing.append((low[0], high[0]))
        elif part.thing.name == "cabinet":
            assert part.x > 0.5  # none before a window
    standing.sort()
    gaps = np.subtract([start for start, _ in standing[1:]], [end for _, end in standing[:-1]])
    assert (gaps > -0.03).all()  # side by side
