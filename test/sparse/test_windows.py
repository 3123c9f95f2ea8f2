# SPDX-License-Identifier: Apache-2.0
"""Convolutions of any kernel, stride and dilation are those of torch on a dense grid, gradients too."""

import pytest
import torch
from torch.nn import functional as F

from sphmask_core.sparse.maps import build_levels
from sphmask_core.sparse.windows import WindowConv, coarsen, window_maps

SIZE = 8


def voxels(seed, share=0.4):
    """Coordinates (V, 4) of random voxels of two scenes, and features (V, 3)."""
    torch.manual_seed(seed)
    grid = torch.rand(2, SIZE, SIZE, SIZE) < share
    coords = grid.nonzero()
    return coords[torch.randperm(len(coords))].int(), torch.randn(len(coords), 3, requires_grad=True)


def dense(coords, features):
    """(2, C, SIZE, SIZE, SIZE)"""
    scene, x, y, z = coords.long().unbind(1)
    return (
        features.new_zeros(2, SIZE, SIZE, SIZE, features.shape[1])
        .index_put((scene, x, y, z), features)
        .movedim(4, 1)
    )


def at(grid, coords):
    scene, x, y, z = coords.long().unbind(1)
    return grid[scene, :, x, y, z]


@pytest.mark.parametrize(
    ("kernel", "stride", "dilation"),
    [(1, 1, 1), (3, 1, 1), (5, 1, 1), (3, 1, 2), (3, 2, 1), (2, 2, 1), (4, 4, 1)],
)
def test_as_torch_on_a_dense_grid(kernel, stride, dilation):
    coords, x = voxels(kernel + stride)
    target = coarsen(coords, stride)
    assert stride > 1 or torch.equal(target, coords)
    conv = WindowConv(3, 4, kernel)
    y = conv(x, window_maps(coords, target, kernel, stride, dilation))
    weight = conv.weight.view(kernel, kernel, kernel, 3, 4).permute(4, 3, 0, 1, 2)
    padding = (kernel // 2) * dilation if kernel % 2 else 0
    grid = F.conv3d(dense(coords, x), weight, stride=stride, padding=padding, dilation=dilation)
    expected = at(grid, target)
    torch.testing.assert_close(y, expected, atol=1e-5, rtol=1e-4)
    wanted = torch.randn_like(y)
    gradients = torch.autograd.grad((y * wanted).sum(), [x, conv.weight])
    truth = torch.autograd.grad((expected * wanted).sum(), [x, conv.weight])
    torch.testing.assert_close(gradients, truth, atol=1e-4, rtol=1e-4)


def test_transposed_as_torch():
    coords, _ = voxels(9)
    coarse = coarsen(coords, 2)
    x = torch.randn(len(coarse), 3)
    up = WindowConv(3, 4, 2)
    y = up(x, window_maps(coords, coarse, 2, 2).reversed())
    weight = up.weight.view(2, 2, 2, 3, 4).permute(3, 4, 0, 1, 2)
    half = dense(coarse, x)[..., : SIZE // 2, : SIZE // 2, : SIZE // 2]
    expected = at(F.conv_transpose3d(half, weight, stride=2), coords)
    torch.testing.assert_close(y, expected, atol=1e-5, rtol=1e-4)


def test_the_maps_of_the_published_network_are_a_case():
    coords, _ = voxels(4)
    fine, coarse = build_levels(coords, 2)
    assert torch.equal(window_maps(coords, coords, 3).forward.index, fine.neighbors.index)
    target = coarsen(coords, 2)
    assert torch.equal(target, coarse.coords)
    halving = window_maps(coords, target, 2, 2)
    assert torch.equal(halving.forward.index, fine.children.index)
    assert torch.equal(halving.backward.index, fine.parents.index)
