# SPDX-License-Identifier: Apache-2.0
"""The command line: sphmask segment | eval | convert | bench | info."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import torch

from sphmask_core.checkpoints.convert import convert
from sphmask_core.clouds.cloud import CloudError, read_cloud
from sphmask_core.clouds.scenes import Split, open_split
from sphmask_core.commands.bench import cloud_levels, measure, measure_machine, measurements, simulated_clouds
from sphmask_core.commands.engines import Failure, open_engine
from sphmask_core.commands.evaluate import Predictions, SceneTask, segmented
from sphmask_core.commands.options import make_parser
from sphmask_core.commands.peers import compare_convolutions
from sphmask_core.commands.results import summary
from sphmask_core.commands.segment import SegmentTask, clouds_of, settings_of
from sphmask_core.config import Config
from sphmask_core.evaluation.protocol import Protocol, protocol_of
from sphmask_core.evaluation.report import as_json, class_table, scene_table
from sphmask_core.evaluation.scoring import Gallery, Segmented, evaluate, pool
from sphmask_core.evaluation.submission import Submission
from sphmask_core.pictures.confusion import draw_confusion
from sphmask_core.pictures.draw import draw_scenes
from sphmask_core.pictures.failures import Failures
from sphmask_core.runtime.files import replacing
from sphmask_core.segmenter import Segmenter

BAD_INPUT = 2
INTERRUPTED = 130
BROKEN_PIPE = 141
PICTURED_SCENES = 6
PICTURED_FAILURES = 24


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; bad input gives one line on stderr and exit code 2."""
    runs = {"segment": _segment, "eval": _evaluate, "convert": _convert, "bench": _bench, "info": _info}
    options = make_parser(runs).parse_args(arguments)
    try:
        return int(options.run(options))
    except BrokenPipeError:  # whoever read our output has gone: `sphmask ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (ValueError, OSError, MemoryError, ModuleNotFoundError) as error:
        _complain(str(error) or "out of memory")
        return BAD_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED


def _segment(options: argparse.Namespace) -> int:
    """Segment every cloud; a bad one is reported and the others still done."""
    clouds = clouds_of(options.clouds)
    if options.engine != "local":  # workers have folders of their own
        clouds = [path.absolute() for path in clouds]
    if not clouds:
        return _segment_bag(options.clouds[0], options)
    _check_outputs(clouds)
    _check_pictures(options.png)
    if options.topic:
        raise ValueError(f"--topic {options.topic}: is for bags")
    engine = open_engine(options.engine, options.workers, options.device)
    segmenter, min_score = _load(options)
    output = options.output.absolute()
    settings = settings_of(segmenter, min_score=min_score)
    task = SegmentTask(options.model, options.device, min_score, output, options.png, settings)
    waiting = [path for path in clouds if not (options.resume and task.is_done(path))]
    output.mkdir(parents=True, exist_ok=True)
    failed = 0
    for _, result in _shown(engine(task, waiting), len(waiting)):
        if isinstance(result, Failure):
            failed += 1
            _complain(result.reason)
        else:
            print(result, flush=True)
    if len(clouds) > 1 and (failed or len(waiting) < len(clouds)):
        done = len(waiting) - failed
        print(f"{len(clouds)} clouds: {done} segmented, {len(clouds) - len(waiting)} before, {failed} failed")
    return BAD_INPUT if failed else 0


def _segment_bag(path: Path, options: argparse.Namespace) -> int:
    """Write the bag with what was found beside its topics; a bad cloud is reported and left empty."""
    if options.png or options.resume or options.engine != "local":
        raise ValueError(f"{path}: is a bag; --png, --resume and --engine are for cloud files")
    if find_spec("rosbags") is None or find_spec("mcap") is None:
        raise ModuleNotFoundError("bags need two libraries: pip install 'sphmask[bags]'")
    from sphmask_core.bags.segment import segment_bag

    segmenter, min_score = _load(options)
    status = 0
    for frame in segment_bag(segmenter, path, options.output, options.topic, min_score):
        name = f"{frame.stamp / 1e9:.3f} s"
        if frame.problem:
            _complain(f"{path}: cloud of {name}: {frame.problem}")
            status = BAD_INPUT
        else:
            print(f"{name}: {frame.points} points, {summary(frame.found)}", flush=True)
    return status


