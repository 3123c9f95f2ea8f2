#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The executable `segment_node`."""

import os
import signal

import sphmask_core  # noqa: F401  before numpy and torch: their idle threads then sleep

# Ctrl-C ends the imports below, which take seconds, without a traceback.
signal.signal(signal.SIGINT, signal.SIG_DFL)


def run() -> int:
    """Run the node until it is ended."""
    from sphmask_ros.segment_node import main
    from sphmask_ros.signals import end_on_signals

    return main(end_on_signals())


if __name__ == "__main__":
    os._exit(run())  # the worker may still run the model, and the interpreter would wait for it
