# SPDX-License-Identifier: Apache-2.0
"""STPLS3D, Synthetic_v3_InstanceSegmentation: <n>_points_GTv3.txt with lines x,y,z,r,g,b,class,object.

Training scenes are blocks of 50 m, and blocks of six turned copies of each cloud that keep rare classes
alone, which balances the classes; validation takes the clouds whole, in blocks of 250 m.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
from scipy.spatial.transform import Rotation

from sphmask_core.clouds.prepared import UNLABELED, Table
from sphmask_core.palette import BRIGHTEST

from .source import FormatError, NamedTable, Options, Source, without_stuff
from .text import read_numbers

OFFICIAL = {"train": 20, "val": 5}
"""Clouds of each split of the data set as it is published."""
VALIDATION = (5, 10, 15, 20, 25)
"""Numbers of the clouds for validation."""
BLOCK = {"train": 50.0, "val": 250.0}
"""Edge of a block, meters."""
COPIES, TURNS = 6, (1, 359)
"""Turned copies of a training cloud, and the degrees by which they are turned, at least and at most."""
RARE = (0, 2, 3, 7, 8, 9, 12, 13)
"""Classes that the copies keep: ground, low growth, aircraft, military vehicles, bikes, signs, clutter."""
FEWEST_POINTS, FEWEST_OBJECTS = 10_000, 10
"""Points and objects of a training block: blocks with less are left out, as published."""
MORE_OBJECTS = 2
"""A training block has more objects than classes and so many, as published."""
COLUMNS = 8
"""Numbers of a line."""
STUFF = (0,)
"""Classes without instances: the ground."""


def label_ids(options: Options) -> tuple[int, ...]:
    """Returns the classes in their official order, from 0."""
    return tuple(range(len(options.config.semantic_classes)))


def find(options: Options) -> list[Source]:
    """Returns a source for each cloud."""
    numbered = [(re.match(r"(\d+)_", path.name), path) for path in options.raw.glob("*_points_GTv3.txt")]
    files = sorted((int(match[1]), path) for match, path in numbered if match)
    return [
        Source(f"{number:02d}", "val" if number in VALIDATION else "train", (path,), read)
        for number, path in files
    ]


def read(source: Source, options: Options) -> Iterator[NamedTable]:
    """Yields the cloud's blocks, those of the copies after its own."""
    rows = read_numbers(source.files[0], COLUMNS, ",")
    known = [UNLABELED, *label_ids(options)]
    unknown = np.setdiff1d(rows[:, 6], known)
    if len(unknown):
        raise FormatError(f"{source.files[0]}: has class {unknown[0]:g}; the classes are 0 to {known[-1]}")
    copies = turned_copies(rows, int(source.name)) if source.split == "train" else iter([rows])
    for copy, points in enumerate(copies):
        for block, table in enumerate(_blocks(points, BLOCK[source.split])):
            if len(table) > FEWEST_POINTS and (source.split == "val" or _rich(table)):
                yield NamedTable(f"{source.name}_{copy}_{block:02d}", table)


def turned_copies(rows: np.ndarray, seed: int) -> Iterator[np.ndarray]:
    """Yields the cloud (N, 8), and turned copies of its rare classes; the same for the same seed."""
    yield rows
    rare = rows[np.isin(rows[:, 6], RARE)]
    for angle in np.random.default_rng(seed).uniform(*TURNS, COPIES):
        turn = Rotation.from_euler("z", angle, degrees=True)
        yield np.concatenate([turn.apply(rare[:, :3]), rare[:, 3:]], axis=1)


def _blocks(rows: np.ndarray, size: float) -> Iterator[Table]:
    """Gives square blocks of the ground plan, row by row."""
    if not len(rows):
        return
    cells = np.floor((rows[:, :2] - rows[:, :2].min(0)) / size).astype(np.int64)
    _, cell_of = np.unique(cells, axis=0, return_inverse=True)
    for cell in range(int(cell_of.max()) + 1):
        yield _table(rows[cell_of == cell])


def _table(rows: np.ndarray) -> Table:
    semantic, instance = rows[:, 6].astype(np.int64), rows[:, 7].astype(np.int64)
    rgb = np.clip(rows[:, 3:6], 0, BRIGHTEST).astype(np.uint8)
    return Table(rows[:, :3], rgb, semantic, without_stuff(semantic, instance, STUFF))


def _rich(table: Table) -> bool:
    """Returns whether a block has enough objects, and more of them than classes: as the published
    selection."""
    assert table.semantic is not None and table.instance is not None
    objects = len(np.unique(table.instance[table.instance >= 0]))
    classes = len(np.unique(table.semantic[table.semantic >= 0]))
    return objects >= FEWEST_OBJECTS and classes < objects - MORE_OBJECTS
