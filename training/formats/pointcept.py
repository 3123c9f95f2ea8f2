# SPDX-License-Identifier: Apache-2.0
"""Scenes that Pointcept prepared: <split or area>/<scene>/coord.npy, and other columns beside it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np

from sphmask_core.clouds.prepared import UNLABELED, Table
from sphmask_core.palette import color_bytes

from . import scannet
from .source import FormatError, NamedTable, Options, Source, naming, without_stuff

LABELS = {"scannetv2": "segment20", "scannet200": "segment200", "s3dis": "segment"}
"""File of the classes."""


def find(options: Options) -> list[Source]:
    """Returns a source for each scene; none where the folder is of another kind."""
    labels = LABELS.get(options.config.data.dataset)
    if labels is None:
        return []
    return [_source(path, labels) for path in sorted(options.raw.glob("*/*/coord.npy"))]


def _source(coordinates: Path, labels: str) -> Source:
    scene, split = coordinates.parent, coordinates.parent.parent.name
    names = ["coord", "color"] if split == "test" else ["coord", "color", labels, "instance"]
    prefix = f"{split}_" if split.startswith("Area_") else ""  # rooms of two areas have the same names
    return Source(f"{prefix}{scene.name}", split, tuple(scene / f"{name}.npy" for name in names), read)


def read(source: Source, options: Options) -> Iterator[NamedTable]:
    """Yields the scene in our conventions."""
    columns = [_array(path) for path in source.files]
    for path, column in zip(source.files, columns, strict=True):
        if len(column) != len(columns[0]):
            raise FormatError(f"{path}: has {len(column)} rows, coord.npy {len(columns[0])}")
    xyz, rgb = (column.reshape(len(column), -1) for column in columns[:2])
    if xyz.shape[1:] != (3,) or rgb.shape[1:] != (3,):
        raise FormatError(f"{source.files[0]}: coordinates and colors are not (N, 3)")
    rgb = color_bytes(rgb)
    if len(columns) == 2:
        yield NamedTable(source.name, Table(xyz, rgb))
        return
    values, instance = (column.reshape(-1).astype(np.int64) for column in columns[2:])
    semantic = _classes(values, source.files[2], options)
    if not options.config.inference.whole_classes:  # else floor and ceiling are objects
        instance = without_stuff(semantic, instance, [UNLABELED, *range(options.config.class_shift)])
    yield NamedTable(source.name, Table(xyz, rgb, semantic, np.where(instance < 0, UNLABELED, instance)))


def _classes(values: np.ndarray, path: Path, options: Options) -> np.ndarray:
    """Returns our class (N,) of Pointcept's: in ScanNet by the number of the benchmark, in S3DIS as ours."""
    count = len(options.config.semantic_classes)
    if len(values) and values.max() >= count:
        raise FormatError(f"{path}: has class {values.max()}, {options.config.data.dataset} has {count}")
    by_number = options.config.data.dataset in ("scannetv2", "scannet200")
    ids = scannet.label_ids(options) if by_number else tuple(range(count))
    return np.where(values >= 0, np.argsort(ids)[np.maximum(values, 0)], UNLABELED)


def _array(path: Path) -> np.ndarray:
    with naming(path):
        array: np.ndarray = np.load(path, allow_pickle=False)
    if array.dtype.kind not in "fiub" or array.ndim not in (1, 2):
        raise FormatError(f"{path}: holds no column of numbers")
    return array
