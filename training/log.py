# SPDX-License-Identifier: Apache-2.0
"""The log of a run: log.jsonl, one record an epoch."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from sphmask_core.runtime.files import replacing

Record = dict[str, Any]

SCORES = ("AP", "AP50", "AP25")
OTHERS = ("epoch", "seconds", "waited", "lr", *SCORES)
"""What a record holds beside the terms of the loss."""


def append(path: Path, record: Record) -> None:
    """Add a record; floats to five decimals."""
    values = {key: round(value, 5) if isinstance(value, float) else value for key, value in record.items()}
    with path.open("a") as log:
        log.write(json.dumps(values) + "\n")


def read(path: Path) -> list[Record]:
    """All records, but not a last one that was cut off."""
    lines = path.read_text().splitlines(keepends=True) if path.exists() else []
    return [json.loads(line) for line in lines if line.endswith("\n")]


def keep(path: Path, epochs: int) -> None:
    """Drop what was logged after the first `epochs` epochs: a resumed run comes to it again."""
    with replacing(path) as partial:
        partial.touch()
        for record in read(path):
            if record["epoch"] < epochs:
                append(partial, record)


def losses(record: Record) -> dict[str, float]:
    """The weighted terms of the loss in a record."""
    return {name: value for name, value in record.items() if name not in OTHERS}


def line(record: Record) -> str:
    """A record for people."""
    scores = "".join(f"  {name} {record[name]:.3f}" for name in SCORES if name in record)
    loss, seconds, waited = sum(losses(record).values()), record["seconds"], record["waited"]
    time = f"{seconds:.0f} s, {waited:.0%} of it waiting for scenes"
    return f"epoch {record['epoch']}: loss {loss:.3f}{scores}  {time}"
