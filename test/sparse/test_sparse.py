# SPDX-License-Identifier: Apache-2.0
"""Sparse convolutions against dense ones, kernels against plain torch, gradients by finite differences."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sphmask_core.sparse.functional import gather_convolve, gather_convolve_reference
from sphmask_core.sparse.maps import (
    TILE_ROWS,
    KernelMap,
    build_levels,
    find_neighbors,
    neighbors_reference,
    number_by_first_appearance,
    number_reference,
    pack,
)
from sphmask_core.sparse.modules import DownConv, SubmanifoldConv, UpConv, norm_relu
from test.helpers.clouds import random_coords
from test.helpers.threads import threads_of


def to_dense(x, coords, batch, size):
    """(V, C) on voxels -> (B, C, X, Y, Z)."""
    dense = x.new_zeros(batch, x.shape[1], *size)
    b, i, j, k = coords.long().unbind(1)
    dense[b, :, i, j, k] = x
    return dense


def at_voxels(dense, coords):
    b, i, j, k = coords.long().unbind(1)
    return dense[b, :, i, j, k]


def dense_weight(conv):
    """Published layout (out, k, k, k, in) -> torch's (out, in, k, k, k)."""
    return conv.weight.permute(0, 4, 1, 2, 3)


@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(*[st.integers(1, 7)] * 3),
    fill=st.sampled_from([0.0, 0.05, 0.4, 1.0]),
    channels=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    seed=st.integers(0, 1000),
)
def test_submanifold_equals_dense(size, fill, channels, seed):
    coords = random_coords(size, fill, seed=seed)
    level = build_levels(coords, 1)[0]
    conv = SubmanifoldConv(*channels).double()
    x = torch.randn(len(coords), channels[0], dtype=torch.float64)
    dense = torch.nn.functional.conv3d(to_dense(x, coords, 2, size), dense_weight(conv), padding=1)
    torch.testing.assert_close(conv(x, level), at_voxels(dense, coords))


