# SPDX-License-Identifier: Apache-2.0
"""Imported before torch: idle OpenMP threads sleep instead of spinning.

Where another program keeps a core busy, as on a robot, spinning threads wait for the one that is not
running: a frame took 21 s instead of 1 s beside one busy core of two.
"""

import os

os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
