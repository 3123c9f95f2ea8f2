# SPDX-License-Identifier: Apache-2.0
"""Speed and quality, side by side with peers: `python -m benchmarks.NAME`."""

import sphmask_core  # noqa: F401  before any benchmark imports numpy or torch, whose threads are then as for a user
