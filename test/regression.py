# SPDX-License-Identifier: Apache-2.0
"""Regression tensors of our own: what the model says, stage by stage, of one small cloud.

    python -m test.regression

writes test/data/regression.npz anew, from whatever the code computes at the time: to be done only after a
change that is meant to change it. The cloud, its superpoints and its labels are in the file; the weights are
drawn by the names that the published code has for them, so that neither a new simulation nor new names of
modules change them. Agreement with the published implementation is the golden tests' business.
"""

import zlib
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch

from sphmask_core.clouds.scenes import ground_truth
from sphmask_core.config import InferenceConfig, LossConfig, ModelConfig, SuperpointConfig
from sphmask_core.method.candidates import assemble_masks
from sphmask_core.method.model import SphericalMask
from sphmask_core.method.preparation import prepare
from sphmask_core.method.query_sampling import InferenceSampling
from sphmask_core.method.rounds import find_instances
from sphmask_core.method.voxels import Points, voxelize
from sphmask_core.simulation.scenes import simulate_cloud
from test.helpers.published import published_name
from test.helpers.small import SMALL
from training.losses import Criterion
from training.scene import TrainingScene, collate
from training.targets import build_targets

FILE = Path(__file__).parent / "data" / "regression.npz"
SEED, WIDTH, HEIGHT = 4, 64, 48
VOXEL_SIZE = 0.02  # meters: some hundreds of voxels
CONFIG = replace(
    SMALL,
    semantic_classes=("table", "box", "ball"),
    instance_classes=("box", "ball"),
    voxel_size=VOXEL_SIZE,
    up="plane",
    model=ModelConfig(channels=8, levels=3, query_dim=16, mask_dim=8, seeds=64, neighbors=8),
    inference=InferenceConfig(min_points=1, queries=24, foreground_threshold=0.34),
    superpoints=SuperpointConfig(min_voxels=5),
    loss=LossConfig(quality=1.0),
    train=replace(SMALL.train, queries=16),
)


def make_inputs():
    """Points in model units, their superpoints and their labels, from a simulated frame."""
    cloud = simulate_cloud(SEED, WIDTH, HEIGHT)
    prepared = prepare(torch.from_numpy(cloud.xyz), torch.from_numpy(cloud.rgb), CONFIG)
    semantic, instance = ground_truth(cloud.labels[prepared.rows.numpy()])
    return {
        "xyz": prepared.points.xyz.numpy(),
        "rgb": cloud.rgb[prepared.rows.numpy()],
        "superpoints": prepared.point_superpoints.numpy().astype(np.int16),
        "semantic": np.where(instance >= 0, 1 + instance % 2, semantic).astype(np.int8),
        "instance": instance.astype(np.int8),
    }


def make_model(rounds):
    """A model whose weights depend on nothing but their published names and shapes."""
    model = SphericalMask(replace(CONFIG, inference=replace(CONFIG.inference, iterative_sampling=rounds)))
    state = {key: _drawn(published_name(key), value) for key, value in model.state_dict().items()}
    state["pointwise.semantic.3.weight"] *= 9  # some voxels are foreground, others are not
    state["pointwise.semantic.3.bias"][1] -= 1
    state["query_heads.classes.6.weight"] *= 9
    state["query_heads.classes.6.bias"][-1] -= 2  # most queries are objects
    state["query_heads.rays.6.bias"] += 0.4  # model units, as long as objects
    state["query_heads.confidence.6.bias"] += 0.5
    model.load_state_dict(state)
    return model


def _drawn(name, like):
    """Weights that keep the size of what passes, norms near the identity."""
    rng = np.random.default_rng(zlib.crc32(name.encode()))
    if name.endswith("num_batches_tracked"):
        return like
    values = rng.normal(size=tuple(like.shape))
    if like.dim() > 1:
        values *= (like.shape[0] / like.numel()) ** 0.5
    else:
        values = 0.1 * np.abs(values) + 1 if name.endswith(("weight", "running_var")) else 0.1 * values
    return torch.from_numpy(values.astype(np.float32))


