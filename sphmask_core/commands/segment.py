# SPDX-License-Identifier: Apache-2.0
"""`sphmask segment`: the instances of cloud files, here or in other processes, or of the clouds of a bag."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import astuple, dataclass
from functools import partial
from pathlib import Path
from typing import Any

from sphmask_core.clouds.cloud import CloudError
from sphmask_core.commands.character import character
from sphmask_core.commands.choose import AUTO, unlike
from sphmask_core.commands.depth_images import DepthImages, depth_images
from sphmask_core.commands.engines import Failure, open_engine
from sphmask_core.commands.inputs import Inputs, check_bags, chosen, clouds_of, region_of, request_of
from sphmask_core.commands.models import load_segmenter, settings_of
from sphmask_core.commands.results import result_files, summary, table, write_results
from sphmask_core.commands.terminal import BAD_INPUT, SUCCESS, check_drawing, complain, with_progress
from sphmask_core.runtime.files import same_file
from sphmask_core.runtime.units import NS_PER_SECOND
from sphmask_core.segmenter import EVERYTHING, Request, Segmenter

TAKEN_UP = "z is taken to point up, of a camera's frames -y; --up says otherwise"
"""What is said of models of rooms, which find the vertical only near the one that they are told."""


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
    inputs = Inputs(images, options.unit, options.max_points)
    region_of(options)  # whatever is wrong with it is said before the model is loaded
    if options.model == AUTO:
        options.model = chosen(clouds[0].name, inputs.read(clouds[0]))
    segmenter, min_score = load_segmenter(options)
    request = request_of(options, segmenter, min_score)
    if segmenter.config.up == "gravity" and not (request.up or inputs.usual_up):
        print(TAKEN_UP, flush=True)
    settings = settings_of(segmenter, **_dependences(inputs, request))
    task = SegmentTask(options.model, options.device, output, options.png, settings, inputs, request)
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


def _dependences(inputs: Inputs, request: Request) -> dict[str, Any]:
    """Returns what results depend on, beside the model.

    What nobody asked for is left out: results of versions that could not be asked for it stay valid.
    """
    values: dict[str, Any] = {"min_score": request.min_score, "unit": inputs.unit or "m"}
    if request.region != EVERYTHING:
        values["region"] = list(astuple(request.region))
    if request.class_scores:
        values["class_scores"] = dict(request.class_scores)
    if request.up:
        values["up"] = list(request.up)
    return values | ({"depth": inputs.images.settings} if inputs.images else {})


def _segment_bag(path: Path, options: argparse.Namespace) -> int:
    """Write a copy of the bag with the results beside its topics, and return the exit status.

    A cloud that cannot be segmented is reported, and has results without instances.
    """
    if options.png or options.resume or options.unit or options.engine != "local":
        raise ValueError(f"{path}: is a bag; --png, --resume, --unit and --engine are for cloud files")
    check_bags()
    from sphmask_core.bags.segment import read_clouds, segment_bag
    from sphmask_core.commands.bag_images import image_topics

    images = image_topics(path, options)
    region_of(options)  # whatever is wrong with it is said before the model is loaded
    if options.model == AUTO:
        _, _, first = next(read_clouds(path, options.topic, images))
        options.model = chosen(path.name, first)
    segmenter, min_score = load_segmenter(options)
    request, status = request_of(options, segmenter, min_score), SUCCESS
    frames = segment_bag(
        segmenter, path, options.output, options.topic, request, options.compression, images, say=complain
    )
    for frame in frames:
        name = f"{frame.stamp / NS_PER_SECOND:.3f} s"
        if frame.problem:
            complain(f"{path}: cloud of {name}: {frame.problem}")
            status = BAD_INPUT
        else:
            print(f"{name}: {frame.points} points, {summary(frame.instances)}", flush=True)
    return status


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
    output: Path
    picture: bool
    settings: dict[str, Any]
    """What the results depend on, kept with them."""
    inputs: Inputs
    request: Request

    def __call__(self) -> Callable[[Path], str]:
        """Load the model; returns a function that segments a cloud and returns the results as text."""
        return partial(self.segment, Segmenter.load(self.model, self.device))

    def segment(self, segmenter: Segmenter, path: Path) -> str:
        """Write the results of one cloud and return them as text."""
        cloud, instances = self.inputs.find(path, segmenter, self.request)
        sectors = segmenter.config.model.rays
        write_results(self.output, path, cloud, instances, self.picture, self.settings, sectors)
        remark = unlike(character(cloud), segmenter.config.name)
        remark = f"; {remark}" if remark else ""
        return f"{path.name}: {len(cloud.xyz)} points, {summary(instances)}{remark}{table(instances)}"

    def is_done(self, path: Path) -> bool:
        """Returns whether the results are there, with these settings, and newer than the cloud."""
        files = result_files(self.output, path, self.picture)
        try:
            newer = min(file.stat().st_mtime for file in files) > path.stat().st_mtime
            record = next(file for file in files if file.suffix == ".json")
            return newer and json.loads(record.read_text())["settings"] == self.settings
        except (OSError, ValueError, KeyError, TypeError):
            return False
