# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM stop a run where it can go on exactly."""

from __future__ import annotations

import multiprocessing
import signal
import time
from types import FrameType, TracebackType


class Interrupts:
    """Takes note of the first SIGINT or SIGTERM while it is entered; a second one interrupts at once."""

    SIGNALS = (signal.SIGINT, signal.SIGTERM)

    def __init__(self) -> None:
        self.asked = 0
        """Number of the signal that came; 0: none."""

    def __enter__(self) -> Interrupts:
        self._before = {number: signal.signal(number, self._note) for number in self.SIGNALS}
        return self

    def __exit__(self, kind: type | None, error: BaseException | None, trace: TracebackType | None) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def _note(self, number: int, frame: FrameType | None) -> None:
        if self.asked:
            raise KeyboardInterrupt
        self.asked = number


def ignore_interrupts(worker: int = 0) -> None:
    """Ignore interrupts in a process that loads or makes scenes: the training process ends it, whoever else
    got the signal."""
    for number in Interrupts.SIGNALS:
        signal.signal(number, signal.SIG_IGN)


def end_processes(grace: float = 0.0) -> None:
    """End the processes that this one has started: they ignore signals that can be ignored, and Python waits
    for them before it ends. grace: seconds that they have to end by themselves."""
    limit = time.monotonic() + grace
    for process in multiprocessing.active_children():
        process.join(max(limit - time.monotonic(), 0.0))
        process.kill()
