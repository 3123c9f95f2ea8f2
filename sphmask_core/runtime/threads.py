# SPDX-License-Identifier: Apache-2.0
"""Imported before torch and numpy: idle threads of OpenMP and of OpenBLAS spin for a short while, then sleep.

By default they spin for long. Where another program keeps a core busy, as on a robot, they then wait for the
thread that is not running: beside one busy core of two a frame takes 0.6 s with four times these spins, and
0.35 s with these. It would take 0.2 s with threads that sleep at once, but a third longer on a machine of
one's own, for it has hundreds of short parallel loops.

Numpy's OpenBLAS has threads of its own, which wait for the next product of matrices for a tenth of a second:
on two cores the network then has one and a half of them, and a frame of a room takes 250 ms instead of 170.
"""

import os

SPINS = 5_000
"""Less than a tenth of a millisecond: longer than the gaps between the loops of a stage."""
BLAS_SPINS = 4
"""Its binary logarithm for OpenBLAS, in clock cycles, the smallest there is: products stand far apart."""

if "OMP_WAIT_POLICY" not in os.environ:
    os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))
os.environ.setdefault("OPENBLAS_THREAD_TIMEOUT", str(BLAS_SPINS))
