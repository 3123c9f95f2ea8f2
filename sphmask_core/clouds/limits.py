# SPDX-License-Identifier: Apache-2.0
"""What a file may make its reader hold in memory: checked before anything is allocated."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import IO, Any
from zipfile import ZipFile

import numpy as np

from sphmask_core.runtime.wording import quoted

MAX_POINTS = 50_000_000
"""Points of one cloud, unless a caller asks for more: what a scanner records of a building."""
MAX_DEFLATE_RATIO = 1032
"""Bytes that one byte of deflate makes at most (zlib's technical notes, "Maximum Compression Factor")."""
IMAGE_BITS = {"RGB": 24, "RGBA": 32, "LA": 16, "I;16": 16, "I;16B": 16, "I": 16, "F": 32}
"""Bits that a pixel has at least before an image file is compressed, by Pillow's mode; one in all others."""
MAX_PLY_HEADER = 1 << 16
"""Bytes: more is no header of a cloud."""
PLY_SIZES = {
    **dict.fromkeys(("char", "uchar", "int8", "uint8"), 1),
    **dict.fromkeys(("short", "ushort", "int16", "uint16"), 2),
    **dict.fromkeys(("int", "uint", "float", "int32", "uint32", "float32"), 4),
    **dict.fromkeys(("double", "float64"), 8),
}
"""Bytes of each scalar type of a PLY file."""


def check_regular(path: Path) -> None:
    """Raise ValueError unless the path is a regular file, or a link to one: a FIFO or a device may never end.

    Raises OSError where there is nothing, or it is a folder.
    """
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(str(path))
    kinds = {
        stat.S_IFIFO: "a FIFO",
        stat.S_IFCHR: "a device",
        stat.S_IFBLK: "a device",
        stat.S_IFSOCK: "a socket",
    }
    if not stat.S_ISREG(mode):
        raise ValueError(f"is {kinds.get(stat.S_IFMT(mode), 'no file')}; give a regular file")


def check_points(points: int, most: int) -> None:
    """Raise ValueError for more points than are allowed."""
    if points > most:
        raise ValueError(f"has {points} points, more than --max-points {most}; split it, or allow more")


def check_image(size: tuple[int, int], mode: str, held: int, most: int = MAX_POINTS) -> None:
    """Raise ValueError where an image of `held` bytes announces more pixels than they can be unpacked to.

    size: width and height; mode: Pillow's. No codec of images packs more tightly than deflate at its best.
    """
    pixels = size[0] * size[1]
    check_points(pixels, most)
    if pixels * IMAGE_BITS.get(mode, 1) > held * 8 * MAX_DEFLATE_RATIO:
        raise ValueError(f"announces {size[0]} x {size[1]} pixels, which {held} bytes cannot hold")


def check_ply(path: Path, most: int) -> None:
    """Raise ValueError where a PLY header announces more than the file can hold, before a parser believes it.

    An element is at least the sum of its properties in a binary file, a list being at least its count, and at
    least two bytes (a digit and a line's end) a property in a text.
    """
    with path.open("rb") as file:
        head = file.read(MAX_PLY_HEADER)
    end = re.search(rb"(^|[\r\n])end_header", head)
    if end is None:
        raise ValueError("not a PLY file, or cut off in its header: there is no end_header")
    left = path.stat().st_size - end.end()
    lines = [line.split() for line in head[: end.start()].decode("ascii", "replace").splitlines()]
    text = ["format", "ascii", "1.0"] in lines
    for name, count, size in _elements(lines, text):
        if name == "vertex":
            check_points(count, most)
        if count * size > left:
            raise ValueError(f"announces {count} of element {name}, which {max(left, 0)} bytes cannot hold")
        left -= count * size


def _elements(lines: list[list[str]], text: bool) -> list[tuple[str, int, int]]:
    """Returns name, count and least bytes of each of a PLY header's elements."""
    elements: list[tuple[str, int, int]] = []
    for words in lines:
        if words[:1] == ["element"]:
            if len(words) != 3 or not re.fullmatch(r"\d{1,18}", words[2]):
                raise ValueError(f"its header has a line that is no element: {quoted(' '.join(words))}")
            elements.append((words[1], int(words[2]), 0))
        elif words[:1] == ["property"] and elements:
            kind = words[2] if words[1:2] == ["list"] and len(words) > 2 else "".join(words[1:2])
            name, count, size = elements[-1]
            elements[-1] = name, count, size + (2 if text else PLY_SIZES.get(kind, 1))
    empty = next((name for name, count, size in elements if count and not size), None)
    if empty is not None:
        raise ValueError(f"its element {empty} has no properties")
    return elements


def check_npy(file: IO[bytes], held: int, most: int) -> None:
    """Raise ValueError where an .npy header announces more than `held` bytes, or too many points."""
    version = np.lib.format.read_magic(file)
    read: Any = (
        np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    )
    shape, _, dtype = read(file)
    if dtype.hasobject:
        raise ValueError("holds Python objects; save plain numbers")
    count = 1
    for side in shape:
        count *= int(side)
    check_points(count // int(shape[-1]) if len(shape) > 1 and shape[-1] else count, most)
    if count * dtype.itemsize > held:
        raise ValueError(f"announces {count * dtype.itemsize} bytes of array, and holds at most {held}")


def check_npz(path: Path, names: frozenset[str], most: int) -> None:
    """Raise ValueError where an array of `names` in an .npz is larger than its bytes can be unpacked to."""
    with ZipFile(path) as archive:
        for member in archive.infolist():
            if member.filename.removesuffix(".npy") not in names:
                continue
            held = min(member.file_size, member.compress_size * MAX_DEFLATE_RATIO)
            with archive.open(member) as file:
                check_npy(file, held, most)
