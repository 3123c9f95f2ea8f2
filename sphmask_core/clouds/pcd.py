# SPDX-License-Identifier: Apache-2.0
"""Point Cloud Library's .pcd files: ascii, binary and binary_compressed."""

from __future__ import annotations

import io
import struct
from dataclasses import dataclass

import numpy as np

from sphmask_core import native
from sphmask_core.clouds.limits import MAX_POINTS, check_points
from sphmask_core.runtime.wording import quoted

MAX_HEADER = 1 << 16
"""Bytes: more is no header of a cloud."""
MAX_LZF_RATIO = 88  # three bytes of LZF make at most 264
MAX_COUNT = 1 << 16
"""Values of a field of one point: far beyond those of any descriptor of PCL."""
LZF_SIZES = struct.Struct("<II")
"""What stands before an LZF block: its compressed and its uncompressed size, bytes."""


@dataclass(frozen=True)
class PcdHeader:
    """What stands above the data."""

    dtype: np.dtype
    """One point, packed as in the file."""
    shape: tuple[int, int]
    """(height, width)"""
    data: str
    """ascii, binary or binary_compressed"""

    @property
    def points(self) -> int:
        """Returns the number of points."""
        return self.shape[0] * self.shape[1]


def parse_pcd(content: bytes, max_points: int = MAX_POINTS) -> tuple[dict[str, np.ndarray], tuple[int, int]]:
    """Returns the columns of a .pcd file by field name, each (N,) or (N, count), and (height, width).

    Raises ValueError with what is wrong.
    """
    header, body = _parse_header(content)
    check_points(header.points, max_points)
    parsers = {"ascii": _ascii, "binary": _binary, "binary_compressed": _compressed}
    if header.data not in parsers:
        raise ValueError(f"DATA {header.data} is unknown; known: {', '.join(parsers)}")
    columns = parsers[header.data](header, body)
    return {name: column for name, column in columns.items() if not name.startswith("_")}, header.shape


def _parse_header(content: bytes) -> tuple[PcdHeader, bytes]:
    entries: dict[str, list[str]] = {}
    start = 0
    while "DATA" not in entries:
        end = content.find(b"\n", start, MAX_HEADER)
        if end < 0:
            raise ValueError("not a PCD file, or cut off in its header: there is no DATA line")
        words = content[start:end].decode("ascii", "replace").split()
        if words and not words[0].startswith("#"):
            entries[words[0]] = words[1:]
        start = end + 1
    return PcdHeader(_dtype(entries), _shape(entries), " ".join(entries["DATA"])), content[start:]


def _dtype(entries: dict[str, list[str]]) -> np.dtype:
    names = entries.get("FIELDS", [])
    sizes, kinds = entries.get("SIZE", []), entries.get("TYPE", [])
    counts = _integers("COUNT", entries.get("COUNT", ["1"] * len(names)))
    if not names or not len(names) == len(sizes) == len(kinds) == len(counts):
        raise ValueError("FIELDS, SIZE, TYPE and COUNT of the header must have one entry a field")
    if not all(1 <= count <= MAX_COUNT for count in counts):
        raise ValueError("COUNT of the header must be from 1 to 65536")
    unique = [f"_{i}" if name == "_" else name for i, name in enumerate(names)]
    types = [(_scalar(kind, size), (count,)) for kind, size, count in zip(kinds, sizes, counts, strict=True)]
    return np.dtype(
        [(name, t, c) if c != (1,) else (name, t) for name, (t, c) in zip(unique, types, strict=True)]
    )


def _scalar(kind: str, size: str) -> str:
    known = {"F": ("4", "8"), "U": ("1", "2", "4", "8"), "I": ("1", "2", "4", "8")}
    if size not in known.get(kind, ()):
        raise ValueError(f"TYPE {kind} of SIZE {size} is unknown")
    return f"<{kind.lower()}{size}"


