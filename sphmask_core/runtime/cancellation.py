# SPDX-License-Identifier: Apache-2.0
"""Calling off a computation from another thread, or by the clock."""

from __future__ import annotations

import math
import time

import numpy as np


class CancelledError(Exception):
    """The computation was called off."""


class TooLateError(CancelledError):
    """The time by which the result was wanted is over."""


class Cancellation:
    """Whether a computation is to go on.

    The computation asks between its stages and blocks. Kernels that take long look at the flag alone.
    """

    def __init__(self, limit: float = math.inf) -> None:
        """limit: seconds of `time.monotonic` after which nobody wants the result."""
        self.limit = limit
        self.flag = np.zeros(1, np.int32)
        """(1,) int32: other than 0 once the computation is called off."""

    @property
    def cancelled(self) -> bool:
        """Whether the computation was called off."""
        return bool(self.flag[0])

    def cancel(self) -> None:
        """Call the computation off; it ends at its next check, so this returns at once."""
        self.flag[0] = 1

    def check(self) -> None:
        """Raise CancelledError once it was called off, TooLateError once its time is over."""
        if self.cancelled:
            raise CancelledError("called off")
        if time.monotonic() > self.limit:
            raise TooLateError("its time is over")