def _check_outputs(clouds: Sequence[Path]) -> None:
    stems = Counter(path.stem for path in clouds)
    twice, count = stems.most_common(1)[0]
    if count > 1:
        raise CloudError(
            f"{twice}: two clouds have this name and would write the same files; do one at a time"
        )


def _check_pictures(wanted: bool) -> None:
    if wanted and find_spec("PIL") is None:
        raise ModuleNotFoundError("pictures need pillow: pip install 'sphmask[view]'")


def _load(options: argparse.Namespace) -> tuple[Segmenter, float]:
    """The model, and the score threshold: the one given, or its own."""
    segmenter = Segmenter.load(options.model, options.device)
    min_score = options.min_score
    if min_score is None:
        min_score = segmenter.min_score
    if not 0 <= min_score <= 1:
        raise ValueError(f"--min-score {min_score}: must be from 0 to 1")
    return segmenter, min_score


def _evaluate(options: argparse.Namespace) -> int:
    """Score a split; AP takes every instance, overlap and picture those from the score threshold on."""
    _check_pictures(bool(options.picture or options.output))
    if not options.output and (options.resume or options.engine != "local"):
        raise ValueError("--resume and --engine ray need -o: it keeps what is found in each scene")
    segmenter, min_score = _load(options)
    split = open_split(options.dataset, options.root, options.split, segmenter.config.data.s3dis.area)
    protocol = protocol_of(options.dataset, split.manifest, segmenter.config)
    submission = options.submission and Submission.of(split, segmenter.config, options.submission)
    with TemporaryDirectory() as temporary:
        predictions = Predictions(Path(options.output or temporary).absolute() / "predictions")
        failed = _find_in_scenes(options, split, predictions, settings_of(segmenter))
        found = segmented(split, protocol, predictions, [i for i in range(len(split)) if i not in failed])
        if submission:
            found = submission.write_all(found)
        _score(options, split, protocol, found, min_score, failed)
    return BAD_INPUT if failed else 0


def _find_in_scenes(
    options: argparse.Namespace, split: Split, predictions: Predictions, settings: dict[str, Any]
) -> set[int]:
    """Segment the scenes that are not done yet; the numbers of those that cannot be."""
    engine = open_engine(options.engine, options.workers, options.device)
    root = str(Path(options.root).absolute())
    predictions.open(settings | {"dataset": options.dataset, "root": root}, options.resume)
    task = SceneTask(options.model, options.device, options.dataset, root, options.split, predictions)
    waiting = [i for i, name in enumerate(split.names) if not predictions.has(name)]
    failed = set()
    for number, result in _shown(engine(task, waiting), len(waiting)):
        if isinstance(result, Failure):
            failed.add(waiting[number])
            _complain(f"{split.names[waiting[number]]}: {result.reason}")
    if len(failed) == len(split):
        raise ValueError("no scene could be segmented")
    return failed


