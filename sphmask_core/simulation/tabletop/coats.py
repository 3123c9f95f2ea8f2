# SPDX-License-Identifier: Apache-2.0
"""Colors as things in homes and workshops have them: many pale, gray, brown or black, some bright."""

from __future__ import annotations

import numpy as np

from sphmask_core.simulation.paint import PLAIN, Paint

Random = np.random.Generator

NEUTRAL, BROWN = 0.38, 0.17
"""Shares of colors that are gray to white or black, and of wood or cardboard."""
GRAYS = ((0.03, 0.2), (0.2, 0.7), (0.7, 0.97))
"""Brightness of black, gray and white things, each as often; darkest and brightest."""
WOOD = (0.85, 0.62, 0.42)
"""Red, green and blue of the brightest wood or cardboard."""
SATURATION, VALUE = (1.6, 1.5), (2.2, 1.6)
"""Beta distributions of bright colors' saturation and value: most are in the middle, few are dark."""
DARKEST, BRIGHTEST = 0.02, 0.98
STRIPES, CELLS = (5, 40), (12, 60)
"""Stripes and patches a meter, fewest and most."""
STRIPED = 0.4
"""Share of printed things with stripes."""
SURFACES = (0.4, 0.35, 0.25)
"""Shares of tables, floors and walls of one color, of boards, and of tiles or specks."""
BOARDS, TILES, SPECKS = (3, 60), (2, 5), (20, 200)
"""Boards, tiles and specks in a meter, fewest and most."""
PRINTED = 0.5
"""Share of printed things among those that are not plain."""


def color(rng: Random) -> np.ndarray:
    """Returns a color (3,) in [0, 1]."""
    kind = rng.random()
    if kind < NEUTRAL:
        return np.clip(
            rng.choice([rng.uniform(*gray) for gray in GRAYS]) + rng.normal(scale=0.02, size=3),
            DARKEST,
            BRIGHTEST,
        )
    if kind < NEUTRAL + BROWN:
        return np.clip(rng.uniform(0.25, 1) * np.array(WOOD) + rng.normal(scale=0.04, size=3), DARKEST, 1)
    hue, saturation, value = rng.random(), rng.beta(*SATURATION), rng.beta(*VALUE)
    wheel = np.clip(np.abs((hue * 6 + np.array([0, 4, 2])) % 6 - 3) - 1, 0, 1)
    return np.clip(value * (1 - saturation * (1 - wheel)), DARKEST, BRIGHTEST)


def single(of: np.ndarray) -> Paint:
    """Returns a paint of one color (3,)."""
    return Paint(np.tile(np.clip(of, DARKEST, BRIGHTEST), (4, 1)), PLAIN, PLAIN)


def plain(rng: Random) -> Paint:
    """Returns a paint of one random color."""
    return single(color(rng))


def printed(rng: Random) -> Paint:
    """Returns a coat that is plain, striped, or with patches of 5 mm to 8 cm, as cartons, covers and bags are
    printed."""
    colors = np.stack([color(rng) for _ in range(4)])
    if rng.random() < 0.5:
        colors[1] = colors[0] + rng.normal(scale=0.06, size=3)
    stripes = rng.normal(size=3) * rng.uniform(*STRIPES) if rng.random() < STRIPED else PLAIN
    cells = rng.uniform(*CELLS, 3) * rng.choice([1, 1, 3]) if rng.random() < PRINTED else PLAIN
    return Paint(np.clip(colors, DARKEST, BRIGHTEST), stripes, cells)


def surface(rng: Random) -> Paint:
    """Returns the coat of tables, floors and walls: plain, or of boards, tiles and specks that differ
    little."""
    base = (
        color(rng)
        if rng.random() < 0.5
        else np.clip(rng.uniform(0.5, 0.95) + rng.normal(scale=0.05, size=3), 0, 1)
    )
    colors = base + rng.normal(scale=rng.choice([0.0, 0.02, 0.06]), size=(4, 3))
    kind = rng.choice(len(SURFACES), p=SURFACES)
    stripes = rng.normal(size=3) * rng.uniform(*BOARDS) if kind == 1 else PLAIN
    cells = np.full(3, rng.choice([rng.uniform(*TILES), rng.uniform(*SPECKS)])) if kind == 2 else PLAIN
    return Paint(np.clip(colors, DARKEST, BRIGHTEST), stripes, cells)
