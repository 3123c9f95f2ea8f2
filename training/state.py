# SPDX-License-Identifier: Apache-2.0
"""Everything that a run must keep to go on as if it had never stopped."""

from __future__ import annotations

from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sphmask_core.config import TrainConfig
from sphmask_core.model import SphericalMask


class TrainState:
    """Model, averaged weights, optimizer and place in the run."""

    def __init__(self, model: SphericalMask, config: TrainConfig) -> None:
        self.model = model
        for name in config.fixed_modules:
            model.get_submodule(name).requires_grad_(False)
        trained = [p for p in model.parameters() if p.requires_grad]
        self.optimizer = torch.optim.AdamW(trained, lr=config.lr, weight_decay=config.weight_decay)
        self.average = _averaged(model, config.ema) if config.ema else None
        self.fixed_modules = config.fixed_modules
        self.batches = 0
        """Batches seen."""
        self.best = -1.0
        """Best AP50 of the validations so far."""

    @property
    def result(self) -> SphericalMask:
        """The model that validation and the exported weights use."""
        return cast(SphericalMask, self.average.module) if self.average is not None else self.model

    def train_mode(self) -> None:
        """Batch norm learns, but in the fixed modules."""
        self.model.train()
        for name in self.fixed_modules:
            self.model.get_submodule(name).eval()

    def set_learning_rate(self, lr: float) -> None:
        """Learning rate of the next step."""
        for group in self.optimizer.param_groups:
            group["lr"] = lr

    def step(self, clip: float) -> None:
        """One optimizer step on the gradients gathered; clip: largest gradient norm, 0 for any."""
        if clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), clip)
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update_parameters(self.model)

    def save(self, path: Path) -> None:
        """Write the checkpoint, whole or not at all."""
        values: dict[str, Any] = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict() if self.average is not None else {},
            "rng": torch.get_rng_state(),
            "batches": self.batches,
            "best": self.best,
        }
        partial = path.with_suffix(".partial")
        torch.save(values, partial)
        partial.replace(path)

    def load(self, path: Path) -> None:
        """Take up a checkpoint that `save` wrote."""
        values = torch.load(path, map_location="cpu", weights_only=True)
        self.model.load_state_dict(values["model"])
        self.optimizer.load_state_dict(values["optimizer"])
        if self.average is not None:
            self.average.load_state_dict(values["average"])
        torch.set_rng_state(values["rng"])
        self.batches, self.best = values["batches"], values["best"]


def _averaged(model: nn.Module, decay: float) -> AveragedModel:
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
