# SPDX-License-Identifier: Apache-2.0
"""The rows of the model cards (docs/weights.md): a set of labeled scenes each.

python -m benchmarks.card tabletop --root mosd/learn --frames cameras/frames
python -m benchmarks.card rooms
"""

from __future__ import annotations

import argparse
from collections.abc import Iterable, Iterator
from pathlib import Path

from tqdm import tqdm

from sphmask_core.clouds.scenes import Scene, open_split
from sphmask_core.config import Config
from sphmask_core.evaluation.metrics import ClassScores
from sphmask_core.evaluation.protocol import Protocol
from sphmask_core.evaluation.scoring import Gallery, Scores, pool, score_scenes, segment_scenes
from sphmask_core.segmenter import Segmenter
from training.datasets.synthetic import simulate_meshes
from training.mixing import mixed_scenes

from .oracles import SIMULATED, SIMULATORS, protocol_of

MIXTURES = 24
MIXTURE_SEEDS = (101, 102)
SIMULATED_SCENES = {"rooms": 18, "street": 18}
"""Fresh simulated scenes by `data.dataset`."""
SIMULATED_TABLES = 40
HEADER = f"{'':24s} scenes      AP    AP50    AP25 overlap F  F>=0.75  precision  recall  objects"


def scene_sets(
    options: argparse.Namespace, config: Config
) -> Iterator[tuple[str, Iterable[Scene], Protocol]]:
    """Gives the sets of scenes by name, and how each is scored: real frames and their mixtures, where given,
    then simulated ones; only these have classes."""
    if options.root:
        frames = open_split("mosd", options.root, "val")
        yield "held-out frames", frames, Protocol()
        for seed in MIXTURE_SEEDS:
            yield f"their mixtures ({seed})", mixed_scenes(frames, MIXTURES, seed), Protocol()
    if options.frames:
        yield "other cameras", open_split("frames", options.frames, "all"), Protocol()
    simulate = SIMULATORS.get(config.data.dataset, simulate_meshes)
    count = SIMULATED_SCENES.get(config.data.dataset, SIMULATED_TABLES)
    yield "simulated", map(simulate, range(SIMULATED, SIMULATED + count)), protocol_of(config)


def scores_of(segmenter: Segmenter, scenes: Iterable[Scene], protocol: Protocol) -> tuple[Scores, int]:
    """Returns the scores over scenes, and how many there are."""
    segmented = segment_scenes(segmenter, tqdm(scenes, disable=None, unit="scene"), protocol, min_score=0.0)
    scenes_scores = score_scenes(segmented, protocol, segmenter.min_score, Gallery(0))
    return pool(scenes_scores, protocol), len(scenes_scores)


def row(name: str, count: int, precision: ClassScores, scores: Scores | None = None) -> str:
    """Returns a line of the table; with scores, it also says what is shown at the model's threshold."""
    line = f"{name:24s}{count:7d}{precision.ap:8.3f}{precision.ap50:8.3f}{precision.ap25:8.3f}"
    if scores is None:
        return line
    overlap, shown = scores.overlap, scores.detections
    line += f"{overlap['f']:10.3f}{overlap['share']:9.3f}"
    return line + f"{shown.precision:11.2f}{shown.recall:8.2f}{shown.objects:9d}"


def main() -> None:
    """Run the command line: print the table of the options' weights."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("model", help="a preset's name, or weights")
    parser.add_argument("--root", type=Path, help="folder of mOSD's labeled frames")
    parser.add_argument("--frames", type=Path, help="folder of labeled frames (.npz) of other cameras")
    options = parser.parse_args()
    segmenter = Segmenter.load(options.model, "cpu")
    print(HEADER)
    for name, scenes, protocol in scene_sets(options, segmenter.config):
        scores, count = scores_of(segmenter, scenes, protocol)
        print(row(name, count, scores.agnostic, scores), flush=True)
        if protocol.classes:
            print(row("  mean over the classes", count, scores.precision.mean), flush=True)


if __name__ == "__main__":
    main()
