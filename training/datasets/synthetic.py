# SPDX-License-Identifier: Apache-2.0
"""Simulated frames of tables, `data.tabletop.simulated` of them; validation has seeds of its own."""

from __future__ import annotations

import functools

import numpy as np

from sphmask_core.clouds import scenes
from sphmask_core.config import Config
from sphmask_core.simulation.scenes import simulate_cloud
from sphmask_core.simulation.tabletop import Assets, load_assets, simulate_scene
from sphmask_core.simulation.tabletop.sensors import Sensor

from ..made import MadeClouds, MadeScenes, Maker, SplitSeeds, made_clouds, made_scenes

SEEDS = SplitSeeds(train=1_000_000, val=2_000_000, val_scenes=20)
WIDTH, HEIGHT = 640, 480
"""Pixels of the simulated cameras."""
VISIBLE = 200
"""Fewest points of an object that count; what shows less of itself is left unlabeled."""
SHAPES, MESHES = 1, 1
"""Versions of the simulated tables: raise one when a seed gives another scene."""


def load_raw(config: Config, split: str) -> MadeClouds:
    """Returns the clouds and labels as the camera gives them."""
    return made_clouds(maker(config), _seeds(config, split), config)


def load_scenes(config: Config, split: str) -> MadeScenes:
    """Returns the scenes of a split, thinned; superpoints are those that inference would find."""
    return made_scenes(maker(config), _seeds(config, split), config)


def maker(config: Config) -> Maker:
    """Makes the simulated frames that the configuration asks for."""
    if config.data.tabletop.simulator == "meshes":
        return Maker("meshes", simulate_meshes, {"version": MESHES})
    key = {"version": SHAPES, "size": [WIDTH, HEIGHT], "visible": VISIBLE}
    return Maker("shapes", simulate_shapes, key)


def simulate_meshes(seed: int, sensor: Sensor | None = None) -> scenes.Scene:
    """Returns one labeled frame of real meshes, by any camera unless one is named; ImportError without the
    extra `simulation`."""
    return simulate_scene(seed, _assets(), sensor=sensor)


@functools.cache
def _assets() -> Assets:
    """Returns the meshes, loaded once in each process."""
    return load_assets()


def simulate_shapes(seed: int) -> scenes.Scene:
    """Returns one labeled frame of plain shapes, by a Kinect."""
    cloud = simulate_cloud(seed, WIDTH, HEIGHT)
    assert cloud.labels is not None
    hidden = np.bincount(cloud.labels)[cloud.labels] < VISIBLE
    semantic, instance = scenes.ground_truth(np.where(hidden, 0, cloud.labels))
    return scenes.Scene(f"simulated{seed}", cloud, semantic, instance)


def _seeds(config: Config, split: str) -> range:
    return SEEDS.of(split, config.data.tabletop.simulated, config.data.skip)