def _score(
    options: argparse.Namespace,
    split: Split,
    protocol: Protocol,
    found: Iterator[Segmented],
    min_score: float,
    failed: set[int],
) -> None:
    """Print and save what the scenes score."""
    drawing = options.picture or (options.output and options.output / "scenes.png")
    missing = f" ({len(failed)} of them failed and are left out)" if failed else ""
    print(f"{options.model} on {options.dataset} {options.split}: {len(split)} scenes{missing}")
    if not split.labeled:
        print(f"no labels: {sum(1 for _ in found)} scenes segmented, none scored")
        return
    gallery = Gallery(PICTURED_SCENES if drawing else 0, None if split.manifest else _pictured(len(split)))
    failures = Failures(PICTURED_FAILURES) if drawing else None
    scores = evaluate(found, protocol, min_score, gallery, failures)
    pooled = pool(scores, protocol)
    print(f"AP: all instances; overlap: those with a score of at least {min_score:g}")
    print(class_table(pooled, protocol) if protocol.classes else scene_table(scores, pooled))
    if options.output:
        values = as_json(scores, pooled, protocol) | {"failed": [split.names[i] for i in sorted(failed)]}
        _save_json(options.output / "metrics.json", values)
    if drawing:
        drawing.parent.mkdir(parents=True, exist_ok=True)
        draw_scenes(drawing, gallery.scenes)
    if failures is not None and failures.worst and options.output:
        failures.draw(options.output / "failures.png")
    if options.output and protocol.classes:
        draw_confusion(options.output / "confusion.png", protocol.classes, pooled.confusion)


def _pictured(count: int) -> Sequence[int]:
    """Scenes spread over the split."""
    return np.linspace(0, count - 1, min(PICTURED_SCENES, count)).round().astype(int).tolist()


def _save_json(path: Path, values: dict[str, Any]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with replacing(path) as file:
        file.write_text(json.dumps(values, indent=1) + "\n")


def _convert(options: argparse.Namespace) -> int:
    print(convert(options.checkpoint, options.config, options.output, options.half))
    return 0


def _bench(options: argparse.Namespace) -> int:
    if options.repeats < 1 or options.threads < 1:
        raise ValueError("--repeats and --threads must be at least 1")
    torch.set_num_threads(options.threads)
    clouds = [(path.name, read_cloud(path)) for path in options.clouds] or simulated_clouds()
    segmenter = Segmenter.load(options.model, options.device)
    print(f"{options.model} on {segmenter.device}, {options.threads} threads, {options.repeats} runs a cloud")
    found = [measure(segmenter, name, cloud, options.repeats) for name, cloud in clouds]
    print(measurements(found, measure_machine(segmenter.device)))
    if options.peers:
        levels = cloud_levels(segmenter, clouds[0][1])
        print("\n".join(["", *compare_convolutions(levels, segmenter.config.model.channels)]))
    return 0


def _info(options: argparse.Namespace) -> int:
    segmenter = Segmenter.load(options.model, "cpu")
    parameters = sum(value.numel() for value in segmenter.model.parameters())
    print(_description(segmenter.config, parameters))
    return 0


def _description(config: Config, parameters: int) -> str:
    model, inference = config.model, config.inference
    size = f"{parameters / 1e6:.2f} M parameters, {model.levels} levels, {model.channels} channels"
    facts = {
        "name": config.name,
        "instances of": ", ".join(config.instance_classes),
        "other classes": ", ".join(config.semantic_classes[: config.class_shift]) or "none",
        "voxels": f"{config.voxel_size * 1e3:g} mm",
        "vertical": "z" if config.up == "z" else "normal of the largest plane",
        "network": f"{size}, {model.rays[0]} x {model.rays[1]} rays",
        "points": f"at least {inference.min_points} an instance",
        "score": f"at least {inference.min_score:g}, {inference.nms} NMS",
    }
    return "\n".join(f"{name + ':':<15}{value}" for name, value in facts.items())


def _shown(results: Iterator[tuple[int, Any]], count: int) -> Iterator[tuple[int, Any]]:
    """The results, with a bar on a terminal's stderr when there are several."""
    shown = count > 1 and sys.stderr.isatty()
    for done in range(count + 1):
        if shown:
            bar = "#" * (30 * done // count)
            print(f"\r[{bar:<30}] {done}/{count}", end="", file=sys.stderr, flush=True)
        result = next(results, None)
        if shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
        if result is not None:
            yield result


def _complain(reason: str) -> None:
    print(f"sphmask: {' '.join(reason.split())}", file=sys.stderr)
