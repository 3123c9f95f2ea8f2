# SPDX-License-Identifier: Apache-2.0
"""The published implementation's tensors of one scene, and the model that they come from.

They are looked for where conftest.py says; the fixture `golden` is their folder.
"""

from dataclasses import replace

import numpy as np
import torch

from sphmask_core.checkpoints.weights import load_state, read_published
from sphmask_core.config import Config, InferenceConfig, ModelConfig, TrainConfig
from sphmask_core.method.model import SphericalMask
from sphmask_core.method.parts import vote
from sphmask_core.method.query_sampling import Strategy
from sphmask_core.method.spherical import MIN_RAY
from sphmask_core.method.voxels import Points, voxelize

CLASSES = tuple(f"class{i}" for i in range(20))
CONFIG = Config(
    name="golden",
    semantic_classes=CLASSES,
    instance_classes=CLASSES[2:],
    voxel_size=0.04,
    model=ModelConfig(
        channels=16,
        levels=4,
        query_dim=32,
        seeds=256,
        neighbors=16,
        radius_scale=2.0,
        voxel_scale=25.0,
    ),
    inference=InferenceConfig(min_points=20),
    # what the published code draws without iterative sampling, whatever its setting
    train=TrainConfig(queries=256),
)


class PublishedDefects(Strategy):
    """Where the published code departs from its paper (docs/model.md, section 13)."""

    def query_centers(self, centers):
        """Centers are clamped to positive coordinates, as rays are."""
        return centers.clamp(min=MIN_RAY)

    def seed_superpoints(self, seeds, voxels, foreground):
        """Numbers among the foreground voxels' superpoints alone, which then stand for other superpoints."""
        return torch.searchsorted(torch.unique(voxels.superpoints[foreground]), seeds.superpoints)


RUNS = {
    "inference_single": (False, PublishedDefects()),
    "inference_iterative": (True, PublishedDefects()),
    "inference_single_fixed_center": (False, Strategy()),
}
"""Of each run whether queries are sampled in rounds, and its departures from the paper."""


def golden_model(golden, **inference):
    """The published weights, in a model with these settings of inference."""
    model = SphericalMask(replace(CONFIG, inference=replace(CONFIG.inference, **inference))).eval()
    path = golden / "reference_small.pth"
    load_state(model, read_published(path), path)
    return model


def golden_points(arrays):
    return Points(*(torch.from_numpy(arrays[name]) for name in ("xyz", "rgb", "superpoint")))


def open_run(golden, name):
    """Published arrays, model and voxels of a run."""
    arrays = np.load(golden / f"{name}.npz")
    model = golden_model(golden, iterative_sampling=RUNS[name][0])
    return arrays, model, voxelize([golden_points(arrays)], model.config.model.voxel_scale)


def assert_close(ours, published):
    np.testing.assert_allclose(ours.detach().numpy(), published, rtol=1e-4, atol=1e-4)


def assert_same_instances(instances, points, arrays, min_points):
    """The candidates, on the points' own superpoints, are the published instances; points (N,): segments."""
    superpoints = torch.from_numpy(arrays["superpoint"]).to(points.device)
    instances, columns = vote(instances, points, superpoints)
    masks = instances.masks[:, columns]
    large = masks.sum(1) >= min_points
    ours = instances.class_ids[large] + 1, instances.scores[large], masks[large]
    ours = in_order(*(field.cpu() for field in ours))
    published = np.unpackbits(arrays["inst_mask"], axis=1)[:, : len(arrays["xyz"])].astype(bool)
    published = in_order(arrays["inst_label"], arrays["inst_score"], published)
    assert np.array_equal(ours[0], published[0])
    np.testing.assert_allclose(ours[1], published[1], rtol=1e-4, atol=1e-4)
    assert np.array_equal(ours[2], published[2])


def in_order(labels, scores, masks):
    """By class, mask and score: the published order is that of an unsorted top k."""
    masks = np.asarray(masks)
    order = np.lexsort([scores, masks @ np.arange(masks.shape[1]), labels])
    return np.asarray(labels)[order], np.asarray(scores)[order], masks[order]
