# SPDX-License-Identifier: Apache-2.0
"""A trained network teaches a smaller one the features of voxels (feature distillation: Romero et al.,
FitNets, ICLR 2015, equation 3).

All that the heads see of a scene are the backbone's features. A student that has the heads of the teacher and
learns its features therefore gets a number to learn for every voxel and channel, where the loss on labels has
little to say about a voxel; and it needs no labels.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sphmask_core.checkpoints.weights import load_model
from sphmask_core.config import Config, ConfigError
from sphmask_core.method.voxels import VoxelBatch

from .boxes import EPSILON
from .distributed import total

LEAST_SIZE = 0.1
"""Of the channels' mean square, what the error of each is relative to at least: in some scenes a channel is
silent."""


class Teacher:
    """Holds the backbone of `train.teacher`, which stays as it is."""

    def __init__(self, config: Config, device: torch.device) -> None:
        source = config.train.teacher
        model = load_model(source)
        if model.config.model.channels != config.model.channels:
            raise ConfigError(
                f"train.teacher: {source}: has {model.config.model.channels} channels, "
                f"the model {config.model.channels}"
            )
        self.weight = config.loss.features
        self.backbone: nn.Module = model.backbone.to(device).eval().requires_grad_(False)

    def term(self, features: Tensor, voxels: VoxelBatch) -> Tensor:
        """Returns the squared error of features (V, C) relative to the teacher's, a mean over the channels,
        weighted."""
        with torch.no_grad():
            taught = self.backbone(voxels.features, voxels.coords).float()
        size = total(taught.square().sum(0))
        size = size.clamp(min=LEAST_SIZE * float(size.mean()) + EPSILON)
        return self.weight * ((features.float() - taught).square().sum(0) / size).mean()


def find_teacher(config: Config, device: torch.device) -> Teacher | None:
    """Returns the teacher that the configuration names; None where it names none, or its term counts
    nothing."""
    return Teacher(config, device) if config.train.teacher and config.loss.features else None
