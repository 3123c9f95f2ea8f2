# SPDX-License-Identifier: Apache-2.0
"""Imported before torch: idle OpenMP threads spin for a short while, then sleep.

By default they spin for long. Where another program keeps a core busy, as on a robot, they then wait for the
thread that is not running: a frame took 21 s instead of 1 s beside one busy core of two. Threads that sleep
at once make a frame a third slower on a machine of one's own: it has hundreds of short parallel loops.
"""

import os

SPINS = 20_000
"""A fraction of a millisecond: longer than the gaps between the loops of a stage."""

if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))
