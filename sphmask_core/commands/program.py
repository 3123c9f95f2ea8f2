# SPDX-License-Identifier: Apache-2.0
"""The program `sphmask`, of which nothing but Python itself is loaded until it can be interrupted quietly."""

from __future__ import annotations

import signal
from importlib import import_module


def main() -> int:
    """Run a command and return its exit status.

    Torch takes seconds to load; until then Ctrl-C ends the process at once, without a traceback.
    """
    handler = signal.getsignal(signal.SIGINT)
    if handler is signal.default_int_handler:  # in the background of a shell it is ignored, and stays so
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    command_line = import_module("sphmask_core.commands.cli")
    signal.signal(signal.SIGINT, handler)
    return int(command_line.main())
