# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM end the process soon, whatever its threads are doing, and never with a traceback."""

from __future__ import annotations

import os
import signal
import threading

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE = 1.5
"""Seconds that the node has to take its leave."""


def end_on_signals() -> None:
    """Take the signals from all threads to come, this one included, and wait for them on one of their own.

    Python would raise KeyboardInterrupt wherever the main thread is, and only once that is back from native
    code: loading a model or segmenting a large cloud may take longer than a supervisor waits.
    """
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    threading.Thread(target=_end, name="signals", daemon=True).start()


def _end() -> None:
    signal.sigwait(SIGNALS)
    threading.Timer(GRACE, os._exit, [0]).start()
    import rclpy  # here, for the signal may come while the main thread is still importing it

    rclpy.try_shutdown()  # what spins returns, and the other nodes hear that this one leaves
