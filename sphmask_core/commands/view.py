# SPDX-License-Identifier: Apache-2.0
"""`sphmask view`: clouds, results and bags with what was found in them, for rerun's viewer."""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from contextlib import closing, nullcontext
from functools import cached_property
from itertools import chain
from pathlib import Path

from sphmask_core.bags.kinds import is_bag
from sphmask_core.clouds.cloud import Cloud, CloudError, read_cloud
from sphmask_core.commands.choose import AUTO
from sphmask_core.commands.models import load_segmenter
from sphmask_core.commands.saved import is_result, read_result, results_in
from sphmask_core.commands.segment import check_bags, chosen, clouds_in, in_meters
from sphmask_core.commands.terminal import BAD_INPUT, SUCCESS, complain
from sphmask_core.method.instances import Instances
from sphmask_core.pictures.viewer import SegmentedCloud, Viewer, check_viewer
from sphmask_core.placement import Placements, place
from sphmask_core.runtime.files import replacing
from sphmask_core.segmenter import Segmenter
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
        self._options = options
        self.failed = False
        """Whether something was reported and left out."""

    def clouds(self) -> Iterator[SegmentedCloud]:
        """Gives the clouds of each path in turn."""
        for path in self._options.inputs:
            if is_bag(path):
                yield from self._of_bag(path)
                continue
            results = results_in(path) if path.is_dir() else [path] if is_result(path) else []
            for file in results or (clouds_in(path) if path.is_dir() else [path]):
                try:
                    yield self._result(file) if results else self._segmented(file)
                except CloudError as error:
                    self._report(str(error))

    @cached_property
    def _segmenter(self) -> tuple[Segmenter, float]:
        return load_segmenter(self._options)

    def _result(self, path: Path) -> SegmentedCloud:
        return read_result(path, self._options.max_points)

    def _segmented(self, path: Path) -> SegmentedCloud:
        cloud = read_cloud(path, self._options.max_points)
        if self._options.model == AUTO:
            self._options.model = chosen(path.name, cloud)
        segmenter, min_score = self._segmenter
        try:
            cloud = in_meters(cloud, self._options.unit, segmenter.config.voxel_size)
            found = segmenter(cloud.xyz, cloud.rgb, min_score=min_score)
        except (ValueError, MemoryError, RuntimeError) as error:  # RuntimeError: CUDA's and torch's
            raise CloudError(f"{path}: {error or 'out of memory'}") from error
        placed, sectors = place(cloud.xyz, found), segmenter.config.model.rays
        return _shown(path.stem, None, cloud, found, Tracks.none(len(found)), placed, sectors)

    def _of_bag(self, path: Path) -> Iterator[SegmentedCloud]:
        """Gives the answers in a bag; of one that has none, clouds that are segmented now."""
        check_bags()
        from sphmask_core.bags.found import is_segmented, read_found
        from sphmask_core.bags.segment import find_in_bag, read_clouds

        topic = self._options.topic
        if is_segmented(path):
            answers = read_found(path, topic)
            first = next(answers, None)
            if first is None:
                self._report(f"{path}: none of its answers has the stamp and frame of a cloud in it")
            yield from answers if first is None else chain([first], answers)
            return
        if self._options.model == AUTO:
            self._options.model = chosen(path.name, next(read_clouds(path, topic))[2])
        segmenter, min_score = self._segmenter
        for frame in find_in_bag(segmenter, path, topic, min_score):
            name = f"{frame.stamp / 1e9:.3f} s"
            if frame.problem:
                self._report(f"{path}: cloud of {name}: {frame.problem}")
                continue
            sectors = segmenter.config.model.rays
            found, tracks, placed = frame.instances, frame.tracks, frame.placed
            yield _shown(name, frame.stamp, frame.cloud, found, tracks, placed, sectors)

    def _report(self, reason: str) -> None:
        self.failed = True
        complain(reason)


def _shown(
    name: str,
    stamp: int | None,
    cloud: Cloud,
    found: Instances,
    tracks: Tracks,
    placed: Placements,
    sectors: tuple[int, int],
) -> SegmentedCloud:
    return SegmentedCloud(
        name=name,
        stamp=stamp,
        cloud=cloud,
        labels=tracks.of_points(found.labels),
        ids=tracks.ids,
        class_names=found.class_names,
        scores=found.scores,
        centers=found.centers,
        rays=found.rays,
        sectors=sectors,
        rotation=found.rotation,
        box_centers=placed.centers,
        box_sizes=placed.sizes,
        box_rotations=placed.rotations,
    )
