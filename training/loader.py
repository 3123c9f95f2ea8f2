# SPDX-License-Identifier: Apache-2.0
"""Batches of augmented scenes; what a batch holds depends on nothing but seed, epoch and place."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from torch.utils.data import DataLoader, Dataset

from sphmask_core.config import Config, ConfigError
from sphmask_core.runtime.memory import keep_freed_memory

from .augment import augment
from .distributed import rank, world_size
from .interrupts import ignore_interrupts
from .scene import Batch, TrainingScene, collate


class EpochBatches(Dataset["Batch | Exception"]):
    """Yields this process's batches of one epoch: every scene `repeats` times, in random order."""

    def __init__(self, scenes: Sequence[TrainingScene], config: Config, epoch: int) -> None:
        self.scenes, self.config, self.epoch = scenes, config, epoch
        rng = np.random.default_rng((config.train.seed, epoch))
        self.order = rng.permutation(np.tile(np.arange(len(scenes)), config.train.repeats))

    def __len__(self) -> int:
        return batches_per_epoch(len(self.scenes), self.config)

    def __getitem__(self, index: int) -> Batch | Exception:
        """Returns a batch, or the error of a scene: the loader would wrap its one line in a trace of its
        own."""
        try:
            return self._batch(index)
        except (ValueError, OSError, ImportError) as error:
            return error

    def _batch(self, index: int) -> Batch:
        size = self.config.train.batch_size
        first = (index * world_size() + rank()) * size
        places = range(first, min(first + size, len(self.order)))
        return collate([self._scene(place) for place in places], self.config.model)

    def _scene(self, place: int) -> TrainingScene:
        rng = np.random.default_rng((self.config.train.seed, self.epoch, place))
        voxel = 1 / self.config.model.voxel_scale
        return augment(self.scenes[self.order[place]], self.config.augment, voxel, rng)


class Waiting:
    """Batches, and the time that passes until each is there."""

    def __init__(self, batches: Iterable[Batch | Exception]) -> None:
        self.batches, self.seconds = batches, 0.0

    def __iter__(self) -> Iterator[Batch]:
        began = time.monotonic()
        for batch in self.batches:
            self.seconds += time.monotonic() - began
            if isinstance(batch, Exception):
                raise batch
            yield batch
            began = time.monotonic()


def batches_per_epoch(n_scenes: int, config: Config) -> int:
    """Returns the number of batches that visit every scene `repeats` times, without a last, smaller one."""
    places, size = n_scenes * config.train.repeats, config.train.batch_size * world_size()
    if world_size() > 1 and places < size:
        raise ConfigError(
            f"train.batch_size: {world_size()} processes need {size} scenes a batch, an epoch has {places}; "
            "use fewer processes, smaller batches, or more train.repeats"
        )
    return max(places // size, 1)


def load_batches(
    scenes: Sequence[TrainingScene], config: Config, epoch: int, start: int, pinned: bool = False
) -> Waiting:
    """Returns this process's batches of an epoch from number `start` on; pinned: ready to be copied to a
    GPU."""
    keep_freed_memory()  # in this process and in the workers, which inherit it
    batches = EpochBatches(scenes, config, epoch)
    loader = DataLoader(
        batches,
        batch_size=None,
        sampler=range(start, len(batches)),
        num_workers=config.train.workers,
        pin_memory=pinned,
        worker_init_fn=ignore_interrupts,
    )
    return Waiting(loader)