def _shape(entries: dict[str, list[str]]) -> tuple[int, int]:
    points, width, height = (_integers(key, entries.get(key, [])) for key in ("POINTS", "WIDTH", "HEIGHT"))
    if not width and points:
        width, height = points, [1]
    if len(width) != 1 or len(height) != 1 or min(*width, *height) < 0:
        raise ValueError("WIDTH and HEIGHT of the header must each be one number")
    if points and points != [width[0] * height[0]]:
        raise ValueError(f"POINTS {points[0]} is not WIDTH {width[0]} times HEIGHT {height[0]}")
    return height[0], width[0]


def _integers(key: str, words: list[str]) -> list[int]:
    try:
        return [int(word) for word in words]
    except ValueError:
        raise ValueError(
            f"{key} of the header must be whole numbers, not {quoted(' '.join(words))}"
        ) from None


def _ascii(header: PcdHeader, body: bytes) -> dict[str, np.ndarray]:
    if header.points == 0:
        return _split(np.zeros(0, header.dtype))
    if len(body) < header.points:  # before loadtxt's own limit of rows
        raise ValueError(f"cut off: {header.points} points announced")
    table = np.loadtxt(io.BytesIO(body), dtype=np.float64, ndmin=2, comments=None, max_rows=header.points)
    width = sum(int(np.prod(header.dtype[name].shape)) for name in header.dtype.names or ())
    if len(table) < header.points:
        raise ValueError(f"cut off: {len(table)} of {header.points} points")
    if table.shape[1] != width:
        raise ValueError(f"lines of {table.shape[1]} values where the header announces {width}")
    return _cast_columns(header.dtype, table)


def _cast_columns(dtype: np.dtype, table: np.ndarray) -> dict[str, np.ndarray]:
    columns: dict[str, np.ndarray] = {}
    at = 0
    for name in dtype.names or ():
        count = int(np.prod(dtype[name].shape))
        values = table[:, at : at + count] if dtype[name].shape else table[:, at]
        with np.errstate(invalid="ignore", over="ignore"):
            columns[name] = values.astype(dtype[name].base)
        at += count
    return columns


def _binary(header: PcdHeader, body: bytes) -> dict[str, np.ndarray]:
    needed = header.points * header.dtype.itemsize
    if len(body) < needed:
        raise ValueError(f"cut off: {len(body)} of {needed} bytes of data")
    return _split(np.frombuffer(body, header.dtype, header.points))


def _split(points: np.ndarray) -> dict[str, np.ndarray]:
    return {name: points[name] for name in points.dtype.names or ()}


def _compressed(header: PcdHeader, body: bytes) -> dict[str, np.ndarray]:
    """Returns the fields one after the other, read from one LZF block behind its compressed and its
    uncompressed size."""
    if len(body) < LZF_SIZES.size:
        raise ValueError("cut off: the sizes of the compressed data are missing")
    packed, unpacked = LZF_SIZES.unpack_from(body)
    needed = header.points * header.dtype.itemsize
    if unpacked != needed:
        raise ValueError(f"{unpacked} bytes of data where the header announces {needed}")
    held = len(body) - LZF_SIZES.size
    if held < packed:
        raise ValueError(f"cut off: {held} of {packed} compressed bytes")
    if packed * MAX_LZF_RATIO < unpacked:
        raise ValueError(f"announces {unpacked} bytes of data, which {packed} compressed bytes cannot hold")
    return _by_field(header, _unpack(np.frombuffer(body, np.uint8, packed, LZF_SIZES.size), unpacked))


def _unpack(packed: np.ndarray, size: int) -> np.ndarray:
    out = np.empty(size, np.uint8)
    if native.lzf_decompress(packed, out) != size:
        raise ValueError("damaged: the compressed data cannot be unpacked")
    return out


def _by_field(header: PcdHeader, data: np.ndarray) -> dict[str, np.ndarray]:
    columns: dict[str, np.ndarray] = {}
    at = 0
    for name in header.dtype.names or ():
        field = header.dtype[name]
        size = field.itemsize * header.points
        columns[name] = data[at : at + size].view(field.base).reshape(header.points, *field.shape)
        at += size
    return columns
