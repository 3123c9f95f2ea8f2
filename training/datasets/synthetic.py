# SPDX-License-Identifier: Apache-2.0
"""Simulated frames of tables, `data.tabletop.simulated` of them; validation has seeds of its own."""

from __future__ import annotations

import numpy as np

from sphmask_core.clouds import scenes
from sphmask_core.config import Config
from sphmask_core.simulation.scenes import simulate_cloud

from ..parallel import in_parallel
from ..scene import Scene
from .mosd import thinned

FIRST_SEED = {"train": 1_000_000, "val": 2_000_000}
VALIDATION_SCENES = 20
WIDTH, HEIGHT = 640, 480
VISIBLE = 200
"""Fewest points of an object that count; what shows less of itself is left unlabeled."""


def load_raw(config: Config, split: str) -> list[scenes.Scene]:
    """Clouds and labels as the camera gives them."""
    return [simulate(seed) for seed in _seeds(config, split)]


def load_scenes(config: Config, split: str) -> list[Scene]:
    """Scenes of a split, thinned; superpoints are those that inference would find."""
    seeds = _seeds(config, split)
    return in_parallel(lambda i: thinned(simulate(seeds[i]), config), len(seeds), f"simulated {split} scenes")


def simulate(seed: int) -> scenes.Scene:
    """One labeled frame."""
    cloud = simulate_cloud(seed, WIDTH, HEIGHT)
    assert cloud.labels is not None
    hidden = np.bincount(cloud.labels)[cloud.labels] < VISIBLE
    semantic, instance = scenes.ground_truth(np.where(hidden, 0, cloud.labels))
    return scenes.Scene(f"simulated{seed}", cloud, semantic, instance)


def _seeds(config: Config, split: str) -> range:
    count = config.data.tabletop.simulated if split == "train" else VALIDATION_SCENES
    return range(FIRST_SEED[split], FIRST_SEED[split] + count)
