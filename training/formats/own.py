# SPDX-License-Identifier: Apache-2.0
"""A folder of own labeled clouds: .ply, .pcd, .npz or .npy, whose fields the configuration names.

With folders train/ and val/ these are the splits; otherwise every fifth cloud by name is for validation.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
from plyfile import PlyData

from sphmask_core.clouds.cloud import read_cloud
from sphmask_core.clouds.pcd import parse_pcd
from sphmask_core.clouds.prepared import UNLABELED, Table

from .source import FormatError, NamedTable, Options, Source, naming, without_stuff

SUFFIXES = (".ply", ".pcd", ".npz", ".npy")
OFFICIAL: dict[str, int] = {}
SPLITS = ("train", "val", "test")
EVERY = 5
"""Where clouds are in no folders of splits, every fifth is for validation."""


def label_ids(options: Options) -> tuple[int, ...]:
    """Returns the value of each class in the clouds' field."""
    classes = len(options.config.semantic_classes)
    ids = options.config.data.fields.label_ids or tuple(range(classes))
    if len(ids) != classes:
        raise FormatError(f"fields.label_ids: has {len(ids)} values for {classes} semantic_classes")
    return ids


def find(options: Options) -> list[Source]:
    """Returns a source for each cloud."""
    label_ids(options)
    if any((options.raw / split).is_dir() for split in SPLITS):
        placed = [(split, path) for split in SPLITS for path in _clouds(options.raw / split)]
    else:
        clouds = _clouds(options.raw)
        placed = [("val" if i % EVERY == EVERY - 1 else "train", path) for i, path in enumerate(clouds)]
    if not placed:
        raise FormatError(f"{options.raw}: holds no clouds ({', '.join(SUFFIXES)})")
    names = [path.stem for _, path in placed]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise FormatError(f"{options.raw}: two clouds are named {twice}; rename one")
    return [Source(path.stem, split, (path,), read) for split, path in placed]


def _clouds(folder: Path) -> list[Path]:
    return sorted(path for path in folder.glob("*") if path.suffix.lower() in SUFFIXES)


def read(source: Source, options: Options) -> Iterator[NamedTable]:
    """Yields the cloud's valid points with their labels."""
    path, fields = source.files[0], options.config.data.fields
    cloud = read_cloud(path)
    kept = np.isfinite(cloud.xyz[:, 0])
    rgb = None if cloud.rgb is None else cloud.rgb[kept]
    if source.split == "test":
        yield NamedTable(source.name, Table(cloud.xyz[kept], rgb))
        return
    with naming(path):
        labels = {name: _integers(path, name, len(kept))[kept] for name in (fields.semantic, fields.instance)}
    semantic = _classes(labels[fields.semantic], label_ids(options))
    instance = np.where(labels[fields.instance] == fields.no_instance, UNLABELED, labels[fields.instance])
    instance = without_stuff(semantic, instance, range(options.config.class_shift))
    yield NamedTable(source.name, Table(cloud.xyz[kept], rgb, semantic, _renumbered(instance)))


def _classes(values: np.ndarray, ids: tuple[int, ...]) -> np.ndarray:
    """Returns (N,): the class of each value, -100 for other values."""
    order = np.argsort(ids)
    place = np.searchsorted(np.array(ids)[order], values).clip(max=len(ids) - 1)
    nearest = order[place]
    return np.where(np.array(ids)[nearest] == values, nearest, UNLABELED)


def _renumbered(instance: np.ndarray) -> np.ndarray:
    """Returns (N,): objects from 0, whatever large numbers the clouds give them."""
    numbers = np.unique(instance[instance >= 0])
    return np.where(instance >= 0, np.searchsorted(numbers, instance), UNLABELED)


def _integers(path: Path, name: str, points: int) -> np.ndarray:
    """Returns the values (N,) int64 of a field."""
    columns = _columns(path)
    if name not in columns:
        hint = "name them under `fields` in the configuration"
        raise FormatError(f"{path}: has no field {name!r}, only {', '.join(columns)}; {hint}")
    values = columns[name].reshape(-1)
    if len(values) != points or values.dtype.kind not in "fiub":
        raise FormatError(f"{path}: field {name!r} is not one number a point")
    return np.nan_to_num(values, nan=UNLABELED).astype(np.int64)


def _columns(path: Path) -> dict[str, np.ndarray]:
    """Returns everything that a cloud has a value a point of; columns of a plain .npy table go by their
    numbers."""
    if path.suffix.lower() == ".pcd":
        return dict(parse_pcd(path.read_bytes())[0])
    if path.suffix.lower() == ".ply":
        vertices = PlyData.read(str(path))["vertex"].data
        return {name: vertices[name] for name in vertices.dtype.names}
    values = np.load(path, allow_pickle=False)
    if isinstance(values, np.ndarray):
        return {str(column): values[..., column] for column in range(values.shape[-1])}
    return {name: values[name] for name in values.files}
