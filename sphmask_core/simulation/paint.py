# SPDX-License-Identifier: Apache-2.0
"""Colors of surfaces: plain, striped, or printed with patches as cartons are."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sphmask_core.simulation.product import product

PLAIN = np.zeros(3)
PRIMES = np.array([73_856_093, 19_349_663, 83_492_791])
PRINTED = 0.3
"""Share of cells that have a patch."""

# Colors were set by hand, so that tables and objects are as various as real ones.
STRIPES, CELLS = (5, 40), (12, 90)
"""Stripes and cells a meter, fewest and most."""
CONTRASTS, CONTRAST_SHARES = (0.0, 0.15, 1.0), (0.4, 0.3, 0.3)
"""How far the second color is from the first, as a share of the way to any other, and how often."""
STRIPED, PATCHED, COLORED_TABLES = 0.6, 0.5, 0.3
"""Shares of paints with stripes and with patches, and of tables in any color."""
PALE = (0.35, 0.95)
"""Brightness of other tables, least and most."""


@dataclass(frozen=True)
class Paint:
    """The colors of a surface, as a function of the place in the frame of its solid."""

    colors: np.ndarray
    """(4, 3) in [0, 1]: two that alternate as stripes, two of patches"""
    stripes: np.ndarray
    """(3,) direction across the stripes times stripes a meter; zero: none"""
    cells: np.ndarray
    """(3,) cells a meter along each axis, some of which have a patch; zero: none"""

    def at(self, points: np.ndarray) -> np.ndarray:
        """Returns the colors (P, 3) at points (3, P)."""
        color = np.floor(product(self.stripes, points)).astype(np.int64) & 1
        if self.cells.any():
            cell = np.floor(points * self.cells[:, None].astype(points.dtype)).astype(np.int64)
            key = np.bitwise_xor.reduce(cell * PRIMES[:, None], axis=0)
            key = (key ^ (key >> 13)) & 255
            color = np.where(key < 256 * PRINTED, 2 + (key & 1), color)
        return self.colors[color]


def random_colors(rng: np.random.Generator) -> np.ndarray:
    """Returns (4, 3): the first color, a second one that is often similar to it, and two colors for
    patches."""
    first, second, *patches = rng.uniform(0.05, 0.95, (4, 3))
    near = first + (second - first) * rng.choice(CONTRASTS, p=CONTRAST_SHARES)
    return np.stack([first, near, *patches])


def plain(rng: np.random.Generator) -> Paint:
    """Returns a paint of one color."""
    return Paint(random_colors(rng), PLAIN, PLAIN)


def random_paint(rng: np.random.Generator) -> Paint:
    """Returns a paint that is plain or striped, and half of the time printed with patches of 1 to 8 cm."""
    stripes = rng.normal(size=3) * rng.uniform(*STRIPES) if rng.random() < STRIPED else PLAIN
    return Paint(random_colors(rng), stripes, rng.uniform(*CELLS, 3) if rng.random() < PATCHED else PLAIN)


def table_paint(rng: np.random.Generator) -> Paint:
    """Returns the paint of a table: wood or paint, mostly pale and nearly plain."""
    stripes = rng.normal(size=3) * rng.uniform(*STRIPES)
    if rng.random() < COLORED_TABLES:
        return Paint(random_colors(rng), stripes, PLAIN)
    color = rng.uniform(*PALE) + rng.uniform(-0.1, 0.1, 3)
    colors = np.stack([color, color + rng.normal(scale=0.02, size=3), color, color])
    return Paint(np.clip(colors, 0.02, 0.98), stripes, PLAIN)
