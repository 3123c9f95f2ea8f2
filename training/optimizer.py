# SPDX-License-Identifier: Apache-2.0
"""The optimizer that a configuration names."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import nn

from sphmask_core.config import TrainConfig


def build_optimizer(parameters: Sequence[nn.Parameter], train: TrainConfig) -> torch.optim.Optimizer:
    """Returns AdamW, Adam or SGD with Nesterov momentum; Adam's step is one fused kernel, which is faster."""
    settings = train.optimizer
    decay = settings.weight_decay
    if settings.kind == "sgd":
        momentum = settings.betas[0]
        return torch.optim.SGD(parameters, train.lr, momentum, weight_decay=decay, nesterov=momentum > 0)
    kind = torch.optim.AdamW if settings.kind == "adamw" else torch.optim.Adam
    return kind(parameters, train.lr, betas=settings.betas, eps=settings.eps, weight_decay=decay, fused=True)
