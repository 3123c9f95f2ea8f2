# SPDX-License-Identifier: Apache-2.0
"""300 damaged files are read, or refused by one line, within the limits that the child process sets."""

import subprocess
import sys
from pathlib import Path

CHECKOUT = Path(__file__).parent.parent.parent
LONGEST = 1200
"""Seconds; 60 of a processor's time do, and machines of CI are slower, and shared."""


def test_damaged_files_are_read_or_refused():
    command = [sys.executable, "-m", "test.hostile"]
    done = subprocess.run(command, cwd=CHECKOUT, capture_output=True, text=True, timeout=LONGEST)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert ".mcap" in done.stdout
