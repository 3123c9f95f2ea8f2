# SPDX-License-Identifier: Apache-2.0
"""How a command lives in its process: signals that end it, and streams that may be missing."""

from __future__ import annotations

import os
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from types import FrameType

ENDING = (signal.SIGTERM, signal.SIGHUP)
SIGNALED = 128
"""A shell adds this to the number of the signal that ended a process (POSIX)."""


def ended_by(number: int) -> int:
    """Returns the exit status that a shell gives a process that a signal of that number ended."""
    return SIGNALED + number


class Ended(BaseException):
    """A signal asked the process to end; no `except Exception` on the way takes it for a failure."""

    def __init__(self, number: int) -> None:
        super().__init__(signal.Signals(number).name)
        self.status = ended_by(number)
        """The exit status that a shell gives such a process."""


@contextmanager
def ending_cleanly() -> Iterator[None]:
    """SIGTERM and SIGHUP raise `Ended` in the block, so that what is half written is removed.

    Only the main thread can ask for signals; in others nothing changes.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    previous = {number: signal.signal(number, _end) for number in ENDING if _is_default(number)}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _is_default(number: int) -> bool:
    """Returns whether nobody else decides what the signal does (`nohup` has SIGHUP ignored)."""
    return signal.getsignal(number) == signal.SIG_DFL


def _end(number: int, _: FrameType | None) -> None:
    raise Ended(number)


def open_streams() -> None:
    """Let anything be printed: names that are not UTF-8 are escaped, closed streams take what comes."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name)
        if stream is None:  # opened at once, so that no file of ours gets the number of a closed stream
            setattr(sys, name, open(os.devnull, "w"))  # noqa: SIM115  for the life of the process
        elif hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
