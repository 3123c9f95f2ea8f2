# SPDX-License-Identifier: Apache-2.0
"""Real frames of tables, mixtures of them and simulated ones; validation is on real and mixed ones."""

from __future__ import annotations

from collections.abc import Iterator

from sphmask_core.clouds import scenes
from sphmask_core.config import Config

from ..mixing import View, mixed_scenes, mixture
from ..parallel import in_parallel
from ..scene import Scene
from . import mosd, synthetic

SEED = {"train": 1, "val": 2}
VALIDATION_MIXTURES = 18


def load_raw(config: Config, split: str) -> list[scenes.Scene]:
    """The real clouds of a split, and mixtures of them."""
    return [*mosd.load_raw(config, split), *_mixed(config, split)]


def load_scenes(config: Config, split: str) -> list[Scene]:
    """Real, mixed and simulated scenes."""
    real = mosd.load_scenes(config, split) * config.data.tabletop.real_repeats
    views = [View.of(scene) for scene in mosd.load_raw(config, split)]
    mixed = in_parallel(
        lambda place: mosd.thinned(mixture(views, SEED[split], place), config),
        _mixtures(config, split),
        f"mixed {split} scenes",
    )
    return [*real, *mixed, *synthetic.load_scenes(config, split)]


def _mixed(config: Config, split: str) -> Iterator[scenes.Scene]:
    """Mixtures of the real frames of the split, never of the other's."""
    return mixed_scenes(mosd.load_raw(config, split), _mixtures(config, split), SEED[split])


def _mixtures(config: Config, split: str) -> int:
    return config.data.tabletop.mixed if split == "train" else VALIDATION_MIXTURES
