# SPDX-License-Identifier: Apache-2.0
"""S3DIS v1.2 aligned: Area_<n>/<room>/<room>.txt, and Annotations/<class>_<n>.txt, the points of an object.

Known defects, all dealt with: bytes that lost a bit (in Area_2, Area_3 and Area_5), a room file of another
name (Area_6/copyRoom_1/copy_Room_1.txt), stairs, which are clutter, annotations that list points in another
order than the room, and points that no annotation has.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from scipy.spatial import cKDTree

from sphmask_core.clouds.prepared import Table
from sphmask_core.palette import BRIGHTEST

from .source import FormatError, NamedTable, Options, Source
from .text import read_numbers

OFFICIAL = {"Area_1": 44, "Area_2": 40, "Area_3": 23, "Area_4": 49, "Area_5": 68, "Area_6": 48}
"""Rooms of each area of the data set as it is published."""
SYNONYMS = {"stairs": "clutter"}
"""Names of annotations that are none of the classes, and the class that takes them, as published."""
COLUMNS = 6
"""Numbers of a line: x, y, z in meters, then red, green, blue from 0 to 255."""


def label_ids(options: Options) -> tuple[int, ...]:
    """Returns the classes in their official order, from 0."""
    return tuple(range(len(options.config.semantic_classes)))


def find(options: Options) -> list[Source]:
    """Returns a source for each room; areas are the splits."""
    rooms = [room for area in OFFICIAL for room in sorted((options.raw / area).glob("*/"))]
    return [
        Source(f"{room.parent.name}_{room.name}", room.parent.name, (_room_file(room), *_objects(room)), read)
        for room in rooms
        if room.is_dir()
    ]


def _room_file(room: Path) -> Path:
    """Returns <room>.txt, or the one text file there is."""
    file = room / f"{room.name}.txt"
    others = [path for path in room.glob("*.txt") if not path.name.startswith(".")]
    return others[0] if not file.is_file() and len(others) == 1 else file


def _objects(room: Path) -> list[Path]:
    """Returns the annotation files by name."""
    files = [path for path in (room / "Annotations").glob("*.txt") if not path.name.startswith(".")]
    return sorted(files) or [room / "Annotations"]


def read(source: Source, options: Options) -> Iterator[NamedTable]:
    """Yields the room's points, each with the object whose annotation has it, or the nearest one that any
    has."""
    rows = read_numbers(source.files[0], COLUMNS)
    classes = options.config.semantic_classes
    instance = np.full(len(rows), -1)
    tree = cKDTree(rows[:, :3])
    for number, path in enumerate(source.files[1:]):
        instance[tree.query(read_numbers(path, COLUMNS)[:, :3])[1]] = number
    instance = _filled(rows[:, :3], instance)
    class_of = np.array([_class_of(path, classes) for path in source.files[1:]])
    table = Table(
        rows[:, :3], np.clip(rows[:, 3:], 0, BRIGHTEST).astype(np.uint8), class_of[instance], instance
    )
    yield NamedTable(source.name, table)


def _filled(xyz: np.ndarray, instance: np.ndarray) -> np.ndarray:
    """Returns (N,): objects; a point without one takes that of the nearest point (N, 3) that has one."""
    known = instance >= 0
    nearest = cKDTree(xyz[known]).query(xyz[~known])[1]
    instance[~known] = instance[known][nearest]
    return instance


def _class_of(path: Path, classes: tuple[str, ...]) -> int:
    name = re.sub(r"_\d+$", "", path.stem)
    name = SYNONYMS.get(name, name)
    if name not in classes:
        raise FormatError(f"{path}: {name!r} is no class; the classes are {', '.join(classes)}")
    return classes.index(name)
