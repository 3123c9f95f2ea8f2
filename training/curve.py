# SPDX-License-Identifier: Apache-2.0
"""Draw the learning curve of a run, or of several one after the other: python -m training.curve RUN ..."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path

from sphmask_core.runtime.files import replacing

from .log import SCORES, Record, losses, read, read_steps

SIZE, DOTS = (12, 4), 120
"""Inches of the picture, and its dots in an inch."""
SHARES = (0, 1.02)
"""Range of scores that is drawn; a little more than 1, so that a line at 1 is seen."""
GRID = 0.3
"""Opacity of the grid."""
DRAWN = (*SCORES, "mIoU", "foreground_recall")
"""Scores between 0 and 1."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the command line. Returns the exit status."""
    parser = argparse.ArgumentParser(
        description="Draw the losses and scores over the epochs of a training run, or of several, each of "
        "which went on from the weights of the one before; over the steps of one that ended before an epoch."
    )
    parser.add_argument("run", type=Path, nargs="+", help="folder of a run, or its log.jsonl")
    parser.add_argument("-o", "--output", type=Path, help="picture (default: curve.png in the last folder)")
    options = parser.parse_args(arguments)
    logs = [run / "log.jsonl" if run.is_dir() else run for run in options.run]
    runs = [read(log) or read_steps(log) for log in logs]
    for log, records in zip(logs, runs, strict=True):
        if not records:
            print(f"curve: {log}: nothing is logged there; give the folder of a run", file=sys.stderr)
            return 2
    draw(
        [record for records in runs for record in records], options.output or logs[-1].with_name("curve.png")
    )
    return 0


def draw(records: Sequence[Record], path: Path) -> None:
    """Draw losses by term on the left, scores on the right; a dotted line where other terms begin to
    count."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=SIZE, layout="constrained")
    left, right = figure.subplots(1, 2, sharex=True)
    totals = [{"loss": sum(losses(record).values()), **_main_terms(record)} for record in records]
    by_steps = "step" in records[-1]
    epochs = [record["step"] for record in records] if by_steps else list(range(1, len(records) + 1))
    for name in dict.fromkeys(name for record in totals for name in record):
        width = 2.0 if name == "loss" else 1.0
        left.plot(epochs, [record.get(name, float("nan")) for record in totals], label=name, linewidth=width)
    for name in DRAWN:
        points = [
            (epoch, record[name]) for epoch, record in zip(epochs, records, strict=True) if name in record
        ]
        if points:
            right.plot(*zip(*points, strict=True), ".-", label=name)
    left.set(xlabel="step" if by_steps else "epoch", ylabel="loss, weighted", yscale="log")
    right.set(xlabel=left.get_xlabel(), ylabel="validation", ylim=SHARES)
    stages = [
        epoch + 0.5
        for epoch, (epoch_totals, next_totals) in zip(epochs, pairwise(totals), strict=False)
        if epoch_totals.keys() != next_totals.keys()
    ]
    for axes in (left, right):
        for stage in stages:
            axes.axvline(stage, color="black", linestyle=":", linewidth=1)
        axes.grid(alpha=GRID)
        if axes.lines:
            axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    with replacing(path) as partial:
        figure.savefig(partial, dpi=DOTS)


def _main_terms(record: Record) -> Record:
    """Returns the terms of the loss, the auxiliary matching's added to their own, the point-wise ones
    together."""
    terms: Record = {}
    for name, value in losses(record).items():
        name = "point-wise" if name.startswith("point_") else name.removeprefix("aux_")
        terms[name] = terms.get(name, 0.0) + value
    return terms


if __name__ == "__main__":
    sys.exit(main())
