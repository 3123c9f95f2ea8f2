# SPDX-License-Identifier: Apache-2.0
"""Whose each measured point is, and what a person would have labeled."""

from __future__ import annotations

import numpy as np

from sphmask_core.clouds.scenes import OBJECT, UNLABELED
from sphmask_core.simulation.tabletop.raycast import View

SEARCH = 2
"""Pixels around one in which the surface that was measured is looked for."""
TOLERANCE = (0.006, 0.012)
"""Meters at zero and one meter of depth from a surface up to which a point is of it."""
PIXEL = 0.0015
"""Meters of depth that a pixel aside counts as much as."""
FEWEST = 60
"""Points that an object must show, in an image 320 wide."""


def owners(measured: np.ndarray, view: View) -> np.ndarray:
    """Returns (H, W) item whose surface, within some pixels, is nearest to the measured depth; -1 none or
    ambiguous.

    A smeared edge of a near thing is the near thing's, although the ray passes it by; a flying pixel between
    two surfaces is nobody's.
    """
    height, width = measured.shape
    depth = np.pad(np.minimum(view.depth, np.float32(1e6)), SEARCH, constant_values=1e6)
    item = np.pad(view.item, SEARCH, constant_values=-1)
    best = np.full(measured.shape, np.inf, np.float32)
    owner = np.full(measured.shape, -1)
    known = np.nan_to_num(measured, nan=-1e6)
    offsets = [(r, c) for r in range(2 * SEARCH + 1) for c in range(2 * SEARCH + 1)]
    for r, c in sorted(offsets, key=lambda at: (at[0] - SEARCH) ** 2 + (at[1] - SEARCH) ** 2):
        aside = np.float32(PIXEL * np.hypot(r - SEARCH, c - SEARCH))
        cost = np.abs(depth[r : r + height, c : c + width] - known) + aside
        better = cost < best
        np.copyto(best, cost, where=better)
        np.copyto(owner, item[r : r + height, c : c + width], where=better)
    low, slope = TOLERANCE[0], TOLERANCE[1]
    return np.where(best < low + slope * np.maximum(known, 0) ** 2 + SEARCH * PIXEL, owner, -1)


def labels(owner: np.ndarray, classes: np.ndarray, fewest: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns the class and instance (H, W) int64 of points by the item (H, W), whose classes are (items,).

    Objects that show less than `fewest` points are unlabeled: no one would ask for them to be found, nor
    blame that they are. Instances are numbered from 0; everything else has a negative number.
    """
    semantic = np.where(owner >= 0, classes[owner], UNLABELED)
    counts = np.bincount(owner[owner >= 0], minlength=len(classes))
    hidden = (classes == OBJECT) & (counts < fewest)
    semantic = np.where((owner >= 0) & hidden[owner], UNLABELED, semantic)
    number = np.full(len(classes), UNLABELED)
    shown = np.flatnonzero((classes == OBJECT) & (counts >= fewest))
    number[shown] = np.arange(len(shown))
    instance = np.where(semantic == OBJECT, number[owner], UNLABELED)
    return semantic.astype(np.int64), instance.astype(np.int64)
