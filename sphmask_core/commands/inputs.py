# SPDX-License-Identifier: Apache-2.0
"""What `sphmask segment` and `sphmask view` look at: clouds, or depth images in their place, and how."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

from sphmask_core.bags.kinds import is_bag
from sphmask_core.clouds.cloud import SUFFIXES, Cloud, CloudError, read_cloud
from sphmask_core.clouds.coordinates import AXES, LEVEL_CAMERA, UNITS, Vector, check_unit
from sphmask_core.clouds.limits import MAX_POINTS
from sphmask_core.clouds.region import Region
from sphmask_core.commands.character import character
from sphmask_core.commands.choose import choose
from sphmask_core.commands.depth_images import DepthImages
from sphmask_core.commands.saved import results_in
from sphmask_core.commands.terminal import complain, follow_blocks
from sphmask_core.method.instances import Instances
from sphmask_core.segmenter import Request, Segmenter, read_class_scores


@dataclass(frozen=True)
class Inputs:
    """Reads the files of clouds, or the depth images in their place."""

    images: DepthImages | None = None
    """How depth images are read, where the files are such."""
    unit: str | None = None
    """Unit of the clouds' coordinates, of UNITS; None: meters, unless a cloud is far too large for that."""
    max_points: int = MAX_POINTS
    """Clouds with more are refused."""

    @property
    def usual_up(self) -> Vector | None:
        """Returns the unit vector up in what such files hold; of clouds nobody knows."""
        return LEVEL_CAMERA if self.images else None

    def read(self, path: Path) -> Cloud:
        """Returns the cloud of a file, in its own unit. Raises CloudError, which names the file."""
        if self.images:
            return self.images.read(path, self.max_points)
        return read_cloud(path, self.max_points)

    def find(self, path: Path, segmenter: Segmenter, request: Request) -> tuple[Cloud, Instances]:
        """Returns the cloud of a file, meters, and its instances. Raises CloudError, which names the file."""
        cloud = self.read(path)
        try:
            cloud = _in_meters(cloud, self.unit, segmenter.config.voxel_size)
            return cloud, request.find(segmenter, cloud, self.usual_up)
        except (ValueError, MemoryError, RuntimeError) as error:  # RuntimeError: CUDA's and torch's
            raise CloudError(f"{path}: {error or 'out of memory'}") from error


def _in_meters(cloud: Cloud, unit: str | None, voxel_size: float) -> Cloud:
    """Returns the cloud in meters; raises ValueError where nobody said its unit and it cannot be meters."""
    if unit is None:
        check_unit(cloud.xyz, voxel_size)
    if unit in (None, "m"):
        return cloud
    return replace(cloud, xyz=cloud.xyz * cloud.xyz.dtype.type(UNITS[unit]))


def request_of(options: argparse.Namespace, segmenter: Segmenter, min_score: float) -> Request:
    """Returns what is asked of a model for each cloud; raises ValueError in one line for what is no such
    thing."""
    try:
        scores = read_class_scores(options.class_scores)
        segmenter.least_scores(min_score, scores)
    except ValueError as error:
        raise ValueError(f"--class-scores: {str(error).removeprefix('class_scores ')}") from None
    return Request(min_score, scores, region_of(options), AXES.get(options.up), follow_blocks)


def region_of(options: argparse.Namespace) -> Region:
    """Returns what is looked at of each cloud; raises ValueError in one line for what is no region."""
    boxes = {name: tuple(getattr(options, name) or ()) or None for name in ("crop_box", "ego_box")}
    try:
        return Region(options.min_range, options.max_range, voxel_filter=options.voxel_filter, **boxes)
    except ValueError as error:
        name, rest = str(error).split(maxsplit=1)
        raise ValueError(f"--{name.replace('_', '-')} {rest}") from None


def chosen(name: str, cloud: Cloud) -> str:
    """Chooses the preset for a cloud, and says which and why. Returns its name."""
    what = character(cloud)
    preset = choose(what)
    print(f"model {preset}, for {name}: {what}", flush=True)
    return preset


def check_bags() -> None:
    """Raise ModuleNotFoundError where bags cannot be read."""
    if find_spec("rosbags") is None or find_spec("mcap") is None:
        raise ModuleNotFoundError("bags need two libraries: pip install 'sphmask[bags]'")


def clouds_of(paths: Sequence[Path]) -> list[Path]:
    """Returns the cloud files that the paths name, those of a folder by name; none when the path is a bag."""
    clouds: list[Path] = []
    for path in paths:
        if is_bag(path):
            if len(paths) > 1:
                raise CloudError(f"{path}: is a bag; give one bag at a time")
            return []
        clouds += clouds_in(path) if path.is_dir() else [path]
    return clouds


def clouds_in(folder: Path) -> list[Path]:
    """Returns the cloud files of a folder by name. Raises CloudError where there is none.

    Results of `sphmask segment` are left out, and one line says how many; so are hidden files, which a killed
    run was still writing.
    """
    files = (path for path in folder.iterdir() if not path.name.startswith("."))
    clouds = sorted(path for path in files if path.suffix.lower() in SUFFIXES)
    if not clouds:
        raise CloudError(f"{folder}: is a folder without clouds ({', '.join(SUFFIXES)}), and no bag")
    results = {path.stem for path in results_in(folder)}
    others = [path for path in clouds if path.stem not in results]
    if not others:
        raise CloudError(f"{folder}: has results and no other clouds; `sphmask view {folder}` shows them")
    if results:
        noun = "result" if len(results) == 1 else "results"
        complain(f"{folder}: left out {len(results)} {noun} of sphmask segment")
    return others
