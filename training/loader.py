# SPDX-License-Identifier: Apache-2.0
"""Batches of augmented scenes; what a batch holds depends on nothing but seed, epoch and place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
from torch.utils.data import DataLoader, Dataset

from sphmask_core.config import Config
from training.augment import augment
from training.scene import Batch, Scene, collate


class EpochBatches(Dataset[Batch]):
    """The batches of one epoch: every scene `repeats` times, in random order."""

    def __init__(self, scenes: Sequence[Scene], config: Config, epoch: int) -> None:
        self.scenes, self.config, self.epoch = scenes, config, epoch
        rng = np.random.default_rng((config.train.seed, epoch))
        self.order = rng.permutation(np.tile(np.arange(len(scenes)), config.train.repeats))

    def __len__(self) -> int:
        return batches_per_epoch(len(self.scenes), self.config)

    def __getitem__(self, index: int) -> Batch:
        size = self.config.train.batch_size
        places = range(index * size, min((index + 1) * size, len(self.order)))
        return collate([self._scene(place) for place in places], self.config.model)

    def _scene(self, place: int) -> Scene:
        rng = np.random.default_rng((self.config.train.seed, self.epoch, place))
        voxel = 1 / self.config.model.voxel_scale
        return augment(self.scenes[self.order[place]], self.config.train.augment, voxel, rng)


def batches_per_epoch(n_scenes: int, config: Config) -> int:
    """Batches that visit every scene `repeats` times; a last, smaller one is left out if there is another."""
    return max(n_scenes * config.train.repeats // config.train.batch_size, 1)


def load_batches(scenes: Sequence[Scene], config: Config, epoch: int, start: int) -> Iterable[Batch]:
    """The batches of an epoch from number `start` on."""
    batches = EpochBatches(scenes, config, epoch)
    return DataLoader(
        batches, batch_size=None, sampler=range(start, len(batches)), num_workers=config.train.workers
    )
