# SPDX-License-Identifier: Apache-2.0
"""A training run: epochs, checkpoints, validation, the log and the exported weights."""

from __future__ import annotations

import json
import time
from collections import defaultdict
from pathlib import Path
from typing import Any

import torch
import yaml
from tqdm import tqdm

from sphmask_core.checkpoint import save_weights
from sphmask_core.config import Config, ConfigError, to_dict
from sphmask_core.model import SphericalMask
from sphmask_core.voxels import VoxelBatch
from training.datasets import dataset
from training.initialise import initialise
from training.loader import batches_per_epoch, load_batches
from training.losses import Criterion
from training.scene import Batch
from training.schedule import learning_rate
from training.state import TrainState
from training.targets import build_targets
from training.validate import validate

SAVE_SECONDS = 120.0
"""Longest time between two checkpoints."""


class Runner:
    """Trains a configuration in a folder: checkpoint.pt, best.safetensors, last.safetensors, log.jsonl."""

    def __init__(self, config: Config, folder: Path, device: torch.device) -> None:
        self.config, self.folder, self.device = config, folder, device
        torch.manual_seed(config.train.seed)
        model = SphericalMask(config)
        initialise(model, config)
        self.state = TrainState(model.to(device), config.train)
        self.criterion = Criterion(config)

    @property
    def checkpoint(self) -> Path:
        """The run's last state."""
        return self.folder / "checkpoint.pt"

    def start(self, resume: bool) -> None:
        """Load the scenes, and the last checkpoint when resuming."""
        if self.checkpoint.exists() != resume:
            hint = "give --resume, or another -o" if not resume else "start without --resume"
            raise ConfigError(f"{self.checkpoint}: {'exists' if not resume else 'no such file'}; {hint}")
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "config.yaml").write_text(yaml.safe_dump(to_dict(self.config), sort_keys=False))
        if resume:
            self.state.load(self.checkpoint)
        data = dataset(self.config)
        self.scenes = data.load_scenes(self.config, "train")
        self.validation = data.load_raw(self.config, "val")
        self.epoch_batches = batches_per_epoch(len(self.scenes), self.config)

    def run(self) -> None:
        """Train to the last epoch."""
        total = self.config.train.epochs * self.epoch_batches
        with tqdm(total=total, initial=self.state.batches, unit="batch", dynamic_ncols=True) as bar:
            while self.state.batches < total:
                self.epoch(bar)
        save_weights(self.folder / "last.safetensors", self.state.result, self.config, half=True)

    def epoch(self, bar: tqdm) -> None:
        """The rest of the epoch that the run is in, its validation and its line in the log."""
        number, start = divmod(self.state.batches, self.epoch_batches)
        sums: dict[str, float] = defaultdict(float)
        saved = began = time.monotonic()
        for batch in load_batches(self.scenes, self.config, number, start):
            terms = self.batch(batch, pointwise_only=number < self.config.train.backbone_epochs)
            for name, term in terms.items():
                sums[name] += term / (self.epoch_batches - start)
            bar.set_postfix(epoch=number, loss=f"{sum(terms.values()):.3f}", lr=f"{self.rate():.1e}")
            bar.update()
            if (
                time.monotonic() - saved > SAVE_SECONDS
                and self.state.batches % self.config.train.accumulate == 0
            ):
                self.state.save(self.checkpoint)
                saved = time.monotonic()
        record = {"epoch": number, "seconds": round(time.monotonic() - began, 1), "lr": self.rate(), **sums}
        self.finish_epoch(number + 1, record)

    def batch(self, batch: Batch, pointwise_only: bool) -> dict[str, float]:
        """Forward, backward, and an optimizer step when enough are gathered; the loss by terms."""
        train, state = self.config.train, self.state
        state.train_mode()
        voxels = _to(batch.voxels, self.device)
        predictions = state.model(voxels, pointwise_only=pointwise_only)
        targets = build_targets(
            voxels,
            batch.semantic.to(self.device),
            batch.instance.to(self.device),
            self.config.class_shift,
            self.config.model.rays,
        )
        terms = self.criterion(predictions, voxels, targets)
        loss = torch.stack(list(terms.values())).sum()
        if not loss.isfinite():
            raise FloatingPointError(f"the loss of batch {state.batches} is {loss.item()}; lower train.lr")
        (loss / train.accumulate).backward()
        state.batches += 1
        if state.batches % train.accumulate == 0:
            state.set_learning_rate(self.rate())
            state.step(train.clip_grad)
        return {name: float(term.detach()) for name, term in terms.items()}

    def rate(self) -> float:
        """Learning rate of the present step."""
        accumulate = self.config.train.accumulate
        step = max(self.state.batches - 1, 0) // accumulate
        return learning_rate(step, self.epoch_batches / accumulate, self.config.train)

    def finish_epoch(self, done: int, record: dict[str, Any]) -> None:
        """Validate when it is time, keep the best weights, write the log and the checkpoint."""
        train = self.config.train
        if done > train.backbone_epochs and (done % train.validate_every == 0 or done == train.epochs):
            record |= validate(self.state.result, self.validation, self.device)
            if record["AP50"] > self.state.best:
                self.state.best = record["AP50"]
                save_weights(self.folder / "best.safetensors", self.state.result, self.config, half=True)
        with (self.folder / "log.jsonl").open("a") as log:
            log.write(
                json.dumps({k: round(v, 5) if isinstance(v, float) else v for k, v in record.items()}) + "\n"
            )
        self.state.save(self.checkpoint)


def _to(voxels: VoxelBatch, device: torch.device) -> VoxelBatch:
    return VoxelBatch(**{name: tensor.to(device) for name, tensor in vars(voxels).items()})
