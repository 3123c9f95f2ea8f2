# SPDX-License-Identifier: Apache-2.0
"""Scenes made by every core of this machine before training begins."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Generic, TypeVar

from torch.utils.data import DataLoader, Dataset
from tqdm import tqdm

from .distributed import world_size
from .interrupts import ignore_interrupts

Made = TypeVar("Made")


def in_parallel(make: Callable[[int], Made], count: int, label: str) -> list[Made]:
    """[make(0), ..., make(count - 1)], with a progress bar; an error of a process is raised here as it is.

    The processes of a training run share the cores between them.
    """
    cores = len(os.sched_getaffinity(0)) // world_size()
    loader: DataLoader[Made | Exception] = DataLoader(
        _Attempts(make, count),
        batch_size=None,
        collate_fn=lambda outcome: outcome,
        num_workers=min(cores, count) if cores > 1 else 0,
        worker_init_fn=ignore_interrupts,
    )
    made = []
    for outcome in tqdm(loader, desc=label, total=count):
        if isinstance(outcome, Exception):
            raise outcome
        made.append(outcome)
    return made


class _Attempts(Dataset["Made | Exception"], Generic[Made]):
    """What `make` returned, or raised: a loader would wrap the error's one line in a trace of its own."""

    def __init__(self, make: Callable[[int], Made], count: int) -> None:
        self.make, self.count = make, count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, number: int) -> Made | Exception:
        try:
            return self.make(number)
        except Exception as error:
            return error
