# SPDX-License-Identifier: Apache-2.0
"""Triton's kernels against plain torch: on a GPU where there is one, else on Triton's interpreter."""

import pytest
import torch

from test.helpers.triton import DEVICE  # which sets the interpreter up

pytest.importorskip("triton", reason="triton is not installed")

from sphmask_core.sparse import triton_engine
from sphmask_core.sparse.functional import gather_convolve_reference
from sphmask_core.sparse.maps import KernelMap, build_levels


def levels(size):
    """Two levels of random voxels."""
    occupied = torch.rand(1, *size, generator=torch.Generator().manual_seed(0)) < 0.4
    return build_levels(occupied.nonzero().int(), 2)


def on_device(kernel_map):
    return KernelMap(kernel_map.index.to(DEVICE))


def random(*shape):
    return torch.randn(shape, device=DEVICE)


@pytest.mark.parametrize(("size", "channels"), [((6, 6, 5), (6, 16)), ((2, 3, 3), (40, 70))])
def test_convolution_and_gradients_equal_plain_torch(size, channels):
    window = on_device(levels(size)[0].neighbors)
    rows = window.index.shape[1]
    x, weight, grad = random(rows, channels[0]), random(27, *channels), random(rows, channels[1])
    x.requires_grad_(), weight.requires_grad_()
    plain = gather_convolve_reference(x, weight, window)
    torch.testing.assert_close(triton_engine.convolve(x, window, weight), plain, atol=2e-4, rtol=1e-4)
    grad_x, grad_weight = torch.autograd.grad(plain, (x, weight), grad)
    adjoint = weight.transpose(1, 2).flip(0)
    torch.testing.assert_close(triton_engine.convolve(grad, window, adjoint), grad_x, atol=2e-4, rtol=1e-4)
    gradient = triton_engine.weight_gradient(x, window, grad)
    torch.testing.assert_close(gradient, grad_weight, atol=2e-4, rtol=1e-4)


def test_maps_between_levels():
    fine = levels((5, 5, 5))[0]
    x, weight = random(len(fine.coords), 8), random(8, 8, 12)
    children = on_device(fine.children)
    plain = gather_convolve_reference(x, weight, children)
    torch.testing.assert_close(triton_engine.convolve(x, children, weight), plain, atol=2e-4, rtol=1e-4)


def test_weight_gradient_adds_slabs():
    """More rows than one slab takes."""
    rows = 9 * triton_engine.ROWS - 5
    index = torch.randint(-1, rows, (2, rows), dtype=torch.int32, device=DEVICE)
    x, grad = random(rows, 3), random(rows, 5)
    present = (index >= 0)[..., None]
    expected = torch.where(present, x[index.clamp(min=0).long()], 0).transpose(1, 2) @ grad
    gradient = triton_engine.weight_gradient(x, KernelMap(index), grad)
    torch.testing.assert_close(gradient, expected, atol=2e-4, rtol=1e-4)


def test_no_rows():
    window = KernelMap(torch.empty(27, 0, dtype=torch.int32, device=DEVICE))
    assert triton_engine.convolve(random(0, 4), window, random(27, 4, 5)).shape == (0, 5)
    assert not triton_engine.weight_gradient(random(0, 4), window, random(0, 5)).any()
