# SPDX-License-Identifier: Apache-2.0
"""Labelled scenes of the modified Object Segmentation Database (mOSD), for evaluation and training.

Split: validation holds every fifth scene (learn4, learn9, ... learn44: 9 scenes), training the others.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sphmask_core.cloud import Cloud, CloudError, read_cloud

DATASETS = ("mosd",)
SPLITS = ("train", "val", "all")
UNLABELLED = -100
TABLE, OBJECT = 0, 1
FIRST_OBJECT = 20


@dataclass(frozen=True)
class Scene:
    """A cloud and its ground truth."""

    name: str
    cloud: Cloud
    semantic: np.ndarray
    """(N,) int64: 0 table, 1 object, -100 unlabelled"""
    instance: np.ndarray
    """(N,) int64: object number from 0, -100 for everything else"""


def scene_files(root: str | Path, split: str = "all") -> list[Path]:
    """Files of a split, by index: validation is every fifth."""
    numbered = [(re.fullmatch(r"\D*(\d+)", path.stem), path) for path in Path(root).glob("*.pcd")]
    files = sorted((int(match[1]), path) for match, path in numbered if match)
    if not files:
        raise CloudError(f"{root}: holds no scenes; give the folder of learn0.pcd, learn1.pcd, ...")
    wanted = {"train": {0, 1, 2, 3}, "val": {4}, "all": {0, 1, 2, 3, 4}}[split]
    return [path for index, path in files if index % 5 in wanted]


def read_scene(path: str | Path) -> Scene:
    """Read a scene; the parts of one object (20 and 21, say) are one instance."""
    cloud = read_cloud(path)
    if cloud.labels is None:
        raise CloudError(f"{path}: has no field label; ground truth needs one")
    semantic, instance = ground_truth(cloud.labels)
    return Scene(Path(path).stem, cloud, semantic, instance)


def ground_truth(labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Semantic and instance labels (N,) of mOSD's: 0 invalid, 1 to 9 table, 20 to 29 the first object, ..."""
    is_object = labels >= FIRST_OBJECT
    is_table = (labels > 0) & (labels < FIRST_OBJECT // 2)
    semantic = np.select([is_object, is_table], [OBJECT, TABLE], UNLABELLED)
    return semantic, np.where(is_object, (labels - FIRST_OBJECT) // 10, UNLABELLED)
