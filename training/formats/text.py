# SPDX-License-Identifier: Apache-2.0
"""Tables of numbers as text."""

from __future__ import annotations

import io
import math
import re
from pathlib import Path

import numpy as np

from .source import FormatError

CONTROL = bytes(set(range(32)) - set(b"\t\n\r"))
LOST_BIT = 0x20
REPAIRED = bytes(byte | LOST_BIT if byte in CONTROL else byte for byte in range(256))
"""S3DIS has a few bytes that lost the bit 0x20: 0x10 was '0', 0x16 was '6', 0x00 a space."""


def read_numbers(path: Path, columns: int, delimiter: str | None = None) -> np.ndarray:
    """Returns (N, columns) float64, one row a line; damaged bytes are repaired, a line that stays bad is
    named."""
    text = path.read_bytes()
    if re.search(b"[" + re.escape(CONTROL) + b"]", text):
        text = text.translate(REPAIRED)
    if not text.strip():
        raise FormatError(f"{path}: holds no points")
    try:
        rows = np.loadtxt(io.BytesIO(text), delimiter=delimiter, comments=None, ndmin=2, encoding="latin1")
    except ValueError:
        rows = np.empty((0, 0))
    if rows.shape[1] != columns or not np.isfinite(rows).all():
        raise FormatError(f"{path}: line {_bad_line(text, columns, delimiter)} is not {columns} numbers")
    return rows


def _bad_line(text: bytes, columns: int, delimiter: str | None) -> int:
    """Returns the number, from 1, of the first line that is not `columns` finite numbers."""
    lines = text.decode("latin1").split("\n")
    bad = (i for i, line in enumerate(lines, 1) if line.strip() and not _is_row(line, columns, delimiter))
    return next(bad, len(lines))


def _is_row(line: str, columns: int, delimiter: str | None) -> bool:
    words = line.split(delimiter)
    try:
        return len(words) == columns and all(math.isfinite(float(word)) for word in words)
    except ValueError:
        return False
