# SPDX-License-Identifier: Apache-2.0
"""What `sphmask segment` writes and prints of one cloud."""

from __future__ import annotations

import json
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
from scipy.spatial.transform import Rotation

from sphmask_core.clouds.cloud import Cloud, write_ply
from sphmask_core.clouds.coordinates import far_offset
from sphmask_core.palette import MID_GRAY, instance_colors
from sphmask_core.pictures.draw import draw_result
from sphmask_core.placement import Placements, place
from sphmask_core.runtime.files import replacing
from sphmask_core.segmenter import Instances

LENGTH_DIGITS = 5
"""Digits behind the point of lengths in meters: hundredths of a millimeter."""
SCORE_DIGITS, ROTATION_DIGITS, MS_DIGITS = 4, 6, 3
"""Digits behind the point of scores, of the elements of rotations, and of milliseconds."""


def result_files(folder: Path, source: Path, picture: bool) -> list[Path]:
    """Returns the files that the results of a cloud `source` have in a folder.

    The last to be written is first.
    """
    suffixes = [".json", ".npz", ".ply"] + ([".png"] if picture else [])
    return [folder / f"{source.stem}{suffix}" for suffix in suffixes]


def write_results(
    folder: Path,
    source: Path,
    cloud: Cloud,
    instances: Instances,
    picture: bool,
    settings: dict[str, Any],
    sectors: tuple[int, int],
) -> None:
    """Write the files of `result_files`: all of them, or none.

    sectors: polar and azimuth sectors of the instances' rays.
    """
    with ExitStack() as stack:
        files = {
            path.suffix: stack.enter_context(replacing(path))
            for path in result_files(folder, source, picture)
        }
        _write_arrays(files[".npz"], instances)
        _write_points(files[".ply"], cloud, instances)
        values = record(source, cloud, instances, settings) | {"sectors": list(sectors)}
        files[".json"].write_text(json.dumps(values, indent=1) + "\n")
        if picture:
            near = replace(cloud, xyz=(cloud.xyz - far_offset(cloud.xyz)).astype(np.float32))
            draw_result(files[".png"], near, instances, summary(instances))


def summary(instances: Instances) -> str:
    """Returns the number of instances and the time of computing, in words."""
    noun = "instance" if len(instances) == 1 else "instances"
    return f"{len(instances)} {noun}, {sum(instances.timings.values()):.0f} ms"


def table(instances: Instances, ids: np.ndarray | None = None) -> str:
    """Returns one line for each instance, to be read by people; empty where there is none.

    ids (I,): numbers of the objects, where they are followed; None: the instances' own, from 1.
    """
    head = f"  {'#':>3}  {'class':<16} {'score':>5} {'points':>8}   {'center (m)':<24}  size (m)"
    numbers = range(1, len(instances) + 1) if ids is None else ids
    lines = [
        _line(number, values) for number, values in zip(numbers, instance_records(instances), strict=True)
    ]
    return "".join(f"\n{line}" for line in ([head, *lines] if lines else []))


def _line(number: int, values: dict[str, Any]) -> str:
    """Returns a line of the table for an instance's record."""
    center = " ".join(f"{length:7.3f}" for length in values["center"])
    size = " x ".join(
        f"{high - low:.3f}" for low, high in zip(values["box"][:3], values["box"][3:], strict=True)
    )
    name, score, points = values["class"], values["score"], values["points"]
    return f"  {number:>3}  {name:<16} {score:5.2f} {points:8d}  {center}   {size}"


def record(source: Path, cloud: Cloud, instances: Instances, settings: dict[str, Any]) -> dict[str, Any]:
    """Returns the .json file: instances, with lengths in meters, times in milliseconds, the settings."""
    return {
        "cloud": str(source),
        "settings": settings,
        "points": len(cloud.xyz),
        "instances": [
            values | placed
            for values, placed in zip(
                instance_records(instances), placement_records(place(cloud.xyz, instances)), strict=True
            )
        ],
        "rotation": np.round(instances.rotation.astype(float), ROTATION_DIGITS).tolist(),
        "timings": {stage: round(ms, MS_DIGITS) for stage, ms in instances.timings.items()},
    }


def instance_records(instances: Instances) -> list[dict[str, Any]]:
    """Returns the plain values of each instance; `id` is its value in labels."""
    return [
        {
            "id": i + 1,
            "class": instances.class_names[i],
            "class_id": int(instances.class_ids[i]),
            "score": round(float(instances.scores[i]), SCORE_DIGITS),
            "points": int(instances.sizes[i]),
            "center": _rounded(instances.centers[i]),
            "box": _rounded(instances.boxes[i]),
            "rays": _rounded(instances.rays[i]),
        }
        for i in range(len(instances))
    ]


def placement_records(placed: Placements) -> list[dict[str, Any]]:
    """Returns how each instance stands; `support` is the id of the one that it stands on, 0 for none."""
    return [
        {
            "upright_box": {
                "center": _rounded(placed.centers[i]),
                "size": _rounded(placed.sizes[i]),
                "quaternion": _rounded(Rotation.from_matrix(placed.rotations[i]).as_quat()),
            },
            "height": round(float(placed.heights[i]), LENGTH_DIGITS),
            "support": int(placed.supports[i]) + 1,
        }
        for i in range(len(placed))
    ]


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), LENGTH_DIGITS) for value in values]


def _write_arrays(path: Path, instances: Instances) -> None:
    """Write the .npz file; masks are written row by row, for together they may be larger than memory."""
    arrays = {
        "labels": instances.labels,
        "scores": instances.scores,
        "class_ids": instances.class_ids,
        "class_names": np.array(instances.class_names, dtype=np.str_),
        "centers": instances.centers,
        "rays": instances.rays,
        "boxes": instances.boxes,
        "rotation": instances.rotation,
    }
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
        with archive.open("masks.npy", "w", force_zip64=True) as file:
            shape = (len(instances), len(instances.labels))
            header = {"descr": "|b1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for mask in instances.segment_masks:
                file.write(mask.take(instances.segments).tobytes())


def _write_points(path: Path, cloud: Cloud, instances: Instances) -> None:
    """Write every point in its place, colored by instance, with `label` and `score`."""
    labels = instances.labels
    plain = np.full((len(labels), 3), MID_GRAY, np.uint8) if cloud.rgb is None else cloud.rgb
    colors = np.concatenate([np.zeros((1, 3), np.uint8), instance_colors(len(instances))])[labels]
    rgb = np.where(labels[:, None] > 0, colors, plain)
    scores = np.concatenate([np.zeros(1, np.float32), instances.scores])[labels]
    points = Cloud(cloud.xyz, rgb, None, cloud.shape)
    write_ply(path, points, {"label": labels.astype(np.uint32), "score": scores})
