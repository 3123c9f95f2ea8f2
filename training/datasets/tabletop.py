# SPDX-License-Identifier: Apache-2.0
"""Real frames of tables, mixtures of them and simulated ones; validation is on real and mixed ones."""

from __future__ import annotations

from sphmask_core.clouds import scenes
from sphmask_core.clouds.on_demand import Joined
from sphmask_core.config import Config

from ..cache import identity
from ..made import MadeScenes, Maker, made_clouds, made_scenes
from ..mixing import Mixtures
from . import mosd, synthetic

SEED = {"train": 1, "val": 2}
"""Seed of the mixtures of each split."""
VALIDATION_MIXTURES = 18
MIXING = 2
"""Version of the mixtures: raise it when a seed and a place give another one."""


def load_raw(config: Config, split: str) -> Joined[scenes.Scene]:
    """Returns the real clouds of a split, and mixtures of them."""
    mixed = made_clouds(mixtures(config, split), range(_mixtures(config, split)), config)
    return Joined((mosd.load_raw(config, split), mixed))


def load_scenes(config: Config, split: str) -> MadeScenes:
    """Returns real, mixed and simulated scenes."""
    real = mosd.load_scenes(config, split) * config.data.tabletop.real_repeats
    mixed = made_scenes(mixtures(config, split), range(_mixtures(config, split)), config)
    return real + mixed + synthetic.load_scenes(config, split)


def mixtures(config: Config, split: str) -> Maker:
    """Makes mixtures of the real frames of a split, never of the other's."""
    files = tuple(mosd.scene_files(config, split))
    key = {"version": MIXING, "seed": SEED[split], "files": identity(files)}
    return Maker("mixed", Mixtures(files, SEED[split]), key)


def _mixtures(config: Config, split: str) -> int:
    return config.data.tabletop.mixed if split == "train" else VALIDATION_MIXTURES
