# SPDX-License-Identifier: Apache-2.0
"""Recipes side by side on simulated rooms with ScanNet's classes, from scratch: AP in validation.

python -m benchmarks.recipes elastic [--seeds 3] [--epochs 40]     what elastic distortion moves
python -m benchmarks.recipes phases  [--seeds 1] [--epochs 40]     the recipe of before, the published phases
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import torch

from sphmask_core.clouds.scenes import Scene
from sphmask_core.config import Config, load_config, override
from sphmask_core.simulation.scenes import simulate_plain_room
from training import log
from training.augment import elastic
from training.made import MadeScenes, Maker, made_clouds, made_scenes
from training.runner import Runner
from training.scene import TrainingScene

ROOMS = 1
"""Version of the simulated rooms."""
FIRST_TRAINED, FIRST_VALIDATED = 0, 1000
"""Seeds of the rooms."""
SMALL = [
    "voxel_size=0.04",
    "model.voxel_scale=25",
    "model.channels=16",
    "model.levels=5",
    "model.query_dim=64",
    "model.seeds=512",
    "model.neighbors=16",
    "train.queries=128",
    "inference.queries=128",
    "inference.iterative_sampling=false",
    "inference.min_points=20",
    "train.batch_size=1",
    "train.repeats=1",
    "train.accumulate=1",
    "train.lr=2e-3",
    "train.clip_grad=10",
    "train.log_every=0",
    "train.validate_every=1000",
    "train.backbone.batch_size=1",
    "train.backbone.repeats=1",
    "train.backbone.lr=0",
]
"""ScanNet's preset, small enough for a CPU."""


@dataclass(frozen=True)
class Distorted(Sequence[TrainingScene]):
    """Scenes that were moved themselves, as an earlier version did: their targets move with them."""

    scenes: MadeScenes
    config: Config
    rng: np.random.Generator

    def __getitem__(self, index: Any) -> Any:
        scene, voxel = self.scenes[index], 1 / self.config.model.voxel_scale
        xyz = scene.xyz
        for granularity, magnitude in self.config.augment.elastic:
            xyz = elastic(xyz, granularity * voxel, magnitude * voxel, self.rng)
        return replace(scene, xyz=xyz)

    def __len__(self) -> int:
        return len(self.scenes)


def train(
    config: Config, scenes: Sequence[TrainingScene], validation: Sequence[Scene], folder: Path
) -> Runner:
    """Returns a run at its end."""
    data = SimpleNamespace(load_scenes=lambda *_: scenes, load_raw=lambda *_: validation)
    run = Runner(config, folder, torch.device("cpu"), data)
    run.start(resume=False)
    if run.run():
        sys.exit("stopped before its last epoch, the one that is scored")
    return run


def variants_of_elastic(config: Config, scenes: MadeScenes, epochs: int) -> Iterable[tuple[str, Config, Any]]:
    """The backbone for a third of the epochs, then everything."""
    settings = [f"train.epochs={epochs}", f"train.backbone.epochs={epochs // 3}", "train.step_epoch=0"]
    config = override(config, settings)
    still = override(config, ["augment.elastic=[]"])
    yield "moves all coordinates and targets", still, Distorted(scenes, config, np.random.default_rng(0))
    yield "moves voxel coordinates alone", config, scenes
    yield "none", still, scenes


def variants_of_phases(config: Config, scenes: MadeScenes, epochs: int) -> Iterable[tuple[str, Config, Any]]:
    """The preset's recipe of before, and the published one, with about as many visits of scenes."""
    settings = [f"train.epochs={epochs - epochs // 6}", f"train.backbone.epochs={epochs // 6}"]
    before = [*settings, f"train.backbone.step_epoch={epochs}", "train.step_epoch=0", "train.accumulate=4"]
    yield "before: one rate, few steps", override(config, before), scenes
    visits = [f"train.backbone.epochs={epochs // 8}", "train.backbone.repeats=4", "train.backbone.lr=4e-3"]
    visits += [f"train.backbone.step_epoch={epochs // 20}", f"train.epochs={max(epochs // 2, 1)}"]
    after = [*visits, f"train.step_epoch={epochs // 12}", "train.accumulate=4", "train.backbone.accumulate=1"]
    yield "published phases", override(config, after), scenes


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("what", choices=("elastic", "phases"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=40)
    parser.add_argument("--rooms", type=int, default=12)
    parser.add_argument("--validation", type=int, default=6)
    parser.add_argument("--only", nargs="+", metavar="TEXT", help="variants whose name has one of these")
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    asked = parser.parse_args()
    config = override(load_config("scannetv2"), [*SMALL, *asked.set])
    maker = Maker("room", simulate_plain_room, {"version": ROOMS})
    scenes = made_scenes(maker, range(FIRST_TRAINED, FIRST_TRAINED + asked.rooms), config)
    validation = made_clouds(maker, range(FIRST_VALIDATED, FIRST_VALIDATED + asked.validation), config)
    variants = variants_of_elastic if asked.what == "elastic" else variants_of_phases
    for seed in range(asked.seeds):
        for name, variant, data in variants(config, scenes, asked.epochs):
            if asked.only and not any(text in name for text in asked.only):
                continue
            with tempfile.TemporaryDirectory() as folder:
                chosen = override(variant, [f"train.seed={seed}"])
                ap = log.read(train(chosen, data, validation, Path(folder)).log_file)[-1]["AP"]
            print(f"seed {seed}, {name}: AP {ap:.3f}", flush=True)


if __name__ == "__main__":
    main()
