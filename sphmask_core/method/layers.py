# SPDX-License-Identifier: Apache-2.0
"""Small stacks of dense layers that all heads are made of."""

from __future__ import annotations

from torch import Tensor, nn

from sphmask_core.method.backbone import backbone_norm
from sphmask_core.sparse.modules import norm_relu


class Layers(nn.Sequential):
    """Layers one after the other; in inference on the CPU a norm and the ReLU after it are one pass."""

    def forward(self, x: Tensor) -> Tensor:
        layers = iter(self)
        following = next(layers, None)
        while (layer := following) is not None:
            following = next(layers, None)
            if isinstance(layer, nn.BatchNorm1d) and isinstance(following, nn.ReLU):
                x, following = norm_relu(x, layer), next(layers, None)
            else:
                x = layer(x)
        return x


def voxel_head(channels: int, out: int) -> Layers:
    """Returns a head on voxel features: Linear, BN, ReLU, Linear."""
    return Layers(nn.Linear(channels, channels), backbone_norm(channels), nn.ReLU(), nn.Linear(channels, out))


def linear_bn_relu(in_channels: int, out_channels: int, bias: bool = False) -> list[nn.Module]:
    """Returns Linear, BN and ReLU on rows; in the published code these are 1x1 convolutions."""
    return [nn.Linear(in_channels, out_channels, bias=bias), nn.BatchNorm1d(out_channels), nn.ReLU()]


def query_head(dim: int, out: int) -> Layers:
    """Returns a head with two hidden layers of width D: (Q, D) -> (Q, out)."""
    return Layers(*linear_bn_relu(dim, dim), *linear_bn_relu(dim, dim), nn.Linear(dim, out))
