# SPDX-License-Identifier: Apache-2.0
"""ScanNet as its download script leaves it; the 20 classes of ScanNetV2 or the 200 of ScanNet200.

A scan of `scans/<scene>/` (or of `train/`, `val/`, `test/`, all scans together) has <scene>_vh_clean_2.ply
(the mesh), _vh_clean_2.labels.ply (its NYU40 labels), _vh_clean_2.0.010000.segs.json (over-segmentation) and
<scene>.aggregation.json (objects as sets of segments). Scans of the test split have the mesh alone.
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sphmask_core.clouds.cloud import Cloud, read_cloud
from sphmask_core.clouds.prepared import UNLABELED, Table

from .scannet_ids import SCANNET20_IDS, SCANNET200_IDS
from .source import (
    FormatError,
    NamedTable,
    Options,
    Source,
    column_of,
    naming,
    without_stuff,
)

OFFICIAL = {"train": 1201, "val": 312, "test": 100}
LABEL_MAP = "scannetv2-labels.combined.tsv"
MESH, LABELS = "_vh_clean_2.ply", "_vh_clean_2.labels.ply"
SEGMENTS, OBJECTS = "_vh_clean_2.0.010000.segs.json", ".aggregation.json"
STUFF = (0, 1)
"""Wall and floor, which have no instances."""


def label_ids(options: Options) -> tuple[int, ...]:
    """Returns the benchmark's number of each class, in the order of `semantic_classes`."""
    return SCANNET200_IDS if options.config.data.dataset == "scannet200" else SCANNET20_IDS


def find(options: Options) -> list[Source]:
    """Returns a source for each scan, its split as the official lists or the folders say."""
    label_map = _find_file(options.raw, LABEL_MAP)
    sources = []
    for split in OFFICIAL:
        for name, folder in _scans(options.raw, split):
            suffixes = (MESH,) if split == "test" else (MESH, LABELS, SEGMENTS, OBJECTS)
            files = tuple(folder / f"{name}{suffix}" for suffix in suffixes)
            if not (options.partial and not files[0].exists()):
                sources.append(Source(name, split, (*files, label_map), read))
    return sources


def _find_file(raw: Path, name: str) -> Path:
    """Returns the file in the raw folder or in a folder of it."""
    first = next((path for path in (raw / name, *sorted(raw.glob(f"*/{name}"))) if path.is_file()), None)
    if first is None:
        raise FormatError(f"{raw / name}: missing; ScanNet's download script brings it")
    return first


def _scans(raw: Path, split: str) -> Iterator[tuple[str, Path]]:
    """Gives name and folder of the scans of a split."""
    if any((raw / folder).is_dir() for folder in OFFICIAL):
        for path in sorted((raw / split).glob(f"*{MESH}")):
            yield path.name.removesuffix(MESH), path.parent
        return
    folder = raw / ("scans_test" if split == "test" else "scans")
    if split == "test" and not folder.is_dir():
        return
    names = {path.name for path in folder.glob("scene*")} if split == "test" else _listed(raw, split)
    for name in sorted(names):
        yield name, folder / name


def _listed(raw: Path, split: str) -> set[str]:
    """Returns the scans of the official list of a split."""
    name = f"scannetv2_{split}.txt"
    first = next((path for path in (raw / name, *sorted(raw.glob(f"*/{name}"))) if path.is_file()), None)
    if first is None:
        raise FormatError(f"{raw / name}: missing; it is in Tasks/Benchmark of ScanNet's repository")
    return set(first.read_text().split())


def read(source: Source, options: Options) -> Iterator[NamedTable]:
    """Yields the scan's vertices with their classes, objects and superpoints."""
    mesh = read_cloud(source.files[0])
    if source.split == "test":
        segments = source.files[0].with_name(f"{source.name}{SEGMENTS}")
        yield NamedTable(source.name, Table(mesh.xyz, mesh.rgb, superpoints=_superpoints(segments, mesh)))
        return
    labels, segments, objects, label_map = source.files[1:]
    segment_of = _segments(segments, len(mesh.xyz))
    groups = _groups(objects, read_label_map(label_map))
    instance = _instances(groups, segment_of, objects)
    if options.config.data.dataset == "scannet200":
        semantic = _classes_of_objects(groups, segment_of)
    else:
        semantic = _classes_of_vertices(labels, len(mesh.xyz))
    instance = without_stuff(semantic, instance, STUFF)
    yield NamedTable(source.name, Table(mesh.xyz, mesh.rgb, semantic, instance, segment_of))