@settings(max_examples=25, deadline=None)
@given(
    size=st.tuples(*[st.integers(1, 7)] * 3),
    fill=st.sampled_from([0.05, 0.4, 1.0]),
    seed=st.integers(0, 1000),
)
def test_down_and_up_equal_dense(size, fill, seed):
    coords = random_coords(size, fill, seed=seed)
    even = tuple(n + n % 2 for n in size)
    fine, coarse = build_levels(coords, 2)
    down, up = DownConv(3, 5).double(), UpConv(5, 4).double()
    x = torch.randn(len(coords), 3, dtype=torch.float64)
    y = down(x, fine)
    dense = torch.nn.functional.conv3d(to_dense(x, coords, 2, even), dense_weight(down), stride=2)
    torch.testing.assert_close(y, at_voxels(dense, coarse.coords))
    half = tuple(n // 2 for n in even)
    weight = up.weight.permute(4, 0, 1, 2, 3)
    dense = torch.nn.functional.conv_transpose3d(to_dense(y, coarse.coords, 2, half), weight, stride=2)
    torch.testing.assert_close(up(y, fine), at_voxels(dense, coords))


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize("channels", [(6, 16), (32, 32), (48, 80)])
def test_kernels_equal_plain_torch(channels, count):
    coords = random_coords((30, 30, 5), 0.3)
    kernel_map = find_neighbors(coords)
    x = torch.randn(len(coords), channels[0], requires_grad=True)
    weight = torch.randn(27, *channels, requires_grad=True)
    grad = torch.randn(len(coords), channels[1])
    plain = gather_convolve_reference(x, weight, kernel_map)
    expected = plain, *torch.autograd.grad(plain, (x, weight), grad)
    with threads_of(count):
        ours = gather_convolve(x, weight, kernel_map)
        actual = ours, *torch.autograd.grad(ours, (x, weight), grad)
    for mine, reference, tolerance in zip(actual, expected, (2e-4, 1e-3, 1e-3), strict=True):
        torch.testing.assert_close(mine, reference, atol=tolerance, rtol=1e-4)


@pytest.mark.parametrize("channels", [(6, 16), (16, 16), (32, 64), (20, 40)])
def test_fused_inference_equals_separate_passes(channels):
    level = build_levels(random_coords((20, 20, 5), 0.3), 1)[0]
    conv, norm = SubmanifoldConv(*channels), torch.nn.BatchNorm1d(channels[1])
    for parameter in (norm.weight, norm.bias, norm.running_mean, norm.running_var):
        torch.nn.init.uniform_(parameter, 0.5, 2)
    norm.eval()
    x, start = (torch.randn(len(level.coords), width) for width in channels)
    plain = norm(conv(x, level) + start).relu(), norm_relu(start, norm)
    with torch.no_grad():
        fused = conv(x, level, norm=norm, start=start), norm_relu(start, norm)
    for mine, reference in zip(fused, plain, strict=True):
        torch.testing.assert_close(mine, reference, atol=1e-4, rtol=1e-4)


@torch.no_grad()
def test_changed_weights_are_packed_anew():
    level = build_levels(random_coords((5, 5, 5), 0.5), 1)[0]
    conv, x = SubmanifoldConv(3, 4), torch.randn(len(level.coords), 3)
    before = conv(x, level)
    conv.weight *= 2
    torch.testing.assert_close(conv(x, level), 2 * before)
    conv.load_state_dict({"weight": conv.weight / 4})
    torch.testing.assert_close(conv(x, level), before / 2)


def test_gradcheck():
    coords = random_coords((4, 3, 3), 0.5)
    fine, _ = build_levels(coords, 2)
    x = torch.randn(len(coords), 2, dtype=torch.float64, requires_grad=True)
    convs = SubmanifoldConv(2, 3).double(), DownConv(3, 2).double(), UpConv(2, 3).double()
    weights = [conv.kernel().detach().requires_grad_() for conv in convs]

    def net(x, subm, down, up):
        x = gather_convolve(x, subm, fine.neighbors)
        x = gather_convolve(x, down, fine.children, fine.parents)
        return gather_convolve(x, up, fine.parents, fine.children)

    assert torch.autograd.gradcheck(net, (x, *weights))


@given(st.lists(st.integers(-5, 5), max_size=60))
def test_numbers_follow_first_appearance(values):
    keys = torch.tensor(values, dtype=torch.int64)
    numbers, first = number_by_first_appearance(keys)
    assert [values[i] for i in first] == list(dict.fromkeys(values))
    assert [values[first[n]] for n in numbers] == values
    for mine, reference in zip((numbers, first), number_reference(keys), strict=True):
        assert torch.equal(mine, reference)


def test_neighbors_equal_plain_torch():
    coords = random_coords((20, 20, 20), 0.2, batch=3)
    assert torch.equal(find_neighbors(coords).index, neighbors_reference(pack(coords)))


@given(st.integers(1, 9), st.integers(0, 300), st.sampled_from([0.0, 0.3, 1.0]), st.integers(0, 1000))
def test_pairs_list_the_map_by_tile_then_by_offset(kernel, rows, fill, seed):
    generator = torch.Generator().manual_seed(seed)
    rates = torch.rand(kernel, rows, generator=generator)
    index = torch.where(rates < fill, torch.randint(0, 1000, (kernel, rows), generator=generator), -1).int()
    pairs = KernelMap(index).pairs
    entries = []
    for first in range(0, rows, TILE_ROWS):
        for k in range(kernel):
            assert pairs.starts[first // TILE_ROWS * kernel + k] == len(entries)
            tile = index[k, first : first + TILE_ROWS].tolist()
            entries += [(source, target) for target, source in enumerate(tile) if source >= 0]
    assert pairs.starts[-1] == len(entries)
    assert list(zip(pairs.source.tolist(), pairs.target.tolist(), strict=True)) == entries


def test_autocast_convolves_in_its_type():
    level = build_levels(random_coords((5, 5, 5), 0.3), 1)[0]
    conv, x = SubmanifoldConv(4, 6), torch.randn(len(level.coords), 4)
    with torch.autocast("cpu", torch.bfloat16):
        out = conv(x, level)
    out.float().sum().backward()
    assert out.dtype == torch.bfloat16 and conv.weight.grad is not None
    torch.testing.assert_close(out.float(), conv(x, level), rtol=0.05, atol=0.05)
