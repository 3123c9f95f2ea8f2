# SPDX-License-Identifier: Apache-2.0
"""Where the time of a training step goes, and AdamW fused beside AdamW as a loop: on simulated scenes.

python -m benchmarks.train_step [PRESET] [--device cpu] [--scenes 2] [--repeats 5] [--set KEY=VALUE ...]
"""

from __future__ import annotations

import argparse
import copy
from collections.abc import Callable
from functools import partial

import numpy as np
import torch

from benchmarks.measure import print_ratios, side_by_side, wall_ms
from sphmask_core.config import Config, load_config, override
from sphmask_core.method.model import SphericalMask
from sphmask_core.simulation.scenes import simulate_plain_room
from training.augment import augment
from training.datasets import synthetic
from training.initialize import initialize
from training.losses import Criterion, enough_foreground
from training.made import thinned
from training.outlook import peak_memory
from training.scene import Batch, TrainingScene, collate
from training.targets import build_targets

LR = 1e-3
"""Learning rate; which one makes no difference to the time."""


class Step:
    """One batch through a model, part by part; each part works on what the one before left."""

    def __init__(self, config: Config, scenes: list[TrainingScene], device: torch.device) -> None:
        self.config, self.scenes, self.device = config, scenes, device
        self.model = SphericalMask(config).to(device).train()
        initialize(self.model, config)
        self.criterion = Criterion(config)
        self.batch = self.load()

    def load(self) -> Batch:
        """Augment and voxelize, as the loader's workers do."""
        rng = np.random.default_rng(0)
        voxel = 1 / self.config.model.voxel_scale
        varied = [augment(scene, self.config.augment, voxel, rng) for scene in self.scenes]
        return collate(varied, self.config.model).to(self.device)

    def forward(self) -> None:
        """Run the network."""
        self.predictions = self.model(self.batch.voxels, has_foreground=enough_foreground)

    def lose(self) -> None:
        """Compute targets, matching and loss."""
        batch, config = self.batch, self.config
        targets = build_targets(
            batch.voxels, batch.semantic, batch.instance, config.class_shift, config.model.rays
        )
        terms = self.criterion(self.predictions, batch.voxels, targets)
        self.loss = torch.stack(list(terms.values())).sum()

    def backward(self) -> None:
        """Compute the gradients; the graph is kept so that the part can be repeated."""
        self.loss.backward(retain_graph=True)

    def optimizer(self, fused: bool) -> Callable[[], object]:
        """Returns a call that takes a step of AdamW on a copy of the weights."""
        parameters = [p for p in copy.deepcopy(self.model).parameters() if p.requires_grad]
        for parameter in parameters:
            parameter.grad = torch.randn_like(parameter)
        return torch.optim.AdamW(parameters, LR, fused=fused).step

    def synchronized(self, part: Callable[[], object]) -> None:
        """Run a part and wait until the device has done it."""
        part()
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("preset", nargs="?", default="tabletop", help="tabletop or scannetv2")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--scenes", type=int, default=2, help="of the batch (%(default)s)")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--set", nargs="+", action="extend", default=[], metavar="KEY=VALUE")
    asked = parser.parse_args()
    torch.manual_seed(0)
    config = override(load_config(asked.preset), asked.set)
    make = simulate_plain_room if config.name == "scannetv2" else synthetic.simulate_shapes
    scenes = [thinned(make(seed), config) for seed in range(asked.scenes)]
    step = Step(config, scenes, torch.device(asked.device))
    parts: dict[str, Callable[[], object]] = {"load": step.load, "forward": step.forward}
    parts |= {"targets and loss": step.lose, "backward": step.backward}
    calls = {name: partial(step.synchronized, part) for name, part in parts.items()}
    calls["optimizer, fused"] = partial(step.synchronized, step.optimizer(fused=True))
    calls["optimizer, a loop"] = partial(step.synchronized, step.optimizer(fused=False))
    times = side_by_side(calls, asked.repeats, wall_ms)
    whole = sum(times.values()) - times["optimizer, a loop"]
    print(f"{len(step.batch.voxels.coords):,} voxels of {asked.scenes} scenes, {asked.device}")
    for name in parts:
        print(f"{name:18s} {times[name]:9.1f} ms {times[name] / whole:6.1%}")
    print_ratios("AdamW", {name: times[f"optimizer, {name}"] for name in ("fused", "a loop")})
    print(f"a step {whole:.1f} ms, {peak_memory(step.device)} of memory")


if __name__ == "__main__":
    main()
