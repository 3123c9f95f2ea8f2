# SPDX-License-Identifier: Apache-2.0
"""Draw a run's learning curve: python -m training.curve RUN [-o curve.png]"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from sphmask_core.files import replacing
from training.log import SCORES, Record, losses, read


def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = argparse.ArgumentParser(
        description="Draw the losses and scores of a training run over its epochs."
    )
    parser.add_argument("run", type=Path, help="folder of the run, or its log.jsonl")
    parser.add_argument("-o", "--output", type=Path, help="picture (default: curve.png in the folder)")
    options = parser.parse_args(arguments)
    log = options.run / "log.jsonl" if options.run.is_dir() else options.run
    records = read(log)
    if not records:
        print(f"curve: {log}: no epoch is logged there; give the folder of a run", file=sys.stderr)
        return 2
    draw(records, options.output or log.with_name("curve.png"))
    return 0


def draw(records: Sequence[Record], path: Path) -> None:
    """Losses by term on the left, scores on the right."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(12, 4), layout="constrained")
    left, right = figure.subplots(1, 2)
    totals = [{"loss": sum(losses(record).values()), **_main_terms(record)} for record in records]
    epochs = [record["epoch"] + 1 for record in records]
    for name in dict.fromkeys(name for record in totals for name in record):
        width = 2.0 if name == "loss" else 1.0
        left.plot(epochs, [record.get(name, float("nan")) for record in totals], label=name, linewidth=width)
    scored = [record for record in records if "AP" in record]
    for name in SCORES:
        right.plot([one["epoch"] + 1 for one in scored], [one[name] for one in scored], ".-", label=name)
    left.set(xlabel="epoch", ylabel="loss, weighted", yscale="log")
    right.set(xlabel="epoch", ylabel="validation", ylim=(0, 1.02))
    for axes in (left, right):
        axes.grid(alpha=0.3)
        axes.legend(fontsize="small", loc="center left", bbox_to_anchor=(1, 0.5))
    with replacing(path) as partial:
        figure.savefig(partial, dpi=120)


def _main_terms(record: Record) -> Record:
    """The terms of the loss, the auxiliary matching's added to their own, the point-wise ones together."""
    terms: Record = {}
    for name, value in losses(record).items():
        name = "point-wise" if name.startswith("point_") else name.removeprefix("aux_")
        terms[name] = terms.get(name, 0.0) + value
    return terms


if __name__ == "__main__":
    sys.exit(main())
