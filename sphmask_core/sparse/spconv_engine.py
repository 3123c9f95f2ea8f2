# SPDX-License-Identifier: Apache-2.0
"""Optional sparse convolution on CUDA by spconv, with spconv's maps and kernels and our weights.

`pip install 'sphmask[spconv]'` brings it, SPHMASK_CUDA_ENGINE=spconv chooses it. On the CPU spconv is right
with one thread only and has no gradients; tests compare it with our engine so.
"""

from __future__ import annotations

import functools
import os
from contextlib import suppress
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

ENGINES = ("triton", "spconv")
"""Values that SPHMASK_CUDA_ENGINE may have."""


def chosen(device: torch.device) -> bool:
    """Returns whether spconv does the convolutions of tensors on `device`."""
    engine = os.environ.get("SPHMASK_CUDA_ENGINE", ENGINES[0])
    if engine not in ENGINES:
        raise ValueError(f"SPHMASK_CUDA_ENGINE={engine}: must be one of {', '.join(ENGINES)}")
    return device.type == "cuda" and engine == "spconv"


class SpconvLevel:
    """A level of the U-Net whose maps spconv makes as they are wanted, and keeps.

    Its methods stand where a `Level` has index maps, and take features and weights (out, k, k, k, in). A
    coarser level has its voxels, in spconv's own order, once `children` of the finer one has run.
    """

    def __init__(self, number: int, voxels: Any = None) -> None:
        self.number = number
        self.voxels = voxels
        """spconv's tensor of the level; only its coordinates and maps count."""
        self.coarser: SpconvLevel | None = None

    def neighbors(self, x: Tensor, weight: Tensor) -> Tensor:
        """Returns the 3^3 convolution among the voxels of this level: (V, in) -> (V, out)."""
        self.voxels = self._convolve(self.voxels, x, weight, "window", subm=True)
        return self.voxels.features  # type: ignore[no-any-return]

    def children(self, x: Tensor, weight: Tensor) -> Tensor:
        """Returns the convolution of kernel and stride 2 to the voxels of the next level: (V, in) ->
        (V', out)."""
        assert self.coarser is not None
        self.coarser.voxels = self._convolve(self.voxels, x, weight, "family", stride=2)
        return self.coarser.voxels.features  # type: ignore[no-any-return]

    def parents(self, x: Tensor, weight: Tensor) -> Tensor:
        """Returns the inverse of `children`, from the voxels of the next level: (V', in) -> (V, out)."""
        assert self.coarser is not None
        fine = self._convolve(self.coarser.voxels, x, weight, "family", inverse=True)
        return fine.features  # type: ignore[no-any-return]

    def _convolve(self, voxels: Any, x: Tensor, weight: Tensor, maps: str, **kind: Any) -> Any:
        """Returns spconv's tensor of the result; it keeps maps by the name `maps` and the level's number."""
        out, size, *_, inner = weight.shape
        convolution = _convolution(inner, out, size, f"{maps} {self.number}", **kind)
        with torch.autocast(x.device.type, enabled=False):  # spconv knows no bfloat16
            voxels = voxels.replace_feature(x.float())
            # Without `training` there are no gradients, whatever the module around says.
            return convolution._conv_forward(  # noqa: SLF001
                torch.is_grad_enabled(), voxels, weight, None
            )


@functools.cache
def _convolution(inner: int, out: int, size: int, key: str, **kind: Any) -> Any:
    """Returns spconv's convolution module; its own weights are not used."""
    from spconv.pytorch.conv import SparseConvolutionBase

    return SparseConvolutionBase(3, inner, out, size, bias=False, indice_key=key, **kind)


def build_levels(coords: Tensor, num_levels: int) -> list[SpconvLevel]:
    """Returns the levels of the voxels (V, 4) int32: scene, x, y, z; each half as fine as the one before."""
    _check_installed(coords.device)
    from spconv.pytorch import SparseConvTensor

    coarsest = 2 ** (num_levels - 1)  # spconv drops the last voxel of an odd length
    batch_size, *shape = (coords.amax(0) + 1).tolist()
    shape = [-(-length // coarsest) * coarsest for length in shape]
    voxels = SparseConvTensor(coords.new_empty(len(coords), 0), coords.contiguous(), shape, batch_size)
    levels = [SpconvLevel(0, voxels), *map(SpconvLevel, range(1, num_levels))]
    for fine, coarse in pairwise(levels):
        fine.coarser = coarse
    return levels


def _check_installed(device: torch.device) -> None:
    with suppress(ImportError):
        from spconv.cppconstants import CPU_ONLY_BUILD

        if device.type == "cpu" or not CPU_ONLY_BUILD:
            return
    raise ModuleNotFoundError(
        "SPHMASK_CUDA_ENGINE=spconv: no spconv for CUDA is installed: pip install 'sphmask[spconv]'"
    )
