# SPDX-License-Identifier: Apache-2.0
"""A training run: epochs, checkpoints, validation, the log and the exported weights."""

from __future__ import annotations

import math
import time
from pathlib import Path

import torch
import yaml
from tqdm import tqdm

from sphmask_core.checkpoints.weights import save_weights
from sphmask_core.config import Config, ConfigError, to_dict
from sphmask_core.evaluation.scoring import Gallery
from sphmask_core.method.model import SphericalMask

from . import log
from .board import SCENES, Board
from .datasets import dataset
from .distributed import largest, rank, share_norms, total
from .initialize import initialize
from .interrupts import Interrupts
from .loader import batches_per_epoch, load_batches
from .losses import Criterion
from .scene import Batch
from .schedule import Steps, learning_rate
from .state import TrainState
from .step import batch_terms, check_precision
from .validate import validate

SAVE_SECONDS = 120.0
"""Longest time between two checkpoints."""


class Runner:
    """Trains a configuration in a folder: checkpoint.pt, best.safetensors, last.safetensors, log.jsonl.

    Of many processes the first one validates and writes.
    """

    def __init__(self, config: Config, folder: Path, device: torch.device) -> None:
        check_precision(config, device)
        self.config, self.folder, self.device, self.writes = config, folder, device, rank() == 0
        torch.manual_seed(config.train.seed)
        model = SphericalMask(config)
        self.initial = initialize(model, config)
        """What the first weights are, in words."""
        share_norms(model)
        self.state = TrainState(model.to(device), config.train)
        self.criterion = Criterion(config)
        self.interrupts = Interrupts()
        self.board: Board | None = None
        self.saved = time.monotonic()

    @property
    def checkpoint(self) -> Path:
        """The run's last state."""
        return self.folder / "checkpoint.pt"

    @property
    def log_file(self) -> Path:
        """One record an epoch."""
        return self.folder / "log.jsonl"

    @property
    def epoch_number(self) -> int:
        """The epoch that the run is in, from 0."""
        return (self.state.batches - self.state.validating) // self.steps.batches

    def start(self, resume: bool) -> None:
        """Load the scenes, and the last checkpoint when resuming."""
        if self.checkpoint.exists() != resume:
            hint = "give --resume, or another -o" if not resume else "start without --resume"
            raise ConfigError(f"{self.checkpoint}: {'exists' if not resume else 'no such file'}; {hint}")
        if resume:
            self.state.load(self.checkpoint)
        data = dataset(self.config)
        self.scenes = data.load_scenes(self.config, "train")
        self.validation = data.load_raw(self.config, "val") if self.writes else []
        self.steps = Steps(batches_per_epoch(len(self.scenes), self.config), self.config.train.accumulate)
        if self.writes:
            self.open_folder()

    def open_folder(self) -> None:
        """Make the run's folder, or drop what it says of epochs that will come again."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "config.yaml").write_text(yaml.safe_dump(to_dict(self.config), sort_keys=False))
        log.keep(self.log_file, self.epoch_number)
        if self.config.train.tensorboard:
            self.board = Board(self.folder, self.epoch_number)

    def run(self) -> int:
        """Train to the last epoch, or to a signal: returns its number, or 0."""
        batches = self.config.train.epochs * self.steps.batches
        initial = self.state.batches
        with (
            self.interrupts,
            tqdm(
                total=batches, initial=initial, unit="batch", dynamic_ncols=True, disable=not self.writes
            ) as bar,
        ):
            while self.state.batches < batches or self.state.validating:
                stopped = self.epoch(bar)
                if stopped:
                    return stopped
        if self.writes:
            save_weights(self.folder / "last.safetensors", self.state.result, self.config, half=True)
        return 0

    def epoch(self, bar: tqdm) -> int:
        """The rest of the epoch that the run is in, to its end or to a signal: returns its number, or 0."""
        number, began = self.epoch_number, time.monotonic()
        first = self.state.batches - number * self.steps.batches
        batches = load_batches(self.scenes, self.config, number, first, self.device.type == "cuda")
        for batch in batches:
            terms = self.batch(batch.to(self.device), number < self.config.train.backbone_epochs)
            bar.set_postfix(epoch=number, loss=f"{sum(terms.values()):.3f}", lr=f"{self.rate():.1e}")
            bar.update()
            if self.steps.ends_with(self.state.batches - 1):
                stopped = self.save_when_due()
                if stopped:
                    return stopped
        self.state.validating = True
        return self.finish_epoch(self.record(time.monotonic() - began, batches.seconds), bar)

    def batch(self, batch: Batch, pointwise_only: bool) -> dict[str, float]:
        """Forward, backward, and a step when enough are gathered; the loss of all processes by terms."""
        train, state, steps = self.config.train, self.state, self.steps
        state.train_mode()
        terms = batch_terms(state.model, self.criterion, batch, self.config, pointwise_only)
        losses = torch.stack(list(terms.values()))
        (losses.sum() / steps.size(state.batches)).backward()
        values = dict(zip(terms, total(losses).tolist(), strict=True))
        loss = sum(values.values())
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss of batch {state.batches} is {loss}; lower train.lr")
        for name, value in values.items():
            state.sums[name] = state.sums.get(name, 0.0) + value
        state.batches += 1
        if steps.ends_with(state.batches - 1):
            state.step(self.rate(), train.clip_grad)
        return values

    def rate(self) -> float:
        """Learning rate of the last batch's step."""
        step = self.steps.number(max(self.state.batches - 1, 0))
        return learning_rate(step, self.steps.per_epoch, self.config.train)

    def save_when_due(self) -> int:
        """Save every SAVE_SECONDS, and when any process got a signal: returns its number, or 0."""
        stopped = largest(self.interrupts.asked, self.device)
        if stopped or time.monotonic() - self.saved > SAVE_SECONDS:
            self.save()
        return stopped

    def save(self) -> None:
        """Write the checkpoint."""
        self.saved = time.monotonic()
        if self.writes:
            self.state.save(self.checkpoint)

    def record(self, seconds: float, waited: float) -> log.Record:
        """The epoch's line in the log, before validation; seconds: of training, and of waiting for scenes."""
        losses = {name: value / self.steps.batches for name, value in self.state.sums.items()}
        share = waited / max(seconds, 1e-9)
        head = {"epoch": self.epoch_number, "seconds": round(seconds, 1), "waited": share, "lr": self.rate()}
        return head | losses

    def finish_epoch(self, record: log.Record, bar: tqdm) -> int:
        """Validate when it is time, write log and checkpoint; a signal that came in between, or 0."""
        done, train = record["epoch"] + 1, self.config.train
        self.save()
        if done > train.backbone_epochs and (done % train.validate_every == 0 or done == train.epochs):
            if self.writes:
                record |= self.validate(done - 1)
            stopped = largest(self.interrupts.asked, self.device)
            if stopped:
                return stopped
            self.keep_best(record)
        if self.writes:
            log.append(self.log_file, record)
            bar.write(log.line(record))
        if self.board is not None:
            self.board.scalars(record)
        self.state.validating, self.state.sums = False, {}
        self.save()
        return 0

    def validate(self, epoch: int) -> dict[str, float]:
        """Scores of the validation scenes, and pictures of some."""
        gallery = Gallery(len(SCENES), SCENES if self.board is not None else ())
        asked = self.interrupts
        scores = validate(self.state.result, self.validation, self.device, gallery, lambda: asked.asked > 0)
        if scores and self.board is not None:
            self.board.pictures(gallery.scenes, epoch)
        return scores

    def keep_best(self, record: log.Record) -> None:
        """Write the weights if they are the best so far."""
        if record.get("AP", -1.0) > self.state.best:
            self.state.best = record["AP"]
            save_weights(self.folder / "best.safetensors", self.state.result, self.config, half=True)
