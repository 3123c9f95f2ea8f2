# SPDX-License-Identifier: Apache-2.0
"""The node with faults that a real one meets seldom: a model that raises, too little memory, a slow disk."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from functools import wraps
from typing import Any

import torch

from sphmask_core import Segmenter
from sphmask_ros.segment_node import main
from sphmask_ros.signals import end_on_signals

FAULTS: tuple[Callable[[], Exception], ...] = (
    lambda: RuntimeError("the model has failed"),
    lambda: torch.cuda.OutOfMemoryError("CUDA out of memory"),
    lambda: MemoryError("no memory"),
    lambda: OSError("input/output error"),
)
SHARE, SHARE_OF_LOADS = 0.03, 0.1
"""Shares of all clouds, and of all loadings of a model, that fail."""
SLOWEST_DISK = 1.0
"""Seconds that loading a model takes longer."""


def faulty_node(seed: int) -> int:
    """Runs the node. Returns its exit code."""
    chance = random.Random(seed)
    _let_fail(Segmenter, "__call__", chance, SHARE)
    load = Segmenter.load

    def slow_load(*arguments: Any) -> Segmenter:
        time.sleep(chance.uniform(0, SLOWEST_DISK))
        if chance.random() < SHARE_OF_LOADS:
            raise chance.choice(FAULTS)()
        return load(*arguments)

    Segmenter.load = staticmethod(slow_load)  # type: ignore[assignment]
    return main(end_on_signals())


def _let_fail(owner: type, name: str, chance: random.Random, share: float) -> None:
    call = getattr(owner, name)

    @wraps(call)
    def failing(*arguments: Any, **named: Any) -> Any:
        if chance.random() < share:
            raise chance.choice(FAULTS)()
        return call(*arguments, **named)

    setattr(owner, name, failing)
