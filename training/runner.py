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
from .board import SCENES, Board, summary_writer
from .datasets import DataSet, dataset
from .distributed import largest, rank, share_norms, total
from .initialize import initialize
from .interrupts import Interrupts, end_processes
from .loader import batches_per_epoch, load_batches
from .losses import Criterion
from .made import MadeScenes
from .outlook import Speed, outlook
from .phases import Phase, phase_of, plan
from .pointwise_scores import pointwise_scores
from .scene import Batch
from .state import TrainState
from .step import batch_terms, check_precision
from .teacher import find_teacher
from .validate import validate

CLOCK = 1e-9
"""Seconds that an epoch took at least; the clock tells no less."""
SAVE_SECONDS = 120.0
"""Longest time between two checkpoints."""


class Runner:
    """Trains a configuration in a folder: checkpoint.pt, best.safetensors, last.safetensors, log.jsonl.

    Of many processes the first one validates and writes.
    """

    def __init__(
        self, config: Config, folder: Path, device: torch.device, data: DataSet | None = None
    ) -> None:
        """`data` loads the scenes; None: the configuration's data set does."""
        check_precision(config, device)
        if config.train.tensorboard:
            summary_writer()
        self.config, self.folder, self.device, self.writes = config, folder, device, rank() == 0
        self.data = data
        torch.manual_seed(config.train.seed)
        model = SphericalMask(config)
        self.initial = initialize(model, config)
        """What the first weights are, in words."""
        share_norms(model)
        self.state = TrainState(model.to(device), config.train)
        self.criterion, self.teacher = Criterion(config), find_teacher(config, device)
        self.interrupts = Interrupts()
        self.board: Board | None = None
        self.speed = Speed(device)
        self.saved = time.monotonic()

    @property
    def checkpoint(self) -> Path:
        """Returns the file of the run's last state."""
        return self.folder / "checkpoint.pt"

    @property
    def log_file(self) -> Path:
        """Returns the file with a record of each epoch, and one of each `train.log_every` steps."""
        return self.folder / "log.jsonl"

    @property
    def phase(self) -> Phase:
        """Returns the phase that the run is in."""
        return phase_of(self.phases, self._batch)

    @property
    def epoch_number(self) -> int:
        """Returns the epoch that the run is in, from 0."""
        return self.phase.epoch(self._batch)

    @property
    def _batch(self) -> int:
        """Returns the next batch of the run; where an epoch has ended and is not validated yet, its last
        one."""
        return self.state.batches - self.state.validating

    def start(self, resume: bool) -> None:
        """Load the scenes, and the last checkpoint when resuming."""
        if self.checkpoint.exists() != resume:
            hint = "give --resume, or another -o" if not resume else "start without --resume"
            raise ConfigError(f"{self.checkpoint}: {'exists' if not resume else 'no such file'}; {hint}")
        data = self.data or dataset(self.config)
        self.scenes = data.load_scenes(self.config, "train")
        if not len(self.scenes):
            raise ConfigError(
                f"data.root: {self.config.data.root}: there is no scene to train on, only to validate"
            )
        self.missing = self.scenes.missing() if isinstance(self.scenes, MadeScenes) else 0
        self.validation = data.load_raw(self.config, "val") if self.writes else []
        self.phases = plan(self.config, lambda config: batches_per_epoch(len(self.scenes), config))
        if resume:
            self.state.load(self.checkpoint, lambda batches: phase_of(self.phases, batches - 1).train)
        if self.writes:
            self.open_folder()

    def open_folder(self) -> None:
        """Make the run's folder, or drop what it says of epochs that will come again."""
        self.folder.mkdir(parents=True, exist_ok=True)
        (self.folder / "config.yaml").write_text(yaml.safe_dump(to_dict(self.config), sort_keys=False))
        step = self.phase.step(self.state.batches)
        log.keep(self.log_file, self.epoch_number, step)
        if self.config.train.tensorboard:
            self.board = Board(self.folder, self.epoch_number, step + 1)

    def outlook(self) -> list[str]:
        """Returns what the run is going to do, in words."""
        sizes = len(self.scenes), self.missing, len(self.validation)
        return list(outlook(self.phases, *sizes, self.state.model, self.device))

    def run(self) -> int:
        """Trains to the last epoch, or to a signal. Returns the signal's number, or 0."""
        try:
            return self._run()
        finally:
            end_processes()

    def _run(self) -> int:
        batches = self.phases[-1].end_batch
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
        """Trains the rest of the epoch that the run is in, or up to a signal. Returns the signal's number, or
        0."""
        phase, number, began, waited = self.phase, self.epoch_number, time.monotonic(), 0.0
        if not self.state.validating:
            first = phase.place(self.state.batches)
            batches = load_batches(self.scenes, phase.config, number, first, self.device.type == "cuda")
            for batch in batches:
                terms = self.batch(batch.to(self.device), phase)
                bar.set_postfix(epoch=number, loss=f"{sum(terms.values()):.3f}", lr=f"{self.rate():.1e}")
                bar.update()
                making = batches.seconds if self.missing else 0.0
                hours_left = self.speed.after_batch(self.phases[-1].end_batch - self.state.batches, making)
                if hours_left and self.writes:
                    bar.write(hours_left)
                if phase.ends_step(self.state.batches - 1):
                    self.log_step(phase)
                    stopped = self.save_when_due()
                    if stopped:
                        return stopped
            waited = batches.seconds
        return self.finish_epoch(phase, self.record(phase, time.monotonic() - began, waited), bar)

    def batch(self, batch: Batch, phase: Phase) -> dict[str, float]:
        """Trains on a batch, with a step when enough are gathered. Returns the loss of all processes by
        terms."""
        state = self.state
        if state.batches == phase.first_batch and state.batches:
            state.begin_phase(phase.train)
        state.train_mode()
        terms = batch_terms(
            state.model, self.criterion, batch, self.config, phase.pointwise_only, self.teacher
        )
        losses = torch.stack(list(terms.values()))
        (losses.sum() / phase.steps.size(phase.place(state.batches))).backward()
        values = dict(zip(terms, total(losses).tolist(), strict=True))
        loss = sum(values.values())
        if not math.isfinite(loss):
            raise FloatingPointError(f"the loss of batch {state.batches} is {loss}; lower train.lr")
        state.count_batch(values)
        state.validating = phase.ends_epoch(state.batches - 1)
        if phase.ends_step(state.batches - 1):
            state.step(self.rate(), phase.train.clip_grad)
        return values

    def rate(self) -> float:
        """Returns the learning rate of the last batch's step."""
        batch = max(self.state.batches - 1, 0)
        return phase_of(self.phases, batch).rate(batch)

    def log_step(self, phase: Phase) -> None:
        """Log a row, the mean over the batches since the last one, each `train.log_every` steps."""
        batch, every = self.state.batches - 1, self.config.train.log_every
        step = phase.step(batch) + 1
        if not every or step % every:
            return
        record = {"epoch": phase.epoch(batch), "step": step, "lr": self.rate()} | self.state.take_recent()
        if self.writes:
            log.append(self.log_file, record)
        if self.board is not None:
            self.board.add(record)

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

    def record(self, phase: Phase, seconds: float, waited: float) -> log.Record:
        """Returns the epoch's line in the log, before validation; seconds: of training, and of waiting for
        scenes."""
        losses = {name: value / phase.steps.batches for name, value in self.state.sums.items()}
        share = waited / max(seconds, CLOCK)
        head = {"epoch": self.epoch_number, "seconds": round(seconds, 1), "waited": share, "lr": self.rate()}
        return head | losses

    def finish_epoch(self, phase: Phase, record: log.Record, bar: tqdm) -> int:
        """Validates when it is time, writes log and checkpoint. Returns a signal that came in between, or
        0."""
        self.save()
        if phase.validates(record["epoch"]):
            if len(self.validation):
                record |= self.validate(record["epoch"], phase.pointwise_only)
            stopped = largest(self.interrupts.asked, self.device)
            if stopped:
                return stopped
            self.keep_best(record)
        if self.writes:
            log.append(self.log_file, record)
            bar.write(log.line(record))
        if self.board is not None:
            self.board.add(record)
        self.state.validating, self.state.sums = False, {}
        self.save()
        return 0

    def validate(self, epoch: int, pointwise_only: bool) -> dict[str, float]:
        """Returns the scores of the validation scenes: of the point-wise heads, then of instances; pictures
        of some."""
        model, scenes, asked = self.state.result, self.validation, self.interrupts
        scores = pointwise_scores(model, scenes, self.device, lambda: asked.asked > 0)
        if pointwise_only or not scores:
            return scores
        gallery = Gallery(len(SCENES), SCENES if self.board is not None else ())
        instance_scores = validate(model, scenes, self.device, gallery, lambda: asked.asked > 0)
        if instance_scores and self.board is not None:
            self.board.pictures(gallery.scenes, epoch)
        return scores | instance_scores

    def keep_best(self, record: log.Record) -> None:
        """Write the weights if they are the best so far; AP without an object to find (NaN) counts as 0."""
        ap = record.get("AP", -1.0)
        score = 0.0 if math.isnan(ap) else ap
        if score > self.state.best:
            self.state.best = score
            save_weights(self.folder / "best.safetensors", self.state.result, self.config, half=True)
