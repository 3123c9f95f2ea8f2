# SPDX-License-Identifier: Apache-2.0
"""Labeled scenes for evaluation and training: prepared data sets, and mOSD from its own files.

mOSD (the modified Object Segmentation Database) has no split of its own: validation holds every fifth scene
(learn4, learn9, ... learn44: 9 scenes), training the others.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sphmask_core.clouds.cloud import Cloud, CloudError, read_cloud
from sphmask_core.clouds.labeled_frames import frame_files, frame_group, read_frame
from sphmask_core.clouds.on_demand import OnDemand
from sphmask_core.clouds.prepared import (
    Manifest,
    SceneRecord,
    map_table,
    read_manifest,
    scene_path,
    scenes_of,
)
from sphmask_core.clouds.scene import BACKGROUND, OBJECT, SUPPORT, UNLABELED, Scene

DATASETS = ("mosd", "frames", "scannetv2", "scannet200", "s3dis", "stpls3d", "folder")
SPLITS = ("train", "val", "all")
FIRST_OBJECT = 20
"""Label of the first object of mOSD; those below are the table's, or invalid."""
LABELS_PER_OBJECT = 10
"""Labels that mOSD has for the parts of one object."""
VALIDATED_EVERY = 5
"""The last of so many scenes of mOSD is for validation."""
VALIDATION_AREA = 5
"""The area of S3DIS on which the field validates."""

__all__ = [
    "BACKGROUND",
    "DATASETS",
    "FIRST_OBJECT",
    "OBJECT",
    "SPLITS",
    "SUPPORT",
    "UNLABELED",
    "Scene",
    "Split",
    "every",
    "ground_truth",
    "open_split",
    "read_prepared",
    "read_scene",
    "scene_files",
]


@dataclass(frozen=True)
class Split(OnDemand[Scene]):
    """Holds the scenes of a split. Each is read when it is asked for."""

    names: tuple[str, ...]
    read: Callable[[int], Scene]
    manifest: Manifest | None = None
    """Manifest of a prepared data set."""
    labeled: bool = True
    """Whether there is ground truth."""
    groups: tuple[str, ...] = ()
    """Name for each scene under which its scores are gathered; empty: there are none."""

    def item(self, index: int) -> Scene:
        """Reads a scene."""
        return self.read(index)

    def __len__(self) -> int:
        return len(self.names)


def open_split(dataset: str, root: str | Path, split: str, area: int = VALIDATION_AREA) -> Split:
    """Returns the scenes of a split of a data set in the folder `root`.

    dataset: one of DATASETS; split: one of SPLITS or of the prepared data set's; area: the one that is `val`,
    of a data set in areas (S3DIS). Raises CloudError or PreparedError where the folder does not hold them.
    """
    if dataset == "mosd":
        if split not in SPLITS:
            raise CloudError(f"mosd: no split {split!r}; there are: {', '.join(SPLITS)}")
        files = scene_files(root, split)
        return Split(tuple(path.stem for path in files), lambda i: read_scene(files[i]))
    if dataset == "frames":
        return _open_frames(root)
    manifest = read_manifest(root)
    if manifest.dataset != dataset:
        raise CloudError(f"{root}: holds {manifest.dataset}, not {dataset}")
    records = scenes_of(manifest, split, area)
    labeled = map_table(_file(root, records[0])).semantic is not None
    names = tuple(record.name for record in records)
    return Split(names, lambda i: read_prepared(_file(root, records[i]), names[i]), manifest, labeled)


def _open_frames(root: str | Path) -> Split:
    files = frame_files(root)
    names, groups = tuple(path.stem for path in files), tuple(frame_group(path) for path in files)
    return Split(names, lambda i: read_frame(files[i]), groups=groups)


def _file(root: str | Path, record: SceneRecord) -> Path:
    return scene_path(Path(root), record.split, record.name)


def read_prepared(path: Path, name: str) -> Scene:
    """Returns a prepared scene; without labels all points are unlabeled."""
    table = map_table(path)
    none = np.full(len(table), UNLABELED)
    semantic, instance = (
        none if column is None else column.astype(np.int64) for column in (table.semantic, table.instance)
    )
    superpoints = None if table.superpoints is None else table.superpoints.astype(np.int64)
    rgb = None if table.rgb is None else np.ascontiguousarray(table.rgb)
    cloud = Cloud(np.ascontiguousarray(table.xyz), rgb, None, (1, len(table)))
    return Scene(name, cloud, semantic, instance, superpoints)


def every(scene: Scene, step: int) -> Scene:
    """Returns the scene with one point of each `step`."""
    return scene.take(slice(None, None, step))


def scene_files(root: str | Path, split: str = "all") -> list[Path]:
    """Returns the files of a split of mOSD, by index: every fifth is for validation."""
    numbered = [(re.fullmatch(r"\D*(\d+)", path.stem), path) for path in Path(root).glob("*.pcd")]
    files = sorted((int(match[1]), path) for match, path in numbered if match)
    if not files:
        raise CloudError(f"{root}: holds no scenes; give the folder of learn0.pcd, learn1.pcd, ...")
    wanted = {"train": {False}, "val": {True}, "all": {False, True}}[split]
    return [path for index, path in files if (index % VALIDATED_EVERY == VALIDATED_EVERY - 1) in wanted]


def read_scene(path: str | Path) -> Scene:
    """Read a scene of mOSD; the parts of one object (20 and 21, say) are one instance."""
    cloud = read_cloud(path)
    if cloud.labels is None:
        raise CloudError(f"{path}: has no field label; ground truth needs one")
    semantic, instance = ground_truth(cloud.labels)
    return Scene(Path(path).stem, cloud, semantic, instance)


def ground_truth(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Returns the semantic and instance labels (N,) of mOSD's: 0 invalid, 1 to 9 table, 20 to 29 the first
    object, ..."""
    is_object = labels >= FIRST_OBJECT
    is_table = (labels > 0) & (labels < FIRST_OBJECT // 2)
    semantic = np.select([is_object, is_table], [OBJECT, SUPPORT], UNLABELED)
    return semantic, np.where(is_object, (labels - FIRST_OBJECT) // LABELS_PER_OBJECT, UNLABELED)
