# SPDX-License-Identifier: Apache-2.0
"""The command line: sphmask segment | eval | convert | bench | info."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sphmask_core.bench import cloud_levels, measure, measure_machine, measurements, simulated_clouds
from sphmask_core.cloud import CloudError, read_cloud
from sphmask_core.config import Config
from sphmask_core.convert import convert
from sphmask_core.draw import draw_scenes
from sphmask_core.evaluation import Gallery, evaluate, pool, segment_scenes
from sphmask_core.files import replacing
from sphmask_core.peers import compare_convolutions
from sphmask_core.protocol import protocol_of
from sphmask_core.report import as_json, class_table, scene_table
from sphmask_core.results import summary, table, write_results
from sphmask_core.scenes import DATASETS, open_split
from sphmask_core.segmenter import Segmenter
from sphmask_core.submission import Submission

BAD_INPUT = 2
INTERRUPTED = 130
BROKEN_PIPE = 141
PICTURED_SCENES = 6


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command; bad input gives one line on stderr and exit code 2."""
    options = _parser().parse_args(arguments)
    try:
        return int(options.run(options))
    except BrokenPipeError:  # whoever read our output has gone: `sphmask ... | head`
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except (ValueError, OSError, MemoryError, ModuleNotFoundError) as error:
        _complain(error)
        return BAD_INPUT
    except KeyboardInterrupt:
        return INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="sphmask", description="Object instances from point clouds.")
    commands = parser.add_subparsers(required=True, metavar="segment | eval | convert | bench | info")
    segment = commands.add_parser("segment", help="find the instances of point clouds")
    segment.add_argument("clouds", nargs="+", type=Path, metavar="CLOUD", help=".pcd, .ply, .npz, .npy, .bin")
    segment.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="where results go")
    segment.add_argument("--png", action="store_true", help="write a picture of each result, too")
    _add_model(segment)
    _add_min_score(segment)
    segment.set_defaults(run=_segment)
    evaluate = commands.add_parser("eval", help="score a model on labelled scenes")
    evaluate.add_argument("--dataset", choices=DATASETS, default=DATASETS[0])
    evaluate.add_argument("--root", required=True, metavar="DIR", help="folder of the data set")
    evaluate.add_argument("--split", default="val", help="train, val, test, all, or an area of S3DIS")
    evaluate.add_argument("-o", "--output", type=Path, metavar="DIR", help="save metrics.json and scenes.png")
    evaluate.add_argument(
        "--submission", type=Path, metavar="DIR", help="write what ScanNet's benchmark server takes"
    )
    evaluate.add_argument("--picture", type=Path, metavar="FILE", help="draw six scenes beside their labels")
    _add_model(evaluate)
    _add_min_score(evaluate)
    evaluate.set_defaults(run=_evaluate)
    importer = commands.add_parser("convert", help="turn a published checkpoint into weights of our own")
    importer.add_argument(
        "checkpoint", type=Path, metavar="CHECKPOINT", help="of Spherical Mask or ISBNet, .pth"
    )
    importer.add_argument("--config", required=True, metavar="NAME|FILE", help="preset, or .yaml file")
    importer.add_argument("-o", "--output", type=Path, required=True, metavar="FILE", help=".safetensors")
    importer.add_argument("--half", action="store_true", help="store matrices as float16, half the size")
    importer.set_defaults(run=_convert)
    bench = commands.add_parser("bench", help="measure time and memory by stage")
    bench.add_argument("clouds", nargs="*", type=Path, metavar="CLOUD", help="default: simulated frames")
    bench.add_argument("--repeats", type=int, default=5, help="runs of each cloud (%(default)s)")
    bench.add_argument("--threads", type=int, default=torch.get_num_threads(), help="default: %(default)s")
    bench.add_argument("--peers", action="store_true", help="compare with plain torch and spconv, too")
    _add_model(bench)
    bench.set_defaults(run=_bench)
    info = commands.add_parser("info", help="say what a model is")
    info.add_argument("model", metavar="MODEL", help="a preset's name, or a path to weights")
    info.set_defaults(run=_info)
    return parser


