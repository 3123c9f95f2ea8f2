#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The executable `segment_node`."""

import gc
import os
import signal
import sys

import sphmask_core  # noqa: F401  before numpy and torch: their idle threads then sleep

# Ctrl-C ends the imports below, which take seconds, without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)

SWITCH = 0.001
"""Seconds that a thread may keep Python's lock while others want it. An answer of a service takes it some ten
times, and each time a thread that loads a model would keep it for Python's usual 5 ms."""


def run() -> int:
    """Run the node until it is ended."""
    from sphmask_ros.segment_node import main
    from sphmask_ros.signals import end_on_signals

    shorten_pauses()
    return main(end_on_signals())


def shorten_pauses() -> None:
    """Let no thread keep Python's lock for long, so that services answer while a model is loaded.

    What has been imported is garbage never, but all of Python stands still for 0.2 s each time that it is
    looked through, as when a model's many objects are made.
    """
    sys.setswitchinterval(SWITCH)
    gc.freeze()


if __name__ == "__main__":
    os._exit(run())  # the worker may still run the model, and the interpreter would wait for it
