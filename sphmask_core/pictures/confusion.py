# SPDX-License-Identifier: Apache-2.0
"""Which classes a model takes for which, as a picture (needs pillow: `pip install sphmask[view]`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sphmask_core.pictures.draw import GAP, INK
from sphmask_core.runtime.files import replacing

if TYPE_CHECKING:
    from PIL.Image import Image

CELL = 34
NAMES = 150
"""Pixels for the names beside and above the cells."""
FULL = np.array([40, 90, 160])
"""Color of a cell with all objects of its row."""


def draw_confusion(path: str | Path, classes: Sequence[str], counts: np.ndarray) -> None:
    """Write a row for each class that has objects, a column for each that they are taken for.

    counts (K, K + 1): objects of each class that a prediction of each class covers; last column: none does.
    """
    from PIL import ImageDraw, ImageFont
    from PIL.Image import new

    there = counts.any(1)
    said = np.append(there, True) | counts.any(0)
    names = [*classes, "none"]
    rows = [(names[i], counts[i, said]) for i in np.flatnonzero(there)]
    columns = [names[j] for j in np.flatnonzero(said)]
    size = (NAMES + CELL * len(columns) + GAP, NAMES + CELL * len(rows) + GAP)
    sheet = new("RGB", size, "white")
    pen, font = ImageDraw.Draw(sheet), ImageFont.load_default(12)
    for c, name in enumerate(columns):
        sheet.paste(_upright(name, font), (NAMES + c * CELL, 0))
    for r, (name, row) in enumerate(rows):
        y = NAMES + r * CELL
        pen.text((NAMES - 6, y + CELL / 2), name[:22], INK, font, "rm")
        for c, count in enumerate(row.tolist()):
            x, share = NAMES + c * CELL, count / row.sum()
            color = tuple((255 + share * (FULL - 255)).astype(int).tolist())
            pen.rectangle((x, y, x + CELL - 2, y + CELL - 2), color)
            ink = "white" if share > 0.5 else INK
            pen.text((x + CELL / 2 - 1, y + CELL / 2 - 1), str(count) if count else "", ink, font, "mm")
    with replacing(path) as temporary:
        sheet.save(temporary, "PNG")


def _upright(name: str, font: Any) -> Image:
    """A column's name, read from below."""
    from PIL import ImageDraw
    from PIL.Image import new

    label = new("RGB", (NAMES, CELL - 2), "white")
    ImageDraw.Draw(label).text((6, CELL / 2 - 1), name[:22], INK, font, "lm")
    return label.rotate(90, expand=True)