def _add_model(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--model", default="tabletop", help="a preset's name, or a path to weights")
    parser.add_argument("--device", default="auto", help="auto, cpu or cuda")


def _add_min_score(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--min-score", type=float, metavar="S", help="drop instances below (default: the model's)"
    )


def _segment(options: argparse.Namespace) -> int:
    """Segment every cloud; a bad one is reported and the others still done."""
    _check_outputs(options.clouds)
    _check_pictures(options.png)
    segmenter, min_score = _load(options)
    segmenter.min_score = min_score
    options.output.mkdir(parents=True, exist_ok=True)
    status = 0
    for i in _progress([path.name for path in options.clouds]):
        path = options.clouds[i]
        try:
            line = _segment_one(segmenter, path, options)
        except (CloudError, OSError) as error:
            _complain(error)
            status = BAD_INPUT
            continue
        print(line, flush=True)
    return status


def _segment_one(segmenter: Segmenter, path: Path, options: argparse.Namespace) -> str:
    """Write the results of one cloud; what there is to print about them."""
    cloud = read_cloud(path)
    try:
        found = segmenter(cloud.xyz, cloud.rgb)
    except (ValueError, MemoryError, torch.OutOfMemoryError) as error:
        raise CloudError(f"{path}: {_one_line(error)}") from error
    write_results(options.output, path, cloud, found, options.png)
    return f"{path.name}: {len(cloud.xyz)} points, {summary(found)}{table(found)}"


def _check_outputs(clouds: Sequence[Path]) -> None:
    stems = [path.stem for path in clouds]
    twice = next((stem for stem in stems if stems.count(stem) > 1), None)
    if twice is not None:
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
    drawing = options.picture or (options.output and options.output / "scenes.png")
    _check_pictures(drawing is not None)
    segmenter, min_score = _load(options)
    segmenter.min_score = 0.0
    split = open_split(options.dataset, options.root, options.split, segmenter.config.train.area)
    protocol = protocol_of(options.dataset, split.manifest, segmenter.config)
    found = segment_scenes(segmenter, (split[i] for i in _progress(split.names)), protocol)
    if options.submission:
        found = Submission.of(split, segmenter.config, options.submission).write_all(found)
    print(f"{options.model} on {options.dataset} {options.split}: {len(split)} scenes")
    if not split.labelled:
        print(f"no labels: {sum(1 for _ in found)} scenes segmented, none scored")
        return 0
    gallery = Gallery(PICTURED_SCENES if drawing else 0, None if split.manifest else _pictured(len(split)))
    scores = evaluate(found, protocol, min_score, gallery)
    pooled = pool(scores, protocol)
    print(f"AP: all instances; overlap: those with a score of at least {min_score:g}")
    print(class_table(pooled, protocol) if protocol.classes else scene_table(scores, pooled))
    if options.output:
        _save_json(options.output / "metrics.json", as_json(scores, pooled, protocol))
    if drawing:
        drawing.parent.mkdir(parents=True, exist_ok=True)
        draw_scenes(drawing, gallery.scenes)
    return 0


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
    size = f"{parameters / 1e6:.2f} M parameters, {model.num_blocks} levels, {model.channels} channels"
    facts = {
        "name": config.name,
        "instances of": ", ".join(config.instance_classes),
        "other classes": ", ".join(config.semantic_classes[: config.class_shift]) or "none",
        "voxels": f"{config.voxel_size * 1e3:g} mm",
        "vertical": "z" if config.up == "z" else "normal of the largest plane",
        "network": f"{size}, {model.rays[0]} x {model.rays[1]} rays",
        "points": f"at least {inference.npoint_thresh} an instance",
        "score": f"at least {inference.min_score:g}, {inference.type_nms} NMS",
    }
    return "\n".join(f"{name + ':':<15}{value}" for name, value in facts.items())


def _progress(names: Sequence[str]) -> Iterator[int]:
    """Numbers of the names, with a bar on a terminal's stderr when there are several."""
    shown = len(names) > 1 and sys.stderr.isatty()
    for i, name in enumerate(names):
        if shown:
            done = "#" * (30 * i // len(names))
            print(f"\r[{done:<30}] {i}/{len(names)} {name:<30.30}", end="", file=sys.stderr, flush=True)
        yield i
        if shown:
            print("\r\033[K", end="", file=sys.stderr, flush=True)


def _complain(error: BaseException) -> None:
    print(f"sphmask: {_one_line(error)}", file=sys.stderr)


def _one_line(error: BaseException) -> str:
    return " ".join(str(error).split()) or "out of memory"
