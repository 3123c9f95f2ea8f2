# SPDX-License-Identifier: Apache-2.0
"""A small model whose instances are balls around its queries: results without training, in milliseconds."""

from dataclasses import replace

import torch

from sphmask_core.config import InferenceConfig
from sphmask_core.method.model import SphericalMask
from test.helpers.small import SMALL

CONFIG = replace(
    SMALL,
    name="balls",
    voxel_size=0.0075,
    up="plane",
    model=replace(SMALL.model, seeds=256),
    inference=InferenceConfig(min_points=20, queries=16, iterative_sampling=False),
)


def balls():
    """Weights by hand: everything is foreground, every query an object of radius 0.4 model units, 15 cm."""
    torch.manual_seed(0)
    model = SphericalMask(CONFIG)
    heads = model.query_heads
    biases = {
        model.pointwise.semantic: [0.0, 5.0],
        heads.classes: [5.0, 0.0],
        heads.confidence: [0.9],
        heads.center: [0.0] * 3,
        heads.rays: [0.4] * 25,
        heads.controller: [0.0] * len(heads.controller[-1].bias),
    }
    with torch.no_grad():
        for head, bias in biases.items():
            head[-1].weight.zero_()
            head[-1].bias.copy_(torch.tensor(bias))
    return model
