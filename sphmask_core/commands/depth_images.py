# SPDX-License-Identifier: Apache-2.0
"""Depth images in the place of clouds: `sphmask segment --depth`, and folders of the TUM RGB-D benchmark."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from sphmask_core.clouds.cloud import Cloud, CloudError
from sphmask_core.clouds.depth import MILLIMETER, TUM_LIST, TUM_UNIT, Intrinsics, read_rgbd, tum_frames


@dataclass(frozen=True)
class DepthImages:
    """Depth images of one camera and what is known of them."""

    colors: Mapping[Path, Path | None]
    """The color image of each depth image, None: it has none."""
    intrinsics: Intrinsics
    unit: float
    """Meters of a depth of 1."""

    @property
    def settings(self) -> list[float]:
        """Returns what results depend on, beside the images."""
        lens = self.intrinsics
        return [lens.fx, lens.fy, lens.cx, lens.cy, self.unit]

    def read(self, path: Path, max_points: int) -> Cloud:
        """Returns the cloud of a depth image; CloudError in one line where there is none."""
        return read_rgbd(path, self.colors[path], self.intrinsics, self.unit, max_points)


def is_tum_folder(path: Path) -> bool:
    """Returns whether a path is a folder of the TUM RGB-D benchmark, which lists its depth images."""
    return (path / TUM_LIST).is_file()


def depth_images(options: argparse.Namespace) -> DepthImages | None:
    """Returns the depth images that were asked for; None where clouds were. Raises ValueError for half of
    either."""
    folders = [path for path in options.clouds if is_tum_folder(path)]
    if options.depth is None and not folders:
        given = [
            name for name in ("color", "intrinsics", "depth_scale") if getattr(options, name) is not None
        ]
        if given:
            raise ValueError(f"--{given[0].replace('_', '-')}: is for --depth, or a folder with {TUM_LIST}")
        return None
    if folders and (len(options.clouds) > 1 or options.color or options.depth):
        raise CloudError(
            f"{folders[0]}: is a folder with {TUM_LIST}; give it alone, without --depth and --color"
        )
    if options.clouds and not folders:
        raise ValueError(f"{options.clouds[0]}: give either clouds or --depth")
    if options.intrinsics is None:
        raise ValueError("depth images need --intrinsics FX FY CX CY, as the camera's camera_info has them")
    unit = _unit(options.depth_scale, TUM_UNIT if folders else MILLIMETER)
    lens = Intrinsics(*options.intrinsics)
    if not folders:
        return DepthImages({options.depth.absolute(): options.color and options.color.absolute()}, lens, unit)
    return DepthImages(_colors(folders[0]), lens, unit)


def _colors(folder: Path) -> dict[Path, Path | None]:
    """Returns the images of a folder; those without a color image are left out where others have one."""
    frames = {depth.absolute(): color and color.absolute() for _, depth, color in tum_frames(folder)}
    if not frames:
        raise CloudError(f"{folder / TUM_LIST}: lists no depth images")
    return {depth: color for depth, color in frames.items() if color} or frames


def _unit(scale: float | None, usual: float) -> float:
    if scale is None:
        return usual
    if not 0 < scale < float("inf"):
        raise ValueError(f"--depth-scale {scale}: must be more than 0, as 1000 for millimeters")
    return 1 / scale
