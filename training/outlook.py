# SPDX-License-Identifier: Apache-2.0
"""What a run is going to do, and how long it will take, in words."""

from __future__ import annotations

import resource
import time
from collections.abc import Iterator, Sequence

import torch
from torch import nn

from sphmask_core.runtime.units import GIGA, KIBI, MEGA

from .distributed import world_size
from .phases import Phase

SECONDS_PER_HOUR = 3600
SKIPPED, MEASURED = 3, 10
"""Batches that only warm up, and those whose time then counts."""


def outlook(
    phases: Sequence[Phase],
    scenes: int,
    missing: int,
    validation: int,
    model: nn.Module,
    device: torch.device,
) -> Iterator[str]:
    """Yields the lines that say what a run will do, before it does it; missing: scenes that are yet to be
    made."""
    parameters = sum(p.numel() for p in model.parameters())
    where = f"{device}, {torch.get_num_threads()} threads" if device.type == "cpu" else str(device)
    many = f", {world_size()} processes" if world_size() > 1 else ""
    weights = f"{parameters / MEGA:.1f} M parameters"
    yield f"{scenes:,} scenes, {validation:,} to validate on; {weights}; {where}{many}"
    if missing:
        yield f"{missing:,} of the scenes are made when they are first seen, and kept; batches wait for that"
    for phase in phases:
        train, steps = phase.train, phase.steps.per_epoch
        what = "backbone and point-wise heads" if phase.pointwise_only else "whole network"
        size = train.batch_size * train.accumulate * world_size()
        yield (
            f"epochs {phase.first_epoch} to {phase.end_epoch - 1}: {what}, {steps:,} steps an epoch of up to "
            f"{size} scenes, {steps * train.epochs:,} in all, lr {train.lr:g}"
        )


class Speed:
    """Measures the first batches of a run, and says once how long the rest will take."""

    def __init__(self, device: torch.device) -> None:
        self.device, self.seen, self.began = device, 0, 0.0

    def after_batch(self, left: int, making: float = 0.0) -> str | None:
        """Returns the line, once it is known; left: batches to come; making: seconds that this run has waited
        for scenes to be made, which do not count: later epochs find them."""
        self.seen += 1
        working = time.monotonic() - making
        if self.seen == SKIPPED:
            self.began = working
        if self.seen != SKIPPED + MEASURED:
            return None
        seconds = (working - self.began) / MEASURED
        hours = f"{seconds * left / SECONDS_PER_HOUR:.1f} hours"
        return f"about {hours} left at {seconds:.2f} s a batch; {peak_memory(self.device)} of memory so far"


def peak_memory(device: torch.device) -> str:
    """Returns the most memory that this process has taken, on the device that trains."""
    if device.type == "cuda":
        size = torch.cuda.max_memory_reserved(device)
    else:
        size = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * KIBI
    return f"{size / GIGA:.1f} GB"
