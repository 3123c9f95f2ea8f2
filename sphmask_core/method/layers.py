# SPDX-License-Identifier: Apache-2.0
"""Small stacks of dense layers that all heads are made of."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from sphmask_core.method.backbone import backbone_norm
from sphmask_core.method.dense import PackedLayers, dense, pack_layers
from sphmask_core.sparse.kept import Kept
from sphmask_core.sparse.modules import fuses


class Layers(nn.Sequential):
    """Linear layers, norms and ReLUs one after the other; in inference on the CPU all are one kernel."""

    _kept: Kept[PackedLayers] | None = None

    def forward(self, x: Tensor) -> Tensor:
        """Returns the rows (N, out) that the layers make of rows x (N, in)."""
        return dense(x, self.packed()) if self.fuses(x) else super().forward(x)

    def fuses(self, x: Tensor) -> bool:
        """Returns whether the layers are one kernel for an input x."""
        return not self.training and fuses(x)

    def packed(self) -> PackedLayers:
        """Returns the layers as the kernel reads them, kept while parameters and statistics stay as they
        are."""
        if self._kept is None or self._kept.changed():
            with torch.no_grad():
                self._kept = Kept(self, pack_layers(self))
        return self._kept.packed


def voxel_head(channels: int, out: int) -> Layers:
    """Returns a head on voxel features: Linear, BN, ReLU, Linear."""
    return Layers(nn.Linear(channels, channels), backbone_norm(channels), nn.ReLU(), nn.Linear(channels, out))


def linear_bn_relu(in_channels: int, out_channels: int, bias: bool = False) -> list[nn.Module]:
    """Returns Linear, BN and ReLU on rows; in the published code these are 1x1 convolutions."""
    return [nn.Linear(in_channels, out_channels, bias=bias), nn.BatchNorm1d(out_channels), nn.ReLU()]


def query_head(dim: int, out: int) -> Layers:
    """Returns a head with two hidden layers of width D: (Q, D) -> (Q, out)."""
    return Layers(*linear_bn_relu(dim, dim), *linear_bn_relu(dim, dim), nn.Linear(dim, out))


def softmax(logits: Tensor) -> Tensor:
    """Returns the probabilities (N, K) of logits (N, K).

    On the CPU torch takes six times as long for rows of a few classes as for as many columns.
    """
    return logits.T.contiguous().softmax(0).T
