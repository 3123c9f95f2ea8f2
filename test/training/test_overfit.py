# SPDX-License-Identifier: Apache-2.0
"""Two simulated scenes are learned by heart: losses, targets, steps and inference work together."""

from dataclasses import replace

import numpy as np
import torch

from sphmask_core.clouds import scenes
from sphmask_core.config import load_config, override
from sphmask_core.evaluation.scoring import Gallery
from sphmask_core.simulation.scenes import simulate_cloud
from training.made import prepared
from training.phases import Phase
from training.runner import Runner
from training.scene import collate
from training.schedule import Steps
from training.validate import validate

CPU = torch.device("cpu")
SETTINGS = [
    "voxel_size=0.01",
    "supports=false",
    "model.channels=8",
    "model.levels=4",
    "model.query_dim=32",
    "model.mask_dim=16",
    "model.seeds=128",
    "train.queries=32",
    "inference.queries=32",
    "inference.min_points=10",
    "superpoints.min_voxels=10",
    "train.epochs=1",
    "train.warmup_steps=10",
    "train.lr=0.005",
    "train.ema=0.0",
    "loss.quality=5.0",
]
POINTWISE_STEPS, STEPS, CHECK_EVERY = 15, 160, 20
SMALLEST = 200
"""Points of the smallest object: those of less than 100 do not count for AP."""


def simple_scenes(count):
    """Simulated scenes of a few objects, all well in view."""
    chosen = []
    for seed in range(1000):
        cloud = simulate_cloud(seed, 160, 120)
        sizes = np.bincount(cloud.labels)[scenes.FIRST_OBJECT :]
        if 2 <= (sizes > 0).sum() <= 5 and sizes[sizes > 0].min() >= SMALLEST:
            chosen.append(scenes.Scene(f"simulated{seed}", cloud, *scenes.ground_truth(cloud.labels)))
            if len(chosen) == count:
                return chosen
    raise AssertionError("the simulation has no simple scenes")


def test_two_scenes_are_learned_by_heart(tmp_path):
    """The loss falls to a half, and AP50 reaches 1 by the way that users' clouds take."""
    config = override(load_config("tabletop"), SETTINGS)
    examples = simple_scenes(2)
    batch = collate([prepared(scene, config) for scene in examples], config.model)
    run = Runner(config, tmp_path, CPU)
    whole = Phase(run.config, False, Steps(STEPS, 1), 0, 0, 0)
    run.phases = [whole]
    losses, precisions = [], [0.0]
    while len(losses) < STEPS and not (precisions[-1] == 1 and losses[-1] < losses[POINTWISE_STEPS] / 2):
        for _ in range(CHECK_EVERY):
            pointwise_only = len(losses) < POINTWISE_STEPS
            phase = replace(whole, pointwise_only=pointwise_only)
            losses.append(sum(run.batch(batch, phase).values()))
        scores = validate(run.state.result, examples, CPU, Gallery(0), lambda: False)
        precisions.append(scores["AP50"])
    assert precisions[-1] == 1, precisions
    assert losses[-1] < losses[POINTWISE_STEPS] / 2
