# SPDX-License-Identifier: Apache-2.0
"""Imported before torch: idle OpenMP threads spin for a short while, then sleep.

By default they spin for long. Where another program keeps a core busy, as on a robot, they then wait for the
thread that is not running: beside one busy core of two a frame takes 0.6 s with four times these spins, and
0.35 s with these. It would take 0.2 s with threads that sleep at once, but a third longer on a machine of
one's own, for it has hundreds of short parallel loops.
"""

import os

SPINS = 5_000
"""Less than a tenth of a millisecond: longer than the gaps between the loops of a stage."""

if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))
