# SPDX-License-Identifier: Apache-2.0
"""Milliseconds by stage."""

from __future__ import annotations

import time
from itertools import pairwise
from typing import Any

import torch

from sphmask_core.runtime.units import MS_PER_SECOND

Mark = Any
"""A moment: seconds by the clock, or an event in the device's queue."""


class Timer:
    """A stage lasts from its `start` to the next one's, or to `stop`.

    On CUDA the device notes when it passes from one stage to the next; it is waited for at `stop` alone.
    """

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.milliseconds: dict[str, float] = {}
        """Time of each stage, once it is stopped."""
        self._marks: list[tuple[str, Mark]] = []

    def start(self, stage: str) -> None:
        """End the running stage and begin another."""
        self._marks.append((stage, self._mark()))

    def stop(self) -> None:
        """End the running stage, and add up."""
        self.start("")
        for (stage, begin), (_, end) in pairwise(self._marks):
            if stage:
                self.milliseconds[stage] = self.milliseconds.get(stage, 0.0) + _between(begin, end)
        self._marks.clear()

    def _mark(self) -> Mark:
        if self.device.type != "cuda":
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record(torch.cuda.current_stream(self.device))
        return event


def _between(begin: Mark, end: Mark) -> float:
    """Returns the milliseconds between two events."""
    if isinstance(end, float):
        return MS_PER_SECOND * (end - begin)
    end.synchronize()
    return begin.elapsed_time(end)  # type: ignore[no-any-return]
