# SPDX-License-Identifier: Apache-2.0
"""The color of an object, the same as long as it has its id."""

from __future__ import annotations

import numpy as np

from sphmask_core.pictures.draw import instance_colors

PALETTE = instance_colors(256)
PLAIN = np.full((1, 3), 128, np.uint8)
"""Mid-gray, of points without color or instance."""


def object_colors(ids: np.ndarray) -> np.ndarray:
    """(I, 3) uint8 of ids (I,), from 1."""
    return PALETTE[(ids.astype(np.int64) - 1) % len(PALETTE)]
