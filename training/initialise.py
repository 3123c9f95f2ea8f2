# SPDX-License-Identifier: Apache-2.0
"""Initial weights from which masks start to learn at once.

With torch's own initial weights the masks stay empty for hundreds of steps: each query's network must find
out that near superpoints with a box like its own belong to it. So the controller's last layer starts with
biases that say just that, delta = SLOPE * (RADIUS - |q - p_s|_1 - |b_q - b_s|_1 / 2), and small weights.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor, nn

from sphmask_core.checkpoint import load_state, read_weights
from sphmask_core.config import Config
from sphmask_core.heads import migration_layers
from sphmask_core.model import SphericalMask

RADIUS = 0.5
"""Reach of a query's first mask, and the first length of its rays, model units."""
SLOPE = 4.0
"""Of the first migrations, per model unit."""
CONTROLLER_SCALE = 0.3
"""Factor on the controller's last weights."""


def initialise(model: SphericalMask, config: Config) -> None:
    """Set the first weights: those of `train.init`, or random ones with a prior on masks and rays."""
    if config.train.init:
        state, _ = read_weights(Path(config.train.init))
        load_state(model, state, config.train.init)
        return
    controller, rays = model.query_heads.controller[-1], model.query_heads.rays[-1]
    assert isinstance(controller, (nn.Linear, nn.Conv1d)) and isinstance(rays, (nn.Linear, nn.Conv1d))
    assert controller.bias is not None and rays.bias is not None
    with torch.no_grad():
        controller.weight.mul_(CONTROLLER_SCALE)
        controller.bias.add_(mask_prior(config.model.mask_dim, config.model.num_dyco_layer))
        rays.bias.fill_(RADIUS)


def mask_prior(mask_dim: int, num_layers: int = 2) -> Tensor:
    """(P,) parameters of a migration network: high near the query, where boxes are like its own.

    The first layer holds the terms, a middle one hands them on, the last adds them up.
    """
    layers = [torch.zeros(shape) for shape in migration_layers(mask_dim, num_layers)]
    biases = [torch.zeros(layer.shape[1]) for layer in layers]
    w1, b1 = layers[0], biases[0]
    for axis in range(3):
        w1[axis, 2 * axis], w1[axis, 2 * axis + 1] = 1, -1
    w1[3:6, 6] = 0.5
    b1[7] = RADIUS
    for middle in layers[1:-1]:
        middle.fill_diagonal_(1)
    layers[-1][:8, 0] = SLOPE * torch.tensor([-1.0] * 7 + [1.0])
    return torch.cat([layer.flatten() for layer in (*layers, *biases)])
