# SPDX-License-Identifier: Apache-2.0
"""Prepared data sets: a manifest and one memory-mapped file a scene, made by `sphmask prepare`."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sphmask_core.runtime.files import replacing
from sphmask_core.runtime.wording import one_line

MANIFEST = "manifest.json"
VERSION = 1
"""Version of the files of a prepared data set: raise it when older ones cannot be read any more."""
UNLABELED = -100
"""The class and the object of points without a label.

The only place of this number (ScanNet's loaders have it so).
"""
FIELDS: dict[str, tuple[str, tuple[int, ...]]] = {
    "xyz": ("<f4", (3,)),
    "rgb": ("u1", (3,)),
    "semantic": ("<i2", ()),
    "instance": ("<i4", ()),
    "superpoints": ("<i4", ()),
}


class PreparedError(ValueError):
    """A prepared data set that cannot be used; one line: file, what is wrong, what would do."""


@dataclass(frozen=True)
class Table:
    """The points of one scene; what the data set does not have is None."""

    xyz: np.ndarray
    """(N, 3), meters."""
    rgb: np.ndarray | None = None
    """(N, 3) uint8"""
    semantic: np.ndarray | None = None
    """(N,) class, -100 unlabeled."""
    instance: np.ndarray | None = None
    """(N,) number of the object, negative: none."""
    superpoints: np.ndarray | None = None
    """(N,) from 0."""

    def __len__(self) -> int:
        return len(self.xyz)


@dataclass(frozen=True)
class SceneRecord:
    """What the manifest says of a scene."""

    name: str
    split: str
    points: int
    instances: int
    origin: tuple[float, float, float]
    """Add it to the points to have the coordinates of the raw files, meters."""


@dataclass(frozen=True)
class Manifest:
    """Describes a prepared data set."""

    dataset: str
    semantic_classes: tuple[str, ...]
    class_shift: int
    """Classes before the first that has instances."""
    label_ids: tuple[int, ...]
    """The benchmark's own number of each semantic class."""
    scenes: tuple[SceneRecord, ...]

    @property
    def splits(self) -> tuple[str, ...]:
        """Returns the names of the splits that have scenes, sorted."""
        return tuple(sorted({scene.split for scene in self.scenes}))


def scene_path(root: Path, split: str, name: str) -> Path:
    """Returns the file of a scene."""
    return root / split / f"{name}.npy"


def write_table(path: Path, table: Table) -> None:
    """Write one scene as a structured .npy, whole or not at all."""
    columns = {name: value for name in FIELDS if (value := getattr(table, name)) is not None}
    rows = np.empty(len(table), [(name, *FIELDS[name]) for name in columns])
    for name, value in columns.items():
        rows[name] = value
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as partial:
        np.save(partial, rows)


def map_table(path: Path) -> Table:
    """Returns the scene, its columns as views of the mapped file: what is not read stays on disk."""
    try:
        rows = np.lib.format.open_memmap(path, mode="r")
        names = rows.dtype.names or ()
        if "xyz" not in names or set(names) - set(FIELDS):
            raise ValueError("its columns are not those of a scene")
    except FileNotFoundError:
        raise PreparedError(f"{path}: no such file; prepare the data set again") from None
    except (ValueError, OSError, EOFError) as error:
        raise PreparedError(f"{path}: no prepared scene ({one_line(error)}); prepare it again") from None
    return Table(**{name: rows[name] for name in names})


def write_manifest(root: Path, manifest: Manifest) -> None:
    """Write the manifest; a folder with one is complete."""
    with replacing(root / MANIFEST) as partial:
        partial.write_text(json.dumps({"version": VERSION, **asdict(manifest)}, indent=1) + "\n")


def read_manifest(root: str | Path) -> Manifest:
    """Returns the manifest of a prepared data set."""
    path = Path(root) / MANIFEST
    try:
        values = json.loads(path.read_text())
        if values.pop("version") != VERSION:
            raise PreparedError(f"{path}: of another version; prepare the data set again")
        return _manifest(values)
    except FileNotFoundError:
        hint = "prepare the data set first: sphmask prepare"
        raise PreparedError(f"{path}: no such file; {hint}") from None
    except (KeyError, TypeError, AttributeError, json.JSONDecodeError):
        raise PreparedError(f"{path}: damaged; prepare the data set again") from None


def _manifest(values: dict[str, Any]) -> Manifest:
    return Manifest(
        dataset=str(values["dataset"]),
        semantic_classes=tuple(values["semantic_classes"]),
        class_shift=int(values["class_shift"]),
        label_ids=tuple(values["label_ids"]),
        scenes=tuple(SceneRecord(**record) for record in values["scenes"]),
    )


def scenes_of(manifest: Manifest, split: str, area: int) -> Sequence[SceneRecord]:
    """Returns the scenes of a split, by name; of a data set in areas, `val` is one area and `train` all
    others."""
    wanted = {split}
    if split not in manifest.splits and split in ("train", "val"):
        held_out = {f"Area_{area}"} & set(manifest.splits)
        if held_out:
            wanted = held_out if split == "val" else set(manifest.splits) - held_out
    if split == "all":
        wanted = set(manifest.splits)
    chosen = [scene for scene in manifest.scenes if scene.split in wanted]
    if not chosen:
        raise PreparedError(
            f"{manifest.dataset}: no split {split!r}; there are: {', '.join(manifest.splits)}"
        )
    return sorted(chosen, key=lambda scene: scene.name)
