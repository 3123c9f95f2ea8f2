# SPDX-License-Identifier: Apache-2.0
"""Results of `sphmask segment` read back: the .json file with what was found, and the .ply file's points."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from sphmask_core.clouds.cloud import CloudError, read_cloud
from sphmask_core.clouds.limits import MAX_POINTS, check_regular
from sphmask_core.pictures.viewer import SegmentedCloud
from sphmask_core.runtime.wording import one_line

RESULT_SUFFIXES = (".json", ".npz", ".ply")
LONGEST = 1 << 26
"""Bytes of a .json file: 100,000 instances have fewer."""


def is_result(path: Path) -> bool:
    """Returns whether the path is one of the files of a result, of which .json and .ply are there."""
    record = path.with_suffix(".json")
    if path.suffix not in RESULT_SUFFIXES or not path.with_suffix(".ply").is_file() or not record.is_file():
        return False
    try:
        return {"instances", "rotation"} <= _record(record).keys()
    except (CloudError, OSError):
        return path == record  # told by `read_result` what is wrong with it


def results_in(folder: Path) -> list[Path]:
    """Returns the results of a folder by name; hidden files are what a killed run was still writing."""
    records = sorted(path for path in folder.glob("*.json") if not path.name.startswith("."))
    return [path for path in records if is_result(path)]


def read_result(path: Path, max_points: int = MAX_POINTS) -> SegmentedCloud:
    """Returns a result of which one of the files is given. Raises CloudError where it is none."""
    path = path.with_suffix(".json")
    record = _record(path)
    cloud = read_cloud(path.with_suffix(".ply"), max_points)
    try:
        return _segmented(path.stem, record, cloud)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        what = f"no {error}" if isinstance(error, KeyError) else one_line(error)
        raise CloudError(
            f"{path}: is no result of this version of sphmask segment ({what}); segment the cloud again"
        ) from error


def _record(path: Path) -> dict[str, Any]:
    check_regular(path)
    if path.stat().st_size > LONGEST:
        raise CloudError(f"{path}: is longer than {LONGEST} bytes, and so no result")
    try:
        record = json.loads(path.read_bytes())
    except (ValueError, RecursionError) as error:
        raise CloudError(f"{path}: is no JSON, cut off or damaged ({error})") from error
    if not isinstance(record, dict):
        raise CloudError(f"{path}: is no result of sphmask segment")
    return record


def _segmented(name: str, record: Mapping[str, Any], cloud: Any) -> SegmentedCloud:
    instances: Sequence[Mapping[str, Any]] = record["instances"]
    boxes = [instance["upright_box"] for instance in instances]
    polar, azimuth = (int(count) for count in record["sectors"])
    turns = _table(boxes, "quaternion", 4)
    labels = np.zeros(len(cloud.xyz), np.int64) if cloud.labels is None else cloud.labels
    return SegmentedCloud(
        name=name,
        stamp=None,
        cloud=cloud,
        labels=np.clip(labels, 0, len(instances)).astype(np.uint32),
        ids=np.arange(1, len(instances) + 1, dtype=np.uint32),
        class_names=tuple(str(instance["class"]) for instance in instances),
        scores=np.array([float(instance["score"]) for instance in instances], np.float32),
        centers=_table(instances, "center", 3),
        rays=_table(instances, "rays", polar * azimuth),
        sectors=(polar, azimuth),
        rotation=_table([record], "rotation", 9).reshape(3, 3),
        box_centers=_table(boxes, "center", 3),
        box_sizes=_table(boxes, "size", 3),
        box_rotations=Rotation.from_quat(turns).as_matrix() if len(turns) else np.empty((0, 3, 3)),
    )


def _table(records: Sequence[Mapping[str, Any]], key: str, count: int) -> np.ndarray:
    """Returns (I, count) float64: the finite numbers that each record has under a key."""
    rows = [np.array(record[key], np.float64).reshape(-1) for record in records]
    values = np.array(rows, np.float64).reshape(len(records), -1) if rows else np.empty((0, count))
    if values.shape[1] != count or not np.isfinite(values).all():
        raise ValueError(f"{key} is not {count} numbers")
    return values
