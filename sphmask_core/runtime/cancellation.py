# SPDX-License-Identifier: Apache-2.0
"""Calling off a computation from another thread, or by the clock."""

from __future__ import annotations

import math
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

CALLED_OFF, LATE = 1, 2
"""Values of the flag beside 0."""


class CancelledError(Exception):
    """The computation was called off."""


class TooLateError(CancelledError):
    """The time by which the result was wanted is over."""


class Cancellation:
    """Whether a computation is to go on.

    The computation asks between its stages and blocks. Kernels that take long look at the flag alone.
    """

    def __init__(self, limit: float = math.inf) -> None:
        """A call ends at `limit`, seconds of `time.monotonic` after which nobody wants the result."""
        self.limit = limit
        self.flag = np.zeros(1, np.int32)
        """(1,) int32: other than 0 once the computation is called off, or, within `timed`, too late."""

    @property
    def cancelled(self) -> bool:
        """Returns whether the computation was called off."""
        return int(self.flag[0]) == CALLED_OFF

    def cancel(self) -> None:
        """Call the computation off; it ends at its next check, so this returns at once."""
        self.flag[0] = CALLED_OFF

    def check(self) -> None:
        """Raise CancelledError once it was called off, TooLateError once its time is over."""
        if self.cancelled:
            raise CancelledError("called off")
        if self.flag[0] == LATE or time.monotonic() > self.limit:
            raise TooLateError("its time is over")

    @contextmanager
    def timed(self) -> Iterator[np.ndarray]:
        """Gives a flag that is set when the time is over, as long as the block runs.

        What a kernel raises because of that leaves as TooLateError.
        """
        if math.isinf(self.limit):
            yield self.flag
            return
        timer = threading.Timer(max(self.limit - time.monotonic(), 0.0), self._expire)
        timer.daemon = True
        timer.start()
        try:
            yield self.flag
        except CancelledError:
            self.check()
            raise
        finally:
            timer.cancel()

    def _expire(self) -> None:
        if not self.flag[0]:
            self.flag[0] = LATE