def scene_of(inputs, rows=slice(None)):
    """The labeled cloud, or some of it."""
    wide = {name: inputs[name][rows].astype(np.int64) for name in ("superpoints", "semantic", "instance")}
    return TrainingScene(inputs["xyz"][rows], inputs["rgb"][rows].astype(np.float32) / 127.5 - 1, **wide)


@torch.inference_mode()
def infer(inputs, iterative):
    """Every stage of inference, in one round of queries or in several."""
    model, scene = make_model(iterative).eval(), scene_of(inputs)
    points = Points(*(torch.from_numpy(array) for array in (scene.xyz, scene.rgb, scene.superpoints)))
    voxels = voxelize([points], model.config.model.voxel_scale)
    rounds = list(model.predict(voxels, InferenceSampling(model.config)))
    encoding = rounds[0].encoding
    values = {"voxels.coords": voxels.coords, "voxels.points": voxels.point_to_voxel}
    values |= {"features": encoding.features, "foreground": encoding.foreground}
    values |= {f"pointwise.{name}": value for name, value in vars(encoding.pointwise).items()}
    values |= _tensors("superpoints", encoding.superpoints) | _tensors("seeds", rounds[0].seeds)
    for i, predictions in enumerate(rounds):
        queries, starts = predictions.queries, predictions.seeds.superpoints[predictions.rows[0]]
        values |= _tensors(f"queries{i}", queries) | {f"queries{i}.starts": starts}
        values[f"queries{i}.migration"] = queries.migration[0]
        values[f"queries{i}.masks"] = assemble_masks(queries, encoding.superpoints, 0, CONFIG.model.rays)
    instances = find_instances(model, voxels)
    return values | _tensors("instances", instances[_order(instances)])


def _order(instances):
    """By class, mask and score: candidates come out of a top k in no order."""
    masks = instances.masks.numpy() @ np.arange(instances.masks.shape[1])
    return torch.from_numpy(np.lexsort([instances.scores, masks, instances.class_ids]))


def _tensors(prefix, record):
    return {f"{prefix}.{name}": value for name, value in vars(record).items() if torch.is_tensor(value)}


def learn(inputs):
    """Every term of the loss and the norm of every gradient; the batch is the two halves of the cloud."""
    model = make_model(rounds=False).train()
    middle = np.median(inputs["xyz"][:, 0])
    sides = inputs["xyz"][:, 0] < middle, inputs["xyz"][:, 0] >= middle
    batch = collate([scene_of(inputs, side) for side in sides], CONFIG.model)
    targets = build_targets(
        batch.voxels, batch.semantic, batch.instance, CONFIG.class_shift, CONFIG.model.rays
    )
    terms = Criterion(CONFIG)(model(batch.voxels), batch.voxels, targets)
    torch.stack(list(terms.values())).sum().backward()
    for prefix in ("", "aux_"):  # one term until each had a weight of its own
        terms[f"{prefix}radial"] = terms[f"{prefix}radial"] + terms.pop(f"{prefix}margin")
    norms = {published_name(name): p.grad.norm() for name, p in model.named_parameters()}
    return {f"loss.{name}": term.detach() for name, term in terms.items()} | {
        f"gradient.{name}": norm for name, norm in norms.items()
    }


def outputs(inputs):
    """All that the file holds beside the inputs."""
    outcomes = {f"single.{name}": value for name, value in infer(inputs, iterative=False).items()}
    outcomes |= {f"rounds.{name}": value for name, value in infer(inputs, iterative=True).items()}
    shared = [name for name in outcomes if name.startswith("rounds.") and "queries" not in name]
    outcomes = {name: value for name, value in outcomes.items() if name not in shared or "instances" in name}
    return {name: value.numpy() for name, value in (outcomes | learn(inputs)).items()}


if __name__ == "__main__":
    made = make_inputs()
    FILE.parent.mkdir(exist_ok=True)
    np.savez_compressed(FILE, **{f"input.{name}": array for name, array in made.items()}, **outputs(made))
    print(f"{FILE}: {FILE.stat().st_size / 1000:.0f} kB")
