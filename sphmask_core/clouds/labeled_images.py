# SPDX-License-Identifier: Apache-2.0
"""Labeled depth images in a folder: NAME.depth.png, NAME.mask.png and, where there is one, NAME.color.png.

The color image may be a .jpg. A depth image is 16-bit, millimeters unless the folder's intrinsics.txt says
otherwise: one line FX FY CX CY (pixels), or FX FY CX CY SCALE with the depths in a meter. A mask is 8- or
16-bit gray or with a palette: objects from 1, 0 for what is no object, the highest number (255 or 65535) for
unknown pixels.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np

from sphmask_core.clouds.cloud import CloudError
from sphmask_core.clouds.depth import Intrinsics, read_gray, read_rgbd
from sphmask_core.clouds.labeled_frames import labeled_scene
from sphmask_core.clouds.scene import Scene

DEPTH, MASK, COLORS = ".depth.png", ".mask.png", (".color.png", ".color.jpg")
INTRINSICS = "intrinsics.txt"
MILLIMETERS = 1000.0
"""Millimeters in a meter: the unit of depth images that do not say another."""
LENS = 4
"""Numbers of a camera: FX FY CX CY."""


def is_depth_image(path: Path) -> bool:
    """Returns whether a file is the depth image of a labeled frame, by its name."""
    return path.name.endswith(DEPTH)


def files_of(depth: Path) -> list[Path]:
    """Returns all files that a depth image is read with, itself the first; those that are missing are left
    out."""
    stem = depth.name.removesuffix(DEPTH)
    names = (depth.name, INTRINSICS, *(stem + end for end in (MASK, *COLORS)))
    return [path for name in names if (path := depth.with_name(name)).is_file()]


def read_images(depth: Path) -> Scene:
    """Returns the labeled frame of a depth image; raises CloudError, which names the file that is wrong."""
    stem = depth.name.removesuffix(DEPTH)
    intrinsics, scale = _read_intrinsics(depth.with_name(INTRINSICS))
    color = next((path for path in files_of(depth) if path.name.endswith(COLORS)), None)
    cloud = read_rgbd(depth, color, intrinsics, 1 / scale)
    path = depth.with_name(stem + MASK)
    mask = read_gray(path)
    if mask.shape != cloud.shape:
        raise CloudError(f"{path}: has {mask.shape[1]} x {mask.shape[0]} pixels, {depth.name} has others")
    label = mask.astype(np.int64).reshape(-1)
    label[label == np.iinfo(mask.dtype).max] = -1
    return labeled_scene(stem, replace(cloud, labels=label))


def _read_intrinsics(path: Path) -> tuple[Intrinsics, float]:
    """Returns the intrinsics of the camera, and the depths in a meter."""
    try:
        numbers = [float(word) for word in path.read_text().split()]
        camera, scale = Intrinsics(*numbers[:LENS]), (*numbers[LENS:], MILLIMETERS)[0]
        if len(numbers) > LENS + 1 or not 0 < scale < float("inf"):
            raise ValueError
    except (OSError, ValueError, TypeError):
        raise CloudError(f"{path}: give one line FX FY CX CY, or FX FY CX CY SCALE") from None
    return camera, scale
