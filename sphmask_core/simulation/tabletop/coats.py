# SPDX-License-Identifier: Apache-2.0
"""Colors as things in homes and workshops have them: many pale, grey, brown or black, some bright."""

from __future__ import annotations

import numpy as np

from sphmask_core.simulation.paint import PLAIN, Paint

Random = np.random.Generator

NEUTRAL, BROWN = 0.38, 0.17
"""Shares of colors that are grey to white or black, and of wood or cardboard."""
PRINTED = 0.5
"""Share of printed things among those that are not plain."""


def color(rng: Random) -> np.ndarray:
    """Returns a color (3,) in [0, 1]."""
    kind = rng.random()
    if kind < NEUTRAL:
        return np.clip(rng.choice([rng.uniform(0.03, 0.2), rng.uniform(0.2, 0.7), rng.uniform(0.7, 0.97)])
                       + rng.normal(scale=0.02, size=3), 0.02, 0.98)  # fmt: skip
    if kind < NEUTRAL + BROWN:
        return np.clip(
            rng.uniform(0.25, 1) * np.array([0.85, 0.62, 0.42]) + rng.normal(scale=0.04, size=3), 0.02, 1
        )
    hue, saturation, value = rng.random(), rng.beta(1.6, 1.5), rng.beta(2.2, 1.6)
    wheel = np.clip(np.abs((hue * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    return np.clip(value * (1 - saturation * (1 - wheel)), 0.02, 0.98)


def single(of: np.ndarray) -> Paint:
    """Returns a paint of one color (3,)."""
    return Paint(np.tile(np.clip(of, 0.02, 0.98), (4, 1)), PLAIN, PLAIN)


def plain(rng: Random) -> Paint:
    """Returns a paint of one random color."""
    return single(color(rng))


def printed(rng: Random) -> Paint:
    """Returns a coat that is plain, striped, or with patches of 5 mm to 8 cm, as cartons, covers and bags are
    printed."""
    colors = np.stack([color(rng) for _ in range(4)])
    if rng.random() < 0.5:
        colors[1] = colors[0] + rng.normal(scale=0.06, size=3)
    stripes = rng.normal(size=3) * rng.uniform(5, 40) if rng.random() < 0.4 else PLAIN
    cells = rng.uniform(12, 60, 3) * rng.choice([1, 1, 3]) if rng.random() < PRINTED else PLAIN
    return Paint(np.clip(colors, 0.02, 0.98), stripes, cells)


def surface(rng: Random) -> Paint:
    """Returns the coat of tables, floors and walls: plain, or of boards, tiles and specks that differ
    little."""
    base = (
        color(rng)
        if rng.random() < 0.5
        else np.clip(rng.uniform(0.5, 0.95) + rng.normal(scale=0.05, size=3), 0, 1)
    )
    colors = base + rng.normal(scale=rng.choice([0.0, 0.02, 0.06]), size=(4, 3))
    kind = rng.choice(3, p=[0.4, 0.35, 0.25])
    stripes = rng.normal(size=3) * rng.uniform(3, 60) if kind == 1 else PLAIN
    cells = np.full(3, rng.choice([rng.uniform(2, 5), rng.uniform(20, 200)])) if kind == 2 else PLAIN
    return Paint(np.clip(colors, 0.02, 0.98), stripes, cells)
