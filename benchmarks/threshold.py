# SPDX-License-Identifier: Apache-2.0
"""The score threshold at which what is shown is best: precision, recall and F1 over labeled scenes.

A preset's `inference.min_score` is the threshold of best F1 on scenes that neither trained it nor test it.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
from tqdm import tqdm

from sphmask_core.clouds.scenes import Scene, open_split
from sphmask_core.evaluation.detections import Detections, add, detections
from sphmask_core.evaluation.protocol import Protocol
from sphmask_core.segmenter import Segmenter
from training.datasets.synthetic import simulate_meshes
from training.mixing import mixed_scenes

THRESHOLDS = np.linspace(0.05, 0.95, 19)
SIMULATED = 7_000_000
"""Seed of the first simulated scene: no training has seen it."""


def wanted_scenes(options: argparse.Namespace) -> Iterator[Scene]:
    """Gives the scenes that the options name."""
    if options.root:
        frames = open_split("mosd", options.root, options.split)
        yield from frames
        yield from mixed_scenes(frames, options.mixed, options.seed)
    if options.frames:
        yield from open_split("frames", options.frames, "all")
    yield from map(simulate_meshes, range(SIMULATED, SIMULATED + options.simulated))


def count(segmenter: Segmenter, scenes: Iterable[Scene]) -> list[Detections]:
    """Returns what is shown at each of `THRESHOLDS`, over all scenes."""
    protocol = Protocol()
    parts: list[list[Detections]] = [[] for _ in THRESHOLDS]
    for scene in tqdm(scenes, disable=None, unit="scene"):
        scan = protocol.scan(scene, protocol.segment(segmenter, scene, min_score=0.0))
        for part, threshold in zip(parts, THRESHOLDS, strict=True):
            part.append(detections(scan, protocol.shift, threshold, protocol.min_region))
    return [add(part) for part in parts]


def f1(detections: Detections) -> float:
    """Returns the harmonic mean of precision and recall."""
    return 2 * detections.precision * detections.recall / max(detections.precision + detections.recall, 1e-9)


def main() -> None:
    """Print the table and the best threshold."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", default="tabletop")
    parser.add_argument("--root", type=Path, help="folder of mOSD")
    parser.add_argument("--split", default="val", choices=("train", "val", "all"))
    parser.add_argument("--mixed", type=int, default=24, help="mixtures of the split's frames")
    parser.add_argument("--seed", type=int, default=7, help="of the mixtures (default: %(default)s)")
    parser.add_argument("--frames", type=Path, help="folder of labeled frames (.npz)")
    parser.add_argument("--simulated", type=int, default=0, help="simulated scenes of meshes")
    options = parser.parse_args()
    counts = count(Segmenter.load(options.model, "cpu"), wanted_scenes(options))
    print(f"{'score':>6}{'precision':>11}{'recall':>8}{'F1':>7}{'shown':>7}{'objects':>9}")
    for threshold, part in zip(THRESHOLDS, counts, strict=True):
        print(
            f"{threshold:6.2f}{part.precision:11.3f}{part.recall:8.3f}{f1(part):7.3f}"
            f"{part.shown:7d}{part.objects:9d}"
        )
    print(f"best F1 at {THRESHOLDS[int(np.argmax([f1(part) for part in counts]))]:.2f}")


if __name__ == "__main__":
    main()
