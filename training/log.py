# SPDX-License-Identifier: Apache-2.0
"""The log of a run, log.jsonl: a row each `train.log_every` steps, with "step", and a row an epoch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sphmask_core.runtime.files import replacing

Record = dict[str, Any]

SCORES = ("AP", "AP50", "AP25")
POINTWISE = ("mIoU", "offset_error", "foreground_recall")
"""What validation says of the point-wise heads; the error in meters."""
OTHERS = ("epoch", "step", "seconds", "waited", "lr", *SCORES, *POINTWISE)
"""What a record holds beside the terms of the loss."""
DIGITS = 6
"""Significant ones of a number in the log."""


def append(path: Path, record: Record) -> None:
    """Add a record."""
    values = {key: _rounded(value) for key, value in record.items()}
    with path.open("a") as log:
        log.write(json.dumps(values) + "\n")


def read(path: Path) -> list[Record]:
    """Returns the records of whole epochs."""
    return [record for record in read_all(path) if "step" not in record]


def read_steps(path: Path) -> list[Record]:
    """Returns the records of steps within epochs."""
    return [record for record in read_all(path) if "step" in record]


def read_all(path: Path) -> list[Record]:
    """Returns all records in their order; what is no record, as a line that was cut off, is left out."""
    lines = path.read_text(errors="replace").splitlines() if path.exists() else []
    records = (_record(line) for line in lines)
    return [record for record in records if record is not None]


def keep(path: Path, epochs: int, steps: int) -> None:
    """Drop what was logged after so many epochs and steps: a resumed run comes to it again."""
    with replacing(path) as partial:
        partial.touch()
        for record in read_all(path):
            if record["step"] <= steps if "step" in record else record["epoch"] < epochs:
                append(partial, record)


def losses(record: Record) -> dict[str, float]:
    """Returns the weighted terms of the loss in a record."""
    return {name: value for name, value in record.items() if name not in OTHERS}


def line(record: Record) -> str:
    """Returns a record of an epoch as a line for people."""
    scores = "".join(f"  {name} {record[name]:.3f}" for name in (*SCORES, *POINTWISE) if name in record)
    loss, seconds, waited = sum(losses(record).values()), record["seconds"], record["waited"]
    time = f"{seconds:.0f} s, {waited:.0%} of it waiting for scenes"
    return f"epoch {record['epoch']}: loss {loss:.3f}{scores}  {time}"


def _record(line: str) -> Record | None:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if not isinstance(values, dict) or not isinstance(values.get("step", values.get("epoch")), int):
        return None
    return values if isinstance(values.get("epoch"), int) else None


def _rounded(value: Any) -> Any:
    return float(f"{value:.{DIGITS}g}") if isinstance(value, float) else value
