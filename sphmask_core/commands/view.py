# SPDX-License-Identifier: Apache-2.0
"""`sphmask view`: clouds, results and bags with what was found in them, for rerun's viewer."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing, nullcontext
from functools import cached_property
from itertools import chain
from pathlib import Path

from sphmask_core.bags.kinds import is_bag
from sphmask_core.clouds.cloud import Cloud, CloudError
from sphmask_core.commands.choose import AUTO
from sphmask_core.commands.depth_images import depth_images
from sphmask_core.commands.inputs import Inputs, check_bags, chosen, clouds_in, region_of, request_of
from sphmask_core.commands.models import load_segmenter
from sphmask_core.commands.saved import is_result, read_result, results_in
from sphmask_core.commands.terminal import BAD_INPUT, SUCCESS, complain
from sphmask_core.method.instances import Instances
from sphmask_core.pictures.viewer import SegmentedCloud, Viewer, check_viewer
from sphmask_core.placement import Placements, place
from sphmask_core.runtime.files import replacing
from sphmask_core.runtime.units import NS_PER_SECOND
from sphmask_core.segmenter import Request, Segmenter
from sphmask_core.tracking import Tracks

SUFFIX = ".rrd"
DISPLAYS = ("DISPLAY", "WAYLAND_DISPLAY")
"""Environment variables of which one is set where windows can be opened."""


def view(options: argparse.Namespace) -> int:
    """Show what was asked for and return the exit status.

    A bad cloud is reported, and the others still shown.
    """
    check_viewer()
    _check_save(options.save)
    source = _Source(options)
    clouds = source.clouds()
    first = next(clouds, None)
    if first is None:
        return BAD_INPUT
    with replacing(options.save) if options.save else nullcontext() as file, closing(Viewer(file)) as viewer:
        for shown in chain([first], clouds):
            viewer.show(shown)
            print(f"{shown.name}: {len(shown.labels)} points, {len(shown)} instances", flush=True)
    return BAD_INPUT if source.failed else SUCCESS


def _check_save(save: Path | None) -> None:
    """Raise ValueError where there is no way to show anything."""
    if save is not None and save.suffix != SUFFIX:
        raise ValueError(f"{save}: give --save a name that ends with {SUFFIX}")
    if save is None and not any(os.environ.get(name) for name in DISPLAYS):
        raise ValueError(f"no display for a window; give --save FILE{SUFFIX}, and `rerun FILE{SUFFIX}` later")


class _Source:
    """Gives all clouds that were asked for, as they are read or segmented."""

    def __init__(self, options: argparse.Namespace) -> None:
        images = depth_images(options)
        if not (options.clouds or images):
            raise ValueError("give clouds, results or bags; or --depth and --intrinsics")
        region_of(options)  # whatever is wrong with it is said before the model is loaded
        self._options = options
        self._inputs = Inputs(images, options.unit, options.max_points)
        self.failed = False
        """Whether something was reported and left out."""

    def clouds(self) -> Iterator[SegmentedCloud]:
        """Gives the clouds of each path in turn."""
        if self._inputs.images:
            yield from self._shown(self._inputs.images.colors, self._segmented)
            return
        for path in self._options.clouds:
            if is_bag(path):
                yield from self._of_bag(path)
            elif results := results_in(path) if path.is_dir() else [path] if is_result(path) else []:
                yield from self._shown(results, self._result)
            else:
                yield from self._shown(clouds_in(path) if path.is_dir() else [path], self._segmented)

    def _shown(
        self, paths: Iterable[Path], show: Callable[[Path], SegmentedCloud]
    ) -> Iterator[SegmentedCloud]:
        for path in paths:
            try:
                yield show(path)
            except CloudError as error:
                self._report(str(error))

    @cached_property
    def _segmenter(self) -> tuple[Segmenter, Request]:
        segmenter, min_score = load_segmenter(self._options)
        return segmenter, request_of(self._options, segmenter, min_score)

    def _result(self, path: Path) -> SegmentedCloud:
        return read_result(path, self._options.max_points)

    def _segmented(self, path: Path) -> SegmentedCloud:
        if self._options.model == AUTO:
            self._options.model = chosen(path.name, self._inputs.read(path))
        segmenter, request = self._segmenter
        cloud, instances = self._inputs.find(path, segmenter, request)
        placed, sectors = place(cloud.xyz, instances), segmenter.config.model.rays
        return _shown(path.stem, None, cloud, instances, Tracks.none(len(instances)), placed, sectors)

    def _of_bag(self, path: Path) -> Iterator[SegmentedCloud]:
        """Gives the answers in a bag; of one that has none, clouds that are segmented now."""
        check_bags()
        from sphmask_core.bags.answers import is_segmented, read_answers
        from sphmask_core.bags.segment import find_in_bag, read_clouds
        from sphmask_core.commands.bag_images import image_topics

        topic, images = self._options.topic, image_topics(path, self._options)
        if images is None and is_segmented(path):
            answers = read_answers(path, topic)
            first = next(answers, None)
            if first is None:
                self._report(f"{path}: none of its answers has the stamp and frame of a cloud in it")
            yield from answers if first is None else chain([first], answers)
            return
        if self._options.model == AUTO:
            self._options.model = chosen(path.name, next(read_clouds(path, topic, images))[2])
        segmenter, request = self._segmenter
        for frame in find_in_bag(segmenter, path, topic, request, images, complain):
            name = f"{frame.stamp / NS_PER_SECOND:.3f} s"
            if frame.problem:
                self._report(f"{path}: cloud of {name}: {frame.problem}")
                continue
            sectors = segmenter.config.model.rays
            instances, tracks, placed = frame.instances, frame.tracks, frame.placed
            yield _shown(name, frame.stamp, frame.cloud, instances, tracks, placed, sectors)

    def _report(self, reason: str) -> None:
        self.failed = True
        complain(reason)


def _shown(
    name: str,
    stamp: int | None,
    cloud: Cloud,
    instances: Instances,
    tracks: Tracks,
    placed: Placements,
    sectors: tuple[int, int],
) -> SegmentedCloud:
    return SegmentedCloud(
        name=name,
        stamp=stamp,
        cloud=cloud,
        labels=tracks.of_points(instances.labels),
        ids=tracks.ids,
        class_names=instances.class_names,
        scores=instances.scores,
        centers=instances.centers,
        rays=instances.rays,
        sectors=sectors,
        rotation=instances.rotation,
        box_centers=placed.centers,
        box_sizes=placed.sizes,
        box_rotations=placed.rotations,
    )