def _superpoints(path: Path, mesh: Cloud) -> np.ndarray | None:
    return _segments(path, len(mesh.xyz)) if path.is_file() else None


@dataclass(frozen=True)
class Category:
    """A row of the label map."""

    id: int
    """Number in ScanNet's own numbering, of which ScanNet200 takes 200."""
    nyu40: str
    """Name in the NYU40 set."""


@dataclass(frozen=True)
class Group:
    """An object: a set of segments and what it is."""

    segments: frozenset[int]
    category: Category


def read_label_map(path: Path) -> dict[str, Category]:
    """Returns the categories by the names that annotators gave."""
    with naming(path), path.open(newline="", encoding="utf-8") as file:
        rows = list(csv.DictReader(file, delimiter="\t", quoting=csv.QUOTE_NONE))
        missing = {"id", "raw_category", "nyu40class"} - set(rows[0] if rows else ())
        if missing:
            raise FormatError(f"{path}: has no column {', '.join(sorted(missing))}")
        first_rows = reversed(rows)  # of a name that is there twice, the first row counts
        return {row["raw_category"]: Category(int(row["id"]), row["nyu40class"]) for row in first_rows}


def _json(path: Path) -> Any:
    with naming(path):
        return json.loads(path.read_bytes())


def _segments(path: Path, vertices: int) -> np.ndarray:
    """Returns (N,): the segment of each vertex."""
    with naming(path):
        segments = np.array(column_of(_json(path), "segIndices", path), np.int64)
    if segments.shape != (vertices,):
        raise FormatError(f"{path}: has segments of {segments.size} vertices, the mesh has {vertices}")
    return segments


def _groups(path: Path, categories: dict[str, Category]) -> list[Group]:
    """Returns the objects in the file's order; one that is there twice (scene0217_00 repeats all) counts
    once."""
    groups: dict[frozenset[int], Group] = {}
    with naming(path):
        for entry in column_of(_json(path), "segGroups", path):
            label = column_of(entry, "label", path)
            if label not in categories:
                raise FormatError(f"{path}: label {label!r} is not in {LABEL_MAP}; take the newest one")
            segments = frozenset(column_of(entry, "segments", path))
            groups.setdefault(segments, Group(segments, categories[label]))
    return list(groups.values())


def _instances(groups: list[Group], segment_of: np.ndarray, path: Path) -> np.ndarray:
    """Returns (N,): the number of the object that has the vertex; wall and floor are no objects."""
    objects = [group for group in groups if group.category.nyu40 not in ("wall", "floor")]
    owned = [segment for group in objects for segment in group.segments]
    shared = len(owned) - len(set(owned))
    if shared:
        raise FormatError(f"{path}: {shared} segments belong to two objects")
    return _spread(objects, list(range(len(objects))), segment_of)


def _spread(groups: list[Group], values: list[int], segment_of: np.ndarray) -> np.ndarray:
    """Returns (N,): the value of the last group that has the vertex's segment, -100 without one."""
    segments, vertex = np.unique(segment_of, return_inverse=True)
    of_segment = np.full(len(segments), UNLABELED)
    for group, value in zip(groups, values, strict=True):
        of_segment[np.isin(segments, list(group.segments))] = value
    return of_segment[vertex]


def _classes_of_objects(groups: list[Group], segment_of: np.ndarray) -> np.ndarray:
    """Returns (N,): the class in 0..199, from the category of the object that has the vertex."""
    class_of = {id: i for i, id in enumerate(SCANNET200_IDS)}
    values = [class_of.get(group.category.id, UNLABELED) for group in groups]
    return _spread(groups, values, segment_of)


def _classes_of_vertices(path: Path, vertices: int) -> np.ndarray:
    """Returns (N,): the class in 0..19, from the NYU40 labels of the vertices."""
    nyu40 = read_cloud(path).labels
    if nyu40 is None:
        raise FormatError(f"{path}: has no property label")
    if len(nyu40) != vertices:
        raise FormatError(f"{path}: has {len(nyu40)} vertices, the mesh has {vertices}")
    table = np.full(max(int(nyu40.max()), SCANNET20_IDS[-1]) + 1, UNLABELED)
    table[list(SCANNET20_IDS)] = np.arange(len(SCANNET20_IDS))
    return np.where(nyu40 >= 0, table[nyu40], UNLABELED)
