# SPDX-License-Identifier: Apache-2.0
"""Sparse U-Net of pre-activation residual blocks (docs/model.md, section 2)."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Sequence
from functools import partial
from importlib import import_module

import torch
from torch import Tensor, nn

from sphmask_core import native
from sphmask_core.config import ConfigError, ModelConfig
from sphmask_core.sparse import spconv_engine
from sphmask_core.sparse.cpu_engine import pack_halves, pack_panels
from sphmask_core.sparse.kept import Kept
from sphmask_core.sparse.maps import build_levels
from sphmask_core.sparse.modules import (
    AnyLevel,
    DownConv,
    PointwiseConv,
    SparseConv,
    SubmanifoldConv,
    UpConv,
    fuses,
    norm_relu,
)

backbone_norm = partial(nn.BatchNorm1d, eps=1e-4, momentum=0.1)
"""Batch norm as in the published backbone."""


class ResidualBlock(nn.Module):
    """Adds twice BN, ReLU and a 3^3 convolution to the input (after a 1^3 convolution where widths
    differ)."""

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__()
        self.shortcut = (
            PointwiseConv(in_channels, out_channels) if in_channels != out_channels else nn.Identity()
        )
        self.norm1, self.conv1 = backbone_norm(in_channels), SubmanifoldConv(in_channels, out_channels)
        self.norm2, self.conv2 = backbone_norm(out_channels), SubmanifoldConv(out_channels, out_channels)

    def forward(self, x: Tensor, level: AnyLevel) -> Tensor:
        """Returns features (V, out) of x (V, in) on one level."""
        y = self.conv1(norm_relu(x, self.norm1), level, norm=self.norm2)
        return self.conv2(y, level, start=self.shortcut(x))  # type: ignore[no-any-return]

    def in_order(self) -> list[nn.Module]:
        """Returns its layers in the order in which the kernel takes their weights."""
        layers = [self.norm1, self.conv1, self.norm2, self.conv2]
        return layers if isinstance(self.shortcut, nn.Identity) else [*layers, self.shortcut]


class UNetLevel(nn.Module):
    """One level: its blocks; all but the coarsest level then go down, through the next level and up again,
    concatenate, and have as many blocks more."""

    def __init__(self, widths: Sequence[int], blocks: int) -> None:
        super().__init__()
        width = widths[0]
        self.head = nn.ModuleList(ResidualBlock(width, width) for _ in range(blocks))
        self.inner: UNetLevel | None = None
        if len(widths) > 1:
            self.down_norm, self.down = backbone_norm(width), DownConv(width, widths[1])
            self.inner = UNetLevel(widths[1:], blocks)
            self.up_norm, self.up = backbone_norm(widths[1]), UpConv(widths[1], width)
            joined = [2 * width, *[width] * (blocks - 1)]
            self.tail = nn.ModuleList(ResidualBlock(before, width) for before in joined)

    def forward(self, x: Tensor, levels: Sequence[AnyLevel]) -> Tensor:
        """Returns features (V, w) of x (V, w), through all deeper levels."""
        level = levels[0]
        for block in self.head:
            x = block(x, level)
        if self.inner is None:
            return x
        coarse = self.down(norm_relu(x, self.down_norm), level)
        coarse = self.inner(coarse, levels[1:])
        x = torch.cat([x, self.up(norm_relu(coarse, self.up_norm), level)], dim=1)
        for block in self.tail:
            x = block(x, level)
        return x

    def in_order(self) -> list[nn.Module]:
        """Returns its layers and those of all deeper levels in the order in which they work."""
        layers = _of_blocks(self.head)
        if self.inner is None:
            return layers
        deeper = [self.down_norm, self.down, *self.inner.in_order(), self.up_norm, self.up]
        return [*layers, *deeper, *_of_blocks(self.tail)]


def _of_blocks(blocks: nn.ModuleList) -> list[nn.Module]:
    return [layer for block in blocks if isinstance(block, ResidualBlock) for layer in block.in_order()]


class SparseUNet(nn.Module):
    """Computes features (V, C) of voxels from (V, in), on levels of widths C, 2C, 3C, ..., each with so many
    blocks on either side.

    halves: whether inference on the CPU rounds to bfloat16 what follows a norm, where that is faster.
    """

    def __init__(
        self, in_channels: int, channels: int, levels: int, blocks: int = 2, halves: bool = False
    ) -> None:
        super().__init__()
        self.levels, self.blocks, self.halves = levels, blocks, halves and native.BFLOAT16
        self.input = SubmanifoldConv(in_channels, channels)
        self.unet = UNetLevel([channels * (i + 1) for i in range(levels)], blocks)
        self.output_norm = backbone_norm(channels)
        self._kept: Kept[tuple[Tensor, Tensor, Tensor]] | None = None

    def forward(self, features: Tensor, coords: Tensor) -> Tensor:
        """Returns features (V, C) of voxels: features (V, in), coords (V, 4) int32 of scene, x, y, z."""
        if fuses(features) and not self.training:
            return self._infer(features.contiguous(), coords.contiguous())
        build = spconv_engine.build_levels if spconv_engine.chosen(coords.device) else build_levels
        levels: Sequence[AnyLevel] = build(coords, self.levels)
        x = self.unet(self.input(features, levels[0]), levels)
        return norm_relu(x, self.output_norm)

    def in_order(self) -> list[nn.Module]:
        """Returns all layers in the order in which they work."""
        return [self.input, *self.unet.in_order(), self.output_norm]

    def _infer(self, features: Tensor, coords: Tensor) -> Tensor:
        """Returns the same by one call of the kernel, which makes the maps too."""
        out = torch.empty(len(features), len(self.input.weight))
        native.unet(features, coords, *self.packed(), out, self.levels, self.blocks, self.output_norm.eps)
        return out

    def packed(self) -> tuple[Tensor, Tensor, Tensor]:
        """Returns `pack_unet` of all layers, kept for as long as these stay as they are."""
        if self._kept is None or self._kept.changed():
            with torch.no_grad():
                self._kept = Kept(self, pack_unet(self.in_order(), self.halves))
        return self._kept.packed


def pack_unet(layers: Sequence[nn.Module], halves: bool) -> tuple[Tensor, Tensor, Tensor]:
    """Returns the weights of a U-Net's layers, in order, as the kernel reads them: of batch norms, of
    convolutions, and of convolutions in bfloat16.

    halves: whether these are those of all convolutions but the first and the shortcuts, whose inputs have no
    norm.
    """
    norms, floats, pairs = [torch.zeros(0)], [torch.zeros(0)], [torch.zeros(0, dtype=torch.int32)]
    for number, layer in enumerate(layers):
        if isinstance(layer, nn.BatchNorm1d):
            assert layer.running_mean is not None and layer.running_var is not None
            norms += [layer.running_mean, layer.running_var, layer.weight, layer.bias]
        else:
            assert isinstance(layer, SparseConv)
            half = halves and number > 0 and not isinstance(layer, PointwiseConv)
            kernels, pack = (pairs, pack_halves) if half else (floats, pack_panels)
            kernels.append(pack(layer.kernel()).flatten())
    return torch.cat(norms), torch.cat(floats), torch.cat(pairs)


def make_backbone(config: ModelConfig, precision: str = "float32") -> nn.Module:
    """Returns the backbone of a configuration: the sparse U-Net, or the class that `model.backbone` names.

    precision: of the U-Net's products in inference, as `inference.precision` has it.

    Raises ConfigError where that class cannot be had.
    """
    in_channels = 6 if config.with_coords else 3
    if not config.backbone:
        halves = precision == "bfloat16"
        return SparseUNet(in_channels, config.channels, config.levels, config.blocks, halves)
    return _class_of(config.backbone)(in_channels, config.channels)


def _class_of(name: str) -> type[nn.Module]:
    """Returns the class `module:Class`."""
    if not re.fullmatch(r"\w+(\.\w+)*:\w+", name):
        raise ConfigError(f"model.backbone: {name!r}: expected module:Class")
    module, _, kind = name.partition(":")
    try:
        kind_of_backbone = getattr(import_module(module), kind)
    except (ImportError, AttributeError) as error:
        raise ConfigError(f"model.backbone: {name}: {error}; is its folder in PYTHONPATH?") from None
    if not (isinstance(kind_of_backbone, type) and issubclass(kind_of_backbone, nn.Module)):
        raise ConfigError(f"model.backbone: {name}: is no torch.nn.Module")
    return kind_of_backbone


def check_known(config: ModelConfig) -> None:
    """Raise ConfigError for a backbone from outside that nobody has imported: a file must not run code.

    Weights name their backbone; modules in the environment variable SPHMASK_BACKBONES count as imported.
    """
    module = config.backbone.partition(":")[0]
    allowed = os.environ.get("SPHMASK_BACKBONES", "").split(",")
    if module and module not in sys.modules and module not in allowed:
        raise ConfigError(
            f"the backbone is {config.backbone}; import {module} first, or set SPHMASK_BACKBONES={module}"
        )
