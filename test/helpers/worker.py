# SPDX-License-Identifier: Apache-2.0
"""`python -m test.helpers.worker`: the training command on scenes made here, in float64.

In float32 two ways of adding up the same gradients soon part: Adam makes steps of full length out of what is
left of gradients that cancel out, and the matching of queries jumps.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from typing import Any

import numpy as np
import torch

from sphmask_core.config import BackboneConfig, Config, TrainConfig
from sphmask_core.method.pointwise_heads import PointwisePredictions
from sphmask_core.method.voxels import VoxelBatch
from test.helpers.small import SMALL
from training import runner, train
from training.phases import Phase
from training.scene import Batch, TrainingScene

INSTANCES = (3, 0, 0, 2, 0, 0, 4, 1)
"""Of each scene: there are scenes, and batches, without any."""
CONFIG = replace(
    SMALL,
    train=TrainConfig(
        epochs=4,
        batch_size=2,
        queries=6,
        accumulate=3,
        backbone=BackboneConfig(epochs=1),
        clip_grad=5.0,
        ema=0.9,
    ),
)


class Scenes:
    """A data set."""

    @staticmethod
    def load_scenes(config: Config, split: str) -> list[TrainingScene]:
        return [_scene(seed, instances) for seed, instances in enumerate(INSTANCES)]

    @staticmethod
    def load_raw(config: Config, split: str) -> list[TrainingScene]:
        return []


class DoubleRunner(runner.Runner):
    """Trains in float64, finds foreground by its color, and does not validate."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.state.model.find_foreground = _find_foreground
        self.state.model.double()
        self.state.result.double()

    def batch(self, batch: Batch, phase: Phase) -> dict[str, float]:
        return super().batch(batch.each(_double), phase)

    def validate(self, epoch: int, pointwise_only: bool) -> dict[str, float]:
        return {}


def _scene(seed: int, instances: int) -> TrainingScene:
    rng = np.random.default_rng(seed)
    xyz = rng.random((300, 3), np.float32)
    owner = np.where(xyz[:, 2] < 0.3, -100, np.floor(xyz[:, 0] * instances).astype(np.int64))
    owner = owner if instances else np.full(300, -100)
    semantic = (owner >= 0).astype(np.int64)
    rgb = rng.random((300, 3), np.float32)
    rgb[:, 0] = np.where(semantic, 0.8, -0.8)
    return TrainingScene(xyz, rgb, rng.integers(0, 12, 300), semantic, owner)


def _find_foreground(voxels: VoxelBatch, pointwise: PointwisePredictions) -> torch.Tensor:
    """Objects are red."""
    return voxels.features[:, 0] > 0


def _double(tensor: torch.Tensor) -> torch.Tensor:
    return tensor.double() if tensor.is_floating_point() else tensor


def main(arguments: list[str]) -> int:
    runner.dataset = lambda config: Scenes
    train.Runner = DoubleRunner
    return train.main(arguments)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
