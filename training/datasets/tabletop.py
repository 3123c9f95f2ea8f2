# SPDX-License-Identifier: Apache-2.0
"""Real frames of tables beside simulated ones; validation is on real ones."""

from __future__ import annotations

from sphmask_core import scenes
from sphmask_core.config import Config
from training.datasets import mosd, synthetic
from training.scene import Scene


def load_raw(config: Config, split: str) -> list[scenes.Scene]:
    """The real clouds of a split."""
    return mosd.load_raw(config, split)


def load_scenes(config: Config, split: str) -> list[Scene]:
    """Real and simulated scenes."""
    return mosd.load_scenes(config, split) * config.train.real_repeats + synthetic.load_scenes(config, split)
