# SPDX-License-Identifier: Apache-2.0
"""SIGINT and SIGTERM end the process soon, whatever its threads are doing, and never with a traceback."""

from __future__ import annotations

import os
import signal
import threading

import rclpy
from rclpy.task import Future

SIGNALS = (signal.SIGINT, signal.SIGTERM)
LEAVE, GRACE = 0.7, 1.0
"""Seconds that the node has to take its leave by itself, and to be gone."""


def end_on_signals() -> Future[None]:
    """Hears the signals on a thread of its own. Returns a future that is done once one has come.

    Python would raise KeyboardInterrupt wherever the main thread is, and only once that is back from native
    code: loading a model or segmenting a large cloud may take longer than a supervisor waits.
    """
    hearing, telling = os.pipe()
    os.set_blocking(telling, False)
    for number in SIGNALS:
        signal.signal(number, lambda *_: None)
    signal.set_wakeup_fd(telling)
    ended: Future[None] = Future()
    threading.Thread(target=_end, args=(hearing, ended), name="signals", daemon=True).start()
    return ended


def _end(hearing: int, ended: Future[None]) -> None:
    os.read(hearing, 1)
    threading.Timer(GRACE, os._exit, [0]).start()
    threading.Timer(LEAVE, rclpy.try_shutdown).start()  # at least the other nodes hear that this one leaves
    ended.set_result(None)
