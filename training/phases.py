# SPDX-License-Identifier: Apache-2.0
"""The phases of a run, one after the other: the backbone alone, then the whole network
(docs/model.md, section 12)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

from sphmask_core.config import Config, TrainConfig

from .schedule import Steps, learning_rate

INHERITED = ("batch_size", "repeats", "accumulate", "lr")
"""Settings of `train.backbone` that are those of `train` where they are 0."""


@dataclass(frozen=True)
class Phase:
    """Describes epochs with one recipe, an optimizer of their own, and a learning rate that starts anew."""

    config: Config
    """The configuration, with this phase's recipe in `train`."""
    pointwise_only: bool
    """Whether backbone and point-wise heads are trained alone."""
    steps: Steps
    first_epoch: int
    first_batch: int
    first_step: int

    @property
    def train(self) -> TrainConfig:
        """Returns the recipe of the phase."""
        return self.config.train

    @property
    def end_epoch(self) -> int:
        """Returns the number of the run's epoch after the last of this phase."""
        return self.first_epoch + self.train.epochs

    @property
    def end_batch(self) -> int:
        """Returns the number of the run's batch after the last of this phase."""
        return self.first_batch + self.train.epochs * self.steps.batches

    def epoch(self, batch: int) -> int:
        """Returns the run's epoch that a batch of the run belongs to."""
        return self.first_epoch + (batch - self.first_batch) // self.steps.batches

    def place(self, batch: int) -> int:
        """Returns the number of a batch of the run in its epoch."""
        return (batch - self.first_batch) % self.steps.batches

    def step(self, batch: int) -> int:
        """Returns the run's optimizer step that a batch of the run belongs to."""
        return self.first_step + self.steps.number(batch - self.first_batch)

    def ends_step(self, batch: int) -> bool:
        """Returns whether a batch of the run is the last one of its step."""
        return self.steps.ends_with(batch - self.first_batch)

    def ends_epoch(self, batch: int) -> bool:
        """Returns whether a batch of the run is the last one of its epoch."""
        return self.place(batch) == self.steps.batches - 1

    def rate(self, batch: int) -> float:
        """Returns the learning rate of the step that a batch of the run belongs to."""
        step = self.steps.number(batch - self.first_batch)
        return learning_rate(step, self.steps.per_epoch, self.train)

    def validates(self, epoch: int) -> bool:
        """Returns whether validation is due after that epoch of the run."""
        done = epoch - self.first_epoch + 1
        return done % self.train.validate_every == 0 or done == self.train.epochs


def recipes(config: Config) -> list[Config]:
    """Returns the configuration of each phase: its recipe stands in `train`."""
    train, backbone = config.train, config.train.backbone
    if not backbone.epochs:
        return [config]
    own = {name: getattr(backbone, name) or getattr(train, name) for name in INHERITED}
    first = replace(train, epochs=backbone.epochs, step_epoch=backbone.step_epoch, **own)
    return [replace(config, train=first), config]


def plan(config: Config, batches_per_epoch: Callable[[Config], int]) -> list[Phase]:
    """Returns the phases of a run; batches_per_epoch says how many batches an epoch of a recipe has."""
    planned: list[Phase] = []
    epoch = batch = step = 0
    for recipe in recipes(config):
        steps = Steps(batches_per_epoch(recipe), recipe.train.accumulate)
        pointwise_only = recipe is not config
        planned.append(Phase(recipe, pointwise_only, steps, epoch, batch, step))
        epoch, batch = planned[-1].end_epoch, planned[-1].end_batch
        step += recipe.train.epochs * steps.per_epoch
    return planned


def phase_of(phases: list[Phase], batch: int) -> Phase:
    """Returns the phase that a batch of the run belongs to; the last one after the run's end."""
    return next((phase for phase in phases if batch < phase.end_batch), phases[-1])
