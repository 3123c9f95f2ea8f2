# SPDX-License-Identifier: Apache-2.0
"""What `sphmask segment` writes and prints of one cloud."""

from __future__ import annotations

import json
from contextlib import ExitStack
from pathlib import Path
from typing import Any
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np

from sphmask_core.clouds.cloud import Cloud, write_ply
from sphmask_core.palette import MID_GRAY, instance_colors
from sphmask_core.pictures.draw import draw_result
from sphmask_core.runtime.files import replacing
from sphmask_core.segmenter import Instances


def write_results(
    folder: Path, source: Path, cloud: Cloud, found: Instances, picture: bool, settings: dict[str, Any]
) -> None:
    """Write <stem>.npz, .ply, .json and, if wanted, .png: all of them, or none."""
    suffixes = [".npz", ".ply", ".json"] + ([".png"] if picture else [])
    with ExitStack() as stack:
        files = {
            suffix: stack.enter_context(replacing(folder / (source.stem + suffix))) for suffix in suffixes
        }
        _write_arrays(files[".npz"], found)
        _write_points(files[".ply"], cloud, found)
        files[".json"].write_text(json.dumps(record(source, cloud, found, settings), indent=1) + "\n")
        if picture:
            draw_result(files[".png"], cloud, found, summary(found))


def summary(found: Instances) -> str:
    """Number of instances and time of computing, in words."""
    noun = "instance" if len(found) == 1 else "instances"
    return f"{len(found)} {noun}, {sum(found.timings.values()):.0f} ms"


def table(found: Instances, ids: np.ndarray | None = None) -> str:
    """One line an instance, for people; nothing where there is none. ids (I,): of followed objects."""
    head = f"  {'#':>3}  {'class':<16} {'score':>5} {'points':>8}   {'center (m)':<24}  size (m)"
    numbers = range(1, len(found) + 1) if ids is None else ids
    lines = [_line(number, item) for number, item in zip(numbers, instance_records(found), strict=True)]
    return "".join(f"\n{line}" for line in ([head, *lines] if lines else []))


def _line(number: int, item: dict[str, Any]) -> str:
    center = " ".join(f"{value:7.3f}" for value in item["center"])
    size = " x ".join(f"{high - low:.3f}" for low, high in zip(item["box"][:3], item["box"][3:], strict=True))
    return f"  {number:>3}  {item['class']:<16} {item['score']:5.2f} {item['points']:8d}  {center}   {size}"


def record(source: Path, cloud: Cloud, found: Instances, settings: dict[str, Any]) -> dict[str, Any]:
    """The .json file: one record an instance, lengths in meters, times in milliseconds; how it was made."""
    return {
        "cloud": str(source),
        "settings": settings,
        "points": len(cloud.xyz),
        "instances": instance_records(found),
        "rotation": np.round(found.rotation.astype(float), 6).tolist(),
        "timings": {stage: round(ms, 3) for stage, ms in found.timings.items()},
    }


def instance_records(found: Instances) -> list[dict[str, Any]]:
    """Plain values of each instance; `id` is its value in labels."""
    return [
        {
            "id": i + 1,
            "class": found.class_names[i],
            "class_id": int(found.class_ids[i]),
            "score": round(float(found.scores[i]), 4),
            "points": int(found.sizes[i]),
            "center": _rounded(found.centers[i]),
            "box": _rounded(found.boxes[i]),
            "rays": _rounded(found.rays[i]),
        }
        for i in range(len(found))
    ]


def _rounded(values: np.ndarray) -> list[float]:
    return [round(float(value), 5) for value in values]


def _write_arrays(path: Path, found: Instances) -> None:
    """The .npz file; masks are written row by row, for together they may be larger than memory."""
    arrays = {
        "labels": found.labels,
        "scores": found.scores,
        "class_ids": found.class_ids,
        "class_names": np.array(found.class_names, dtype=np.str_),
        "centers": found.centers,
        "rays": found.rays,
        "boxes": found.boxes,
        "rotation": found.rotation,
    }
    with ZipFile(path, "w", ZIP_DEFLATED) as archive:
        for name, array in arrays.items():
            with archive.open(f"{name}.npy", "w", force_zip64=True) as file:
                np.lib.format.write_array(file, array, allow_pickle=False)
        with archive.open("masks.npy", "w", force_zip64=True) as file:
            shape = (len(found), len(found.labels))
            header = {"descr": "|b1", "fortran_order": False, "shape": shape}
            np.lib.format.write_array_header_1_0(file, header)
            for mask in found.segment_masks:
                file.write(mask.take(found.segments).tobytes())


def _write_points(path: Path, cloud: Cloud, found: Instances) -> None:
    """Every point in its place, colored by instance, with `label` and `score`."""
    labels = found.labels
    plain = np.full((len(labels), 3), MID_GRAY, np.uint8) if cloud.rgb is None else cloud.rgb
    colors = np.concatenate([np.zeros((1, 3), np.uint8), instance_colors(len(found))])[labels]
    rgb = np.where(labels[:, None] > 0, colors, plain)
    scores = np.concatenate([np.zeros(1, np.float32), found.scores])[labels]
    points = Cloud(cloud.xyz, rgb, None, cloud.shape)
    write_ply(path, points, {"label": labels.astype(np.uint32), "score": scores})
