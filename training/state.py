# SPDX-License-Identifier: Apache-2.0
"""Everything that a run must keep to go on as if it had never stopped."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import torch
from torch import nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from sphmask_core.config import ConfigError, TrainConfig
from sphmask_core.method.model import SphericalMask
from sphmask_core.runtime.files import replacing
from sphmask_core.runtime.wording import one_line

from .distributed import sum_gradients, world_size
from .optimizer import build_optimizer


class TrainState:
    """Holds model, averaged weights, optimizer and the place in the run."""

    def __init__(self, model: SphericalMask, config: TrainConfig) -> None:
        self.model = model
        self.fixed = [_submodule(model, name) for name in config.fixed_modules]
        for module in self.fixed:
            module.requires_grad_(False)
        self.trained = [p for p in model.parameters() if p.requires_grad]
        """What the optimizer changes."""
        if not self.trained:
            raise ConfigError("train.fixed_modules: nothing is left to train")
        self.begin_phase(config)
        self.batch_scenes = config.batch_size * world_size()
        """Scenes of a batch of the whole network's phase, over all processes."""
        self.batches = 0
        """Batches seen."""
        self.validating = False
        """Whether the last batch ended an epoch that is not validated and logged yet."""
        self.sums: dict[str, float] = {}
        """Loss terms of the epoch's batches so far."""
        self.recent: dict[str, float] = {}
        """Loss terms of the batches since the last row of the log, and their number as "batches"."""
        self.best = -1.0
        """Best AP of the validations so far."""

    def begin_phase(self, train: TrainConfig) -> None:
        """Begins a phase: a new optimizer, and averages that start from the present weights."""
        self.optimizer = build_optimizer(self.trained, train)
        self.average = _averaged(self.model, train.ema) if train.ema else None

    @property
    def result(self) -> SphericalMask:
        """Returns the model that validation and the exported weights use."""
        return cast(SphericalMask, self.average.module) if self.average is not None else self.model

    def count_batch(self, terms: dict[str, float]) -> None:
        """Take note of a batch and its loss by terms."""
        for sums in (self.sums, self.recent):
            for name, value in terms.items():
                sums[name] = sums.get(name, 0.0) + value
        self.recent["batches"] = self.recent.get("batches", 0.0) + 1
        self.batches += 1

    def take_recent(self) -> dict[str, float]:
        """Returns the mean loss terms of the batches since this was last asked."""
        recent, self.recent = self.recent, {}
        batches = recent.pop("batches", 1.0)
        return {name: value / batches for name, value in recent.items()}

    def train_mode(self) -> None:
        """Let batch norm learn, but in the fixed modules."""
        self.model.train()
        for module in self.fixed:
            module.eval()

    def step(self, lr: float, clip: float) -> None:
        """Takes one optimizer step on the gradients gathered; clip: largest gradient norm, 0 for any."""
        sum_gradients(self.model.parameters())
        if clip:
            nn.utils.clip_grad_norm_(self.model.parameters(), clip)
        for group in self.optimizer.param_groups:
            group["lr"] = lr
        self.optimizer.step()
        self.optimizer.zero_grad(set_to_none=True)
        if self.average is not None:
            self.average.update_parameters(self.model)

    def save(self, path: Path) -> None:
        """Write the checkpoint, whole or not at all. Gradients are not in it: save after a step."""
        values: dict[str, Any] = {
            "model": self.model.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "average": self.average.state_dict() if self.average is not None else {},
            "rng": torch.get_rng_state(),
            "batch_scenes": self.batch_scenes,
            "batches": self.batches,
            "validating": self.validating,
            "sums": self.sums,
            "recent": self.recent,
            "best": self.best,
        }
        with replacing(path) as partial:
            try:
                torch.save(values, partial)
            except RuntimeError as error:  # torch's own writer says so of a full disk
                raise OSError(f"{path}: could not be written ({error}); is the disk full?") from None

    def load(self, path: Path, recipe: Callable[[int], TrainConfig]) -> None:
        """Take up a checkpoint that `save` wrote; recipe: of the phase whose last batch has that number."""
        try:
            values = torch.load(path, map_location="cpu", weights_only=True)
            self.begin_phase(recipe(values["batches"]))
            self.model.load_state_dict(values["model"])
            self.optimizer.load_state_dict(values["optimizer"])
            if self.average is not None:
                self.average.load_state_dict(values["average"])
        except (RuntimeError, ValueError, KeyError, TypeError, EOFError, pickle.UnpicklingError) as error:
            raise ConfigError(
                f"{path}: no checkpoint of a run with this configuration ({one_line(error)})"
            ) from None
        if values.get("batch_scenes", self.batch_scenes) != self.batch_scenes:
            raise ConfigError(
                f"{path}: the run's batches hold {values['batch_scenes']} scenes over all processes, "
                f"not {self.batch_scenes}; resume with as many processes, or another train.batch_size"
            )
        torch.set_rng_state(values["rng"])
        self.batches, self.best = values["batches"], values["best"]
        self.validating, self.sums = values.get("validating", False), values.get("sums", {})
        self.recent = values.get("recent", {})


def _submodule(model: SphericalMask, name: str) -> nn.Module:
    try:
        return model.get_submodule(name)
    except AttributeError:
        known = ", ".join(child for child, _ in model.named_children())
        raise ConfigError(
            f"train.fixed_modules: no module {name!r}; there are: {known}, and those inside"
        ) from None


def _averaged(model: nn.Module, decay: float) -> AveragedModel:
    return AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(decay), use_buffers=True)
