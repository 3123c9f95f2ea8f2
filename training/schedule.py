# SPDX-License-Identifier: Apache-2.0
"""The learning rate over a run: warm-up, constant, cosine (section 11)."""

from __future__ import annotations

import math

from sphmask_core.config import TrainConfig


def learning_rate(step: int, steps_per_epoch: float, config: TrainConfig) -> float:
    """Learning rate of optimizer step `step`, counted from 0."""
    warm = min((step + 1) / max(config.warmup_steps, 1), 1.0)
    tail = max(config.epochs - config.step_epoch, 1)
    progress = min(max(step / steps_per_epoch - config.step_epoch, 0) / tail, 1.0)
    return warm * (config.min_lr + (config.lr - config.min_lr) * (1 + math.cos(math.pi * progress)) / 2)
