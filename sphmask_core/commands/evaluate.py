# SPDX-License-Identifier: Apache-2.0
"""`sphmask eval`: segment the scenes of a split, here or in other processes, and score them."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np

from sphmask_core.clouds.scenes import Split, open_split
from sphmask_core.commands.engines import Failure, open_engine
from sphmask_core.commands.models import load_segmenter, settings_of
from sphmask_core.commands.predictions import PredictionFolder
from sphmask_core.commands.terminal import BAD_INPUT, SUCCESS, check_drawing, complain, with_progress
from sphmask_core.evaluation.protocol import Protocol, protocol_of
from sphmask_core.evaluation.report import (
    as_json,
    class_table,
    detection_line,
    group_table,
    scene_table,
)
from sphmask_core.evaluation.scoring import Gallery, Segmented, pool, score_scenes
from sphmask_core.evaluation.submission import Submission
from sphmask_core.pictures.confusion import draw_confusion
from sphmask_core.pictures.draw import draw_scenes
from sphmask_core.pictures.missed import MissedObjects
from sphmask_core.runtime.files import replacing
from sphmask_core.runtime.units import MS_PER_SECOND
from sphmask_core.segmenter import Segmenter

PICTURED_SCENES, PICTURED_OBJECTS = 6, 24
"""Worst scenes and worst objects that a picture shows."""


def evaluate(options: argparse.Namespace) -> int:
    """Scores a split. Returns the exit status.

    AP takes every instance; overlap and pictures take those from the score threshold on.
    """
    _check(options)
    segmenter, min_score = load_segmenter(options)
    split = open_split(options.dataset, options.root, options.split, segmenter.config.data.s3dis.area)
    protocol = protocol_of(options.dataset, split.manifest, segmenter.config)
    submission = options.submission and Submission.of(split, segmenter.config, options.submission)
    with TemporaryDirectory() as temporary:
        predictions = PredictionFolder(Path(options.output or temporary).absolute() / "predictions")
        failed = _segment_scenes(options, split, predictions, settings_of(segmenter))
        scenes = segmented(split, protocol, predictions, [i for i in range(len(split)) if i not in failed])
        if submission:
            scenes = submission.write_all(scenes)
        _score(options, split, protocol, scenes, min_score, failed)
    return BAD_INPUT if failed else SUCCESS


def _check(options: argparse.Namespace) -> None:
    """Raise ValueError or ModuleNotFoundError for what cannot be done as asked."""
    if options.picture or options.output:
        check_drawing("PIL", "matplotlib")
    if options.picture and options.picture.suffix.lower() != ".png":
        raise ValueError(f"--picture {options.picture}: pictures are PNG; give a name that ends with .png")
    if not options.output and (options.resume or options.engine != "local"):
        raise ValueError("--resume and --engine ray need -o: it keeps the instances of each scene")


def _segment_scenes(
    options: argparse.Namespace, split: Split, predictions: PredictionFolder, settings: dict[str, Any]
) -> set[int]:
    """Segment the scenes that are not done yet; returns the numbers of those that cannot be segmented."""
    engine = open_engine(options.engine, options.workers, options.device)
    root = str(Path(options.root).absolute())
    predictions.open(settings | {"dataset": options.dataset, "root": root}, options.resume)
    task = SceneTask(options.model, options.device, options.dataset, root, options.split, predictions)
    waiting = [i for i, name in enumerate(split.names) if not predictions.has(name)]
    failed = set()
    for number, result in with_progress(engine(task, waiting), len(waiting), "scene"):
        if isinstance(result, Failure):
            failed.add(waiting[number])
            complain(f"{split.names[waiting[number]]}: {result.reason}")
    if len(failed) == len(split):
        raise ValueError("no scene could be segmented")
    return failed


def _score(
    options: argparse.Namespace,
    split: Split,
    protocol: Protocol,
    scenes: Iterator[Segmented],
    min_score: float,
    failed: set[int],
) -> None:
    """Print and save the scores of the scenes."""
    drawing = options.picture or (options.output and options.output / "scenes.png")
    missing = f" ({len(failed)} of them failed and are left out)" if failed else ""
    print(f"{options.model} on {options.dataset} {options.split}: {len(split)} scenes{missing}")
    if not split.labeled:
        print(f"no labels: {sum(1 for _ in scenes)} scenes segmented, none scored")
        return
    gallery = Gallery(PICTURED_SCENES if drawing else 0, None if split.manifest else _pictured(len(split)))
    missed = MissedObjects(PICTURED_OBJECTS) if drawing else None
    scores = score_scenes(scenes, protocol, min_score, gallery, missed)
    pooled = pool(scores, protocol)
    print(f"AP: all instances; overlap: those with a score of at least {min_score:g}")
    print(class_table(pooled, protocol) if protocol.classes else scene_table(scores, pooled))
    print(detection_line(pooled.detections))
    if split.groups:
        groups = [name for i, name in enumerate(split.groups) if i not in failed]
        print(group_table(scores, groups, protocol))
    if options.output:
        values = as_json(scores, pooled, protocol) | {"failed": [split.names[i] for i in sorted(failed)]}
        _save_json(options.output / "metrics.json", values)
    if drawing:
        drawing.parent.mkdir(parents=True, exist_ok=True)
        draw_scenes(drawing, gallery.scenes)
    if missed is not None and options.output:
        missed.draw(options.output / "failures.png")
    if options.output and protocol.classes:
        draw_confusion(options.output / "confusion.png", protocol.classes, pooled.confusion)


def _pictured(count: int) -> Sequence[int]:
    """Returns the numbers of scenes to draw, spread over the split."""
    return np.linspace(0, count - 1, min(PICTURED_SCENES, count)).round().astype(int).tolist()


def _save_json(path: Path, values: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write_text(json.dumps(values, indent=1) + "\n")


@dataclass(frozen=True)
class SceneTask:
    """Segments the scenes of a split, as its protocol says."""

    model: str
    device: str
    dataset: str
    root: str
    split: str
    predictions: PredictionFolder

    def __call__(self) -> Callable[[int], None]:
        """Load the model; returns a function that segments a scene, given by its number in the split."""
        segmenter = Segmenter.load(self.model, self.device)
        segmenter.warm_up()
        split = open_split(self.dataset, self.root, self.split, segmenter.config.data.s3dis.area)
        protocol = protocol_of(self.dataset, split.manifest, segmenter.config)
        return partial(self.segment, segmenter, split, protocol)

    def segment(self, segmenter: Segmenter, split: Split, protocol: Protocol, number: int) -> None:
        """Save the instances of a scene."""
        scene = protocol.prepare(split[number])
        start = time.perf_counter()
        instances = protocol.segment(segmenter, scene, min_score=0.0)
        self.predictions.save(scene.name, instances, (time.perf_counter() - start) * MS_PER_SECOND)


def segmented(
    split: Split, protocol: Protocol, predictions: PredictionFolder, numbers: Sequence[int]
) -> Iterator[Segmented]:
    """Gives the scenes of those numbers with their instances, one after the other."""
    for number in numbers:
        scene = protocol.prepare(split[number])
        yield Segmented(scene, *predictions.load(scene.name))
