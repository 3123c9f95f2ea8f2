# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM end the process soon, whatever its threads are doing, and never with a traceback."""

from __future__ import annotations

import os
import signal
import threading

import rclpy

SIGNALS = (signal.SIGINT, signal.SIGTERM)
GRACE = 1.0
"""Seconds that the node has to take its leave."""


def end_on_signals() -> None:
    """Hear the signals on a thread of its own.

    Python would raise KeyboardInterrupt wherever the main thread is, and only once that is back from native
    code: loading a model or segmenting a large cloud may take longer than a supervisor waits.
    """
    hearing, telling = os.pipe()
    os.set_blocking(telling, False)
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(telling)
    threading.Thread(target=_end, args=(hearing,), name="signals", daemon=True).start()


def _end(hearing: int) -> None:
    os.read(hearing, 1)
    threading.Timer(GRACE, os._exit, [0]).start()
    rclpy.try_shutdown()  # what spins returns, and the other nodes hear that this one leaves
