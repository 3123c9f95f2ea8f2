# SPDX-License-Identifier: Apache-2.0
"""Optimizer steps and their learning rates: warm-up, constant, cosine (docs/model.md, section 12)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from sphmask_core.config import TrainConfig


@dataclass(frozen=True)
class Steps:
    """How the batches of an epoch make steps: one every `accumulate` batches, and one at the epoch's end."""

    batches: int
    """Batches of an epoch."""
    accumulate: int

    @property
    def per_epoch(self) -> int:
        """Returns the number of steps of an epoch."""
        return math.ceil(self.batches / self.accumulate)

    def size(self, batch: int) -> int:
        """Returns the number of batches of the step that a batch belongs to; batches count from the start of
        the run."""
        place = batch % self.batches
        return min(self.accumulate, self.batches - place + place % self.accumulate)

    def number(self, batch: int) -> int:
        """Returns the step that a batch belongs to, from 0."""
        epoch, place = divmod(batch, self.batches)
        return epoch * self.per_epoch + place // self.accumulate

    def ends_with(self, batch: int) -> bool:
        """Returns whether a batch is the last one of its step."""
        return self.number(batch) < self.number(batch + 1)


def learning_rate(step: int, steps_per_epoch: float, config: TrainConfig) -> float:
    """Returns the learning rate of optimizer step `step`, counted from 0."""
    warm = min((step + 1) / max(config.warmup_steps, 1), 1.0)
    tail = max(config.epochs - config.step_epoch, 1)
    progress = min(max(step / steps_per_epoch - config.step_epoch, 0) / tail, 1.0)
    return warm * (config.min_lr + (config.lr - config.min_lr) * (1 + math.cos(math.pi * progress)) / 2)
