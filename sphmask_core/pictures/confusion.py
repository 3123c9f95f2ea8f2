# SPDX-License-Identifier: Apache-2.0
"""Which classes a model takes for which, as a picture (needs matplotlib: `pip install sphmask[view]`)."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from sphmask_core.runtime.files import replacing

CELL = 0.45
"""Inches that a cell takes."""
MARGIN = 2.0
"""Inches for the names of classes."""
DARK = 0.5
"""Share of a row from which its count is written in white."""
LONGEST_NAME = 22
"""Letters of a class's name that are shown."""


def draw_confusion(path: str | Path, classes: Sequence[str], counts: np.ndarray) -> None:
    """Write a row for each class that has objects, a column for each class that objects are taken for.

    counts (K, K + 1): objects of each class that a prediction of each class covers; the last column, which is
    always drawn, are those that none covers. Colors are shares of the row.
    """
    from matplotlib.figure import Figure  # draws without a display and without pyplot's global state

    drawn_rows = counts.any(1)
    drawn_columns = np.append(drawn_rows, True) | counts.any(0)
    names = np.array([name[:LONGEST_NAME] for name in [*classes, "none"]])
    cells = counts[drawn_rows][:, drawn_columns]
    shares = cells / np.maximum(cells.sum(1, keepdims=True), 1)
    height, width = cells.shape
    figure = Figure(figsize=(MARGIN + CELL * width, MARGIN + CELL * max(height, 1)), layout="constrained")
    axes = figure.subplots()
    if height:
        axes.imshow(shares, cmap="Blues", vmin=0, vmax=1, aspect="equal")
    axes.set_xticks(range(width), names[drawn_columns], rotation=90)
    axes.set_yticks(range(height), names[:-1][drawn_rows])
    axes.set(xlabel="taken for", ylabel="object")
    axes.xaxis.set_label_position("top")
    axes.tick_params(top=True, labeltop=True, bottom=False, labelbottom=False)
    for row, column in zip(*np.nonzero(cells), strict=True):
        color = "white" if shares[row, column] > DARK else "black"
        axes.text(column, row, cells[row, column], ha="center", va="center", color=color, fontsize="small")
    with replacing(path) as temporary:
        figure.savefig(temporary, format="png")
