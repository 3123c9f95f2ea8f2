# SPDX-License-Identifier: Apache-2.0
"""A folder of labeled frames of any depth camera or LiDAR, each an .npz file: data set `frames`.

Arrays of a file: `xyz` (N, 3) float meters, NaN where the sensor saw nothing; `rgb` (N, 3) uint8, optional;
`label` (N,) integers, objects from 1, 0 for what is no object, -1 for unknown points, which no score counts,
nor those without a position; `shape` (H, W) of an organized frame, optional; `group`, optional: the name
under which scores are gathered, without it the file name up to the first underscore.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from sphmask_core.clouds.cloud import Cloud, CloudError, read_cloud
from sphmask_core.clouds.limits import check_regular
from sphmask_core.clouds.scene import OBJECT, SUPPORT, UNLABELED, Scene
from sphmask_core.runtime.wording import one_line

SUFFIX = ".npz"


def frame_files(root: str | Path) -> list[Path]:
    """Returns the frames of a folder that have labels, by name; raises CloudError where there are none."""
    files = sorted(path for path in Path(root).glob(f"*{SUFFIX}") if not path.name.startswith("."))
    labeled = [path for path in files if "label" in _names(path)]
    if not labeled:
        raise CloudError(f"{root}: holds no labeled frames; give a folder of .npz files with xyz and label")
    return labeled


def read_frame(path: str | Path) -> Scene:
    """Returns a labeled frame. What is no object is of class SUPPORT: nobody told it from the background."""
    path = Path(path)
    return labeled_scene(path.stem, read_cloud(path))


def labeled_scene(name: str, cloud: Cloud) -> Scene:
    """Returns the scene of a cloud by its labels: objects from 1, 0 for what is no object; without any, and
    where the sensor saw nothing (masks drawn on an image cover such pixels), unknown."""
    label = np.full(len(cloud.xyz), -1) if cloud.labels is None else cloud.labels
    label = np.where(np.isfinite(cloud.xyz).all(1), label, -1)
    semantic = np.select([label > 0, label == 0], [OBJECT, SUPPORT], UNLABELED)
    instance = np.where(label > 0, label - 1, UNLABELED)
    return Scene(name, replace(cloud, labels=None), semantic, instance)


def frame_group(path: Path) -> str:
    """Returns the name under which a frame's scores are gathered."""
    with np.load(path, allow_pickle=False) as arrays:
        return str(arrays["group"]) if "group" in arrays.files else path.stem.split("_")[0]


def _names(path: Path) -> list[str]:
    try:
        check_regular(path)
        with np.load(path, allow_pickle=False) as arrays:
            return list(arrays.files)
    except (OSError, ValueError) as error:
        raise CloudError(f"{path}: no .npz archive ({one_line(error)})") from None
