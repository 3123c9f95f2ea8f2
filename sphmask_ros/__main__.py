#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""The executable `segment_node`."""

import os

from sphmask_ros.signals import end_on_signals


def run() -> int:
    """Run the node; its imports take seconds, in which signals are heard already."""
    end_on_signals()
    from sphmask_ros.segment_node import main

    return main()


if __name__ == "__main__":
    os._exit(run())  # the worker may still run the model, and the interpreter would wait for it
