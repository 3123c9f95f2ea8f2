# SPDX-License-Identifier: Apache-2.0
"""`sphmask segment`: the instances of cloud files, here or in other processes, or of the clouds of a bag."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass, replace
from functools import partial
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from sphmask_core.bags.kinds import is_bag
from sphmask_core.clouds.cloud import SUFFIXES, Cloud, CloudError, read_cloud
from sphmask_core.clouds.coordinates import LEVEL_CAMERA, UNITS, Z, check_unit
from sphmask_core.clouds.limits import MAX_POINTS
from sphmask_core.clouds.region import Region
from sphmask_core.commands.character import character
from sphmask_core.commands.choose import AUTO, choose, unlike
from sphmask_core.commands.depth_images import DepthImages, depth_images
from sphmask_core.commands.engines import Failure, open_engine
from sphmask_core.commands.models import load_segmenter, settings_of
from sphmask_core.commands.results import result_files, summary, table, write_results
from sphmask_core.commands.terminal import BAD_INPUT, SUCCESS, check_drawing, complain, with_progress
from sphmask_core.runtime.files import same_file
from sphmask_core.segmenter import EVERYTHING, Segmenter


def segment(options: argparse.Namespace) -> int:
    """Segment what was asked for and return the exit status.

    A bad cloud is reported and the others still done.
    """
    images = depth_images(options)
    if not (options.clouds or images):
        raise ValueError("give clouds, a folder of them or a bag; or --depth and --intrinsics")
    clouds = list(images.colors) if images else clouds_of(options.clouds)
    if not clouds:
        return _segment_bag(options.clouds[0], options)
    if options.topic or options.compression or options.depth_topic or options.color_topic:
        raise ValueError("--topic, --depth-topic, --color-topic and --compression are for bags")
    if options.png:
        check_drawing("PIL")
    return _segment_clouds(
        [path.absolute() for path in clouds] if options.engine != "local" else clouds, images, options
    )


def _segment_clouds(clouds: Sequence[Path], images: DepthImages | None, options: argparse.Namespace) -> int:
    """Write the results of each cloud and return the exit status."""
    output = options.output.absolute()  # workers have working folders of their own
    _check_names(clouds)
    _check_output(clouds, output)
    engine = open_engine(options.engine, options.workers, options.device)
    region = region_of(options)
    if options.model == AUTO:
        first = images.read(clouds[0], options.max_points) if images else read_cloud(clouds[0])
        options.model = chosen(clouds[0].name, first)
    segmenter, min_score = load_segmenter(options)
    others = {} if region == EVERYTHING else {"region": list(astuple(region))}
    others |= {"depth": images.settings} if images else {}
    settings = settings_of(segmenter, min_score=min_score, unit=options.unit or "m", **others)
    task = SegmentTask(
        options.model,
        options.device,
        min_score,
        output,
        options.png,
        settings,
        options.unit,
        options.max_points,
        images,
        region,
    )
    waiting = [path for path in clouds if not (options.resume and task.is_done(path))]
    output.mkdir(parents=True, exist_ok=True)
    failed = 0
    for _, result in with_progress(engine(task, waiting), len(waiting), "cloud"):
        if isinstance(result, Failure):
            failed += 1
            complain(result.reason)
        else:
            print(result, flush=True)
    if len(clouds) > 1 and (failed or len(waiting) < len(clouds)):
        done = len(waiting) - failed
        print(f"{len(clouds)} clouds: {done} segmented, {len(clouds) - len(waiting)} before, {failed} failed")
    return BAD_INPUT if failed else SUCCESS


def _segment_bag(path: Path, options: argparse.Namespace) -> int:
    """Write a copy of the bag with the results beside its topics, and return the exit status.

    A cloud that cannot be segmented is reported, and has results without instances.
    """
    if options.png or options.resume or options.unit or options.engine != "local":
        raise ValueError(f"{path}: is a bag; --png, --resume, --unit and --engine are for cloud files")
    check_bags()
    from sphmask_core.bags.segment import read_clouds, segment_bag
    from sphmask_core.commands.bag_images import image_topics

    images, region = image_topics(path, options), region_of(options)
    if options.model == AUTO:
        _, _, first = next(read_clouds(path, options.topic, images))
        options.model = chosen(path.name, first)
    segmenter, min_score = load_segmenter(options)
    status = SUCCESS
    frames = segment_bag(
        segmenter,
        path,
        options.output,
        options.topic,
        min_score,
        options.compression,
        images,
        region,
        say=complain,
    )
    for frame in frames:
        name = f"{frame.stamp / 1e9:.3f} s"
        if frame.problem:
            complain(f"{path}: cloud of {name}: {frame.problem}")
            status = BAD_INPUT
        else:
            print(f"{name}: {frame.points} points, {summary(frame.instances)}", flush=True)
    return status


def region_of(options: argparse.Namespace) -> Region:
    """What is looked at of each cloud; raises ValueError in one line for what is no region."""
    boxes = {name: tuple(getattr(options, name) or ()) or None for name in ("crop_box", "ego_box")}
    try:
        return Region(options.min_range, options.max_range, voxel_filter=options.voxel_filter, **boxes)
    except ValueError as error:
        name, rest = str(error).split(maxsplit=1)
        raise ValueError(f"--{name.replace('_', '-')} {rest}") from None


def check_bags() -> None:
    """Raise ModuleNotFoundError where bags cannot be read."""
    if find_spec("rosbags") is None or find_spec("mcap") is None:
        raise ModuleNotFoundError("bags need two libraries: pip install 'sphmask[bags]'")


def chosen(name: str, cloud: Cloud) -> str:
    """Choose the preset for a cloud, say which and why, and return it."""
    what = character(cloud)
    preset = choose(what)
    print(f"model {preset}, for {name}: {what}", flush=True)
    return preset


def in_meters(cloud: Cloud, unit: str | None, voxel_size: float) -> Cloud:
    """The cloud in meters; raises ValueError where nobody said its unit and it cannot be meters."""
    if unit is None:
        check_unit(cloud.xyz, voxel_size)
    if unit in (None, "m"):
        return cloud
    return replace(cloud, xyz=cloud.xyz * cloud.xyz.dtype.type(UNITS[unit]))


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
    """Returns the cloud files of a folder by name; hidden files are what a killed run was still writing."""
    files = (path for path in folder.iterdir() if not path.name.startswith("."))
    clouds = sorted(path for path in files if path.suffix.lower() in SUFFIXES)
    if not clouds:
        raise CloudError(f"{folder}: is a folder without clouds ({', '.join(SUFFIXES)}), and no bag")
    return clouds


def _check_names(clouds: Sequence[Path]) -> None:
    """Raise CloudError where two clouds would have results of one name."""
    stem, count = Counter(path.stem for path in clouds).most_common(1)[0]
    if count > 1:
        raise CloudError(
            f"{stem}: two clouds have this name and would write the same files; do one at a time"
        )


def _check_output(clouds: Sequence[Path], output: Path) -> None:
    """Raise CloudError where results would lie among the clouds, or be written over one of them.

    Results are clouds, too: among the others they would be segmented by the next run.
    """
    folder = same_file(output, [path.parent for path in clouds])
    if folder is not None:
        raise CloudError(f"{output}: is the folder of the clouds; give results a folder of their own with -o")
    for path in clouds:
        for file in result_files(output, path, picture=True):
            cloud = same_file(file, clouds)
            if cloud is not None:
                raise CloudError(f"{file}: is the cloud {cloud} itself; give results another folder with -o")


@dataclass(frozen=True)
class SegmentTask:
    """Segments clouds into a folder."""

    model: str
    device: str
    min_score: float
    output: Path
    picture: bool
    settings: dict[str, Any]
    """What the results depend on, kept with them."""
    unit: str | None = None
    """Of the clouds' coordinates, one of UNITS; None: meters, unless a cloud is far too large for that."""
    max_points: int = MAX_POINTS
    """Clouds with more are refused."""
    images: DepthImages | None = None
    """Where the clouds are depth images."""
    region: Region = EVERYTHING
    """What is looked at."""

    def __call__(self) -> Callable[[Path], str]:
        """Load the model; returns a function that segments a cloud and returns the results as text."""
        return partial(self.segment, Segmenter.load(self.model, self.device))

    def segment(self, segmenter: Segmenter, path: Path) -> str:
        """Write the results of one cloud and return them as text."""
        images = self.images
        cloud = images.read(path, self.max_points) if images else read_cloud(path, self.max_points)
        vertical = LEVEL_CAMERA if images else Z
        try:
            cloud = in_meters(cloud, self.unit, segmenter.config.voxel_size)
            instances = segmenter(
                cloud.xyz, cloud.rgb, vertical=vertical, min_score=self.min_score, region=self.region
            )
        except (ValueError, MemoryError, RuntimeError) as error:  # RuntimeError: CUDA's and torch's
            raise CloudError(f"{path}: {error or 'out of memory'}") from error
        sectors = segmenter.config.model.rays
        write_results(self.output, path, cloud, instances, self.picture, self.settings, sectors)
        remark = unlike(character(cloud), segmenter.config.name)
        remark = f"; {remark}" if remark else ""
        return f"{path.name}: {len(cloud.xyz)} points, {summary(instances)}{remark}{table(instances)}"

    def is_done(self, path: Path) -> bool:
        """Whether the results are there, with these settings, and newer than the cloud."""
        files = result_files(self.output, path, self.picture)
        try:
            newer = min(file.stat().st_mtime for file in files) > path.stat().st_mtime
            record = next(file for file in files if file.suffix == ".json")
            return newer and json.loads(record.read_text())["settings"] == self.settings
        except (OSError, ValueError, KeyError, TypeError):
            return False
