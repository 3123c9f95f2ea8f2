# SPDX-License-Identifier: Apache-2.0
"""Simulated sweeps of LiDARs, `data.simulated` of them."""

from __future__ import annotations

from sphmask_core.clouds import scenes
from sphmask_core.config import Config
from sphmask_core.simulation.streets.sweep import simulate_sweep

from ..made import MadeClouds, MadeScenes, Maker, SplitSeeds, made_clouds, made_scenes

SEEDS = SplitSeeds(train=0, val=900_000, val_scenes=16)
VERSION = 2
"""Raise it when a seed gives another sweep."""


def load_raw(config: Config, split: str) -> MadeClouds:
    """Returns the clouds and labels as the sensor gives them."""
    return made_clouds(MAKER, SEEDS.of(split, config.data.simulated, config.data.skip), config)


def load_scenes(config: Config, split: str) -> MadeScenes:
    """Returns the scenes of a split as the model sees them, thinned."""
    return made_scenes(MAKER, SEEDS.of(split, config.data.simulated, config.data.skip), config)


def simulate(seed: int) -> scenes.Scene:
    """Returns one labeled sweep; ImportError without the extra `simulation`."""
    return simulate_sweep(seed)


MAKER = Maker("street", simulate, {"version": VERSION})
