# SPDX-License-Identifier: Apache-2.0
"""Simulated rooms: crowded, repeatable, labeled as a person would; no meshes of the extra are needed."""

import numpy as np
import pytest

from sphmask_core.clouds.scenes import UNLABELED

pytest.importorskip("embreex")

from sphmask_core.simulation.indoors.meshes import Stock
from sphmask_core.simulation.indoors.rooms import random_room
from sphmask_core.simulation.indoors.scan import FEWEST, simulate_room, simulate_room_frame
from sphmask_core.simulation.indoors.things import CLASSES, STRUCTURE

STOCK = Stock()


@pytest.fixture(scope="module")
def scans():
    return [simulate_room(seed, STOCK) for seed in range(4)]


@pytest.fixture(scope="module")
def frames():
    return [simulate_room_frame(seed, STOCK) for seed in range(4)]


def test_the_same_seed_gives_the_same_room(scans, frames):
    np.testing.assert_array_equal(simulate_room(0, STOCK).cloud.xyz, scans[0].cloud.xyz)
    np.testing.assert_array_equal(simulate_room_frame(0, STOCK).cloud.xyz, frames[0].cloud.xyz)


def test_labels(scans, frames):
    for scene in [*scans, *frames]:
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
