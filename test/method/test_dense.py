# SPDX-License-Identifier: Apache-2.0
"""Kernels that inference on the CPU runs in place of modules equal these, and follow their weights."""

from itertools import pairwise

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from sphmask_core import native
from sphmask_core.method.aggregator import LocalAggregator, PointSet, sample_rows
from sphmask_core.method.backbone import SparseUNet, pack_unet
from sphmask_core.method.dense import dense, pack_layers
from sphmask_core.method.layers import Layers, linear_bn_relu
from sphmask_core.method.voxels import Points, voxelize

CLOSE = {"rtol": 1e-4, "atol": 1e-5}


def lived_in(module, seed=0):
    """The module in evaluation, with statistics and weights of norms that are not those of a new one."""
    generator = torch.Generator().manual_seed(seed)
    for layer in module.modules():
        if isinstance(layer, nn.BatchNorm1d):
            for values, low in ((layer.running_mean, -0.5), (layer.running_var, 0.5)):
                values.copy_(torch.rand(values.shape, generator=generator) + low)
            for weights in (layer.weight, layer.bias):
                weights.data += 0.2 * torch.rand(weights.shape, generator=generator)
    return module.eval()


@settings(max_examples=25, deadline=None)
@given(
    widths=st.lists(st.integers(1, 70), min_size=2, max_size=4),
    rows=st.integers(0, 130),
    bias=st.booleans(),
    relu=st.booleans(),
)
def test_a_stack_is_its_modules(widths, rows, bias, relu):
    torch.manual_seed(len(widths))
    layers = [layer for a, b in pairwise(widths) for layer in linear_bn_relu(a, b, bias)]
    layers = lived_in(Layers(*(layers if relu else layers[:-1])))
    x = torch.randn(rows, widths[0])
    with torch.no_grad():
        assert layers.fuses(x)
        torch.testing.assert_close(layers(x), nn.Sequential.forward(layers, x), **CLOSE)


def test_a_stack_follows_its_weights():
    layers = lived_in(Layers(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.ReLU()))
    x = torch.randn(9, 5)
    with torch.no_grad():
        before = layers(x)
        layers[1].running_mean += 1
        assert not torch.equal(layers(x), before)
        layers[0].weight.data = torch.zeros(4, 5)
        torch.testing.assert_close(layers(x), nn.Sequential.forward(layers, x), **CLOSE)


def test_training_keeps_the_modules():
    layers = Layers(nn.Linear(5, 4), nn.BatchNorm1d(4), nn.ReLU())
    x = torch.randn(9, 5)
    assert layers(x).requires_grad
    with torch.no_grad():
        assert not layers.train().fuses(x)
        assert layers.eval().fuses(x)
        assert not layers.fuses(x.double())


def test_unknown_layers_and_wrong_rows_are_refused():
    with pytest.raises(TypeError, match="Tanh"):
        pack_layers([nn.Linear(2, 2), nn.Tanh()])
    packed = pack_layers([nn.Linear(3, 2)])
    with pytest.raises(ValueError, match="first and last width"):
        dense(torch.zeros(4, 5), packed)


def cloud(count, seed=0):
    generator = torch.Generator().manual_seed(seed)
    xyz = torch.rand(count, 3, generator=generator)
    corners = torch.cat([xyz - 0.1, xyz + torch.rand(count, 3, generator=generator)], 1)
    features = torch.randn(count, 16, generator=generator)
    return PointSet(xyz, corners, features, torch.arange(count), [count])


@pytest.mark.parametrize("count", [1, 5, 700])  # with fewer neighbors than are gathered, and with more
def test_pooling_about_samples_is_that_of_the_modules(count):
    aggregator = lived_in(LocalAggregator(16, 0.2, 16, 32))
    points = cloud(count)
    rows = sample_rows(points, 64)
    with torch.no_grad():
        fused = aggregator(points, rows).features
    plain = aggregator(points, rows).features  # with gradients the modules work
    assert plain.requires_grad
    torch.testing.assert_close(fused, plain.detach(), **CLOSE)


@pytest.mark.parametrize(
    ("channels", "levels", "blocks"), [(16, 5, 2), (8, 1, 2), (5, 3, 2), (16, 3, 1), (8, 2, 3)]
)
def test_the_unet_in_one_call_is_its_modules(channels, levels, blocks):
    generator = torch.Generator().manual_seed(1)
    xyz = torch.rand(4000, 3, generator=generator) * torch.tensor([1.0, 0.6, 0.1])
    voxels = voxelize([Points(xyz, torch.rand(4000, 3, generator=generator))], 50.0)
    backbone = lived_in(SparseUNet(6, channels, levels, blocks))
    plain = backbone(voxels.features, voxels.coords)
    assert plain.requires_grad
    with torch.no_grad():
        torch.testing.assert_close(backbone(voxels.features, voxels.coords), plain.detach(), **CLOSE)
        backbone.unet.head[0].conv1.weight *= 2
        changed = backbone(voxels.features, voxels.coords)
    torch.testing.assert_close(changed, backbone(voxels.features, voxels.coords).detach(), **CLOSE)
    assert not torch.allclose(changed, plain.detach())


@pytest.mark.parametrize("halves", [False, True])
def test_the_unet_refuses_weights_of_another(halves):
    features, coords = torch.zeros(3, 6), torch.tensor([[0, i, 0, 0] for i in range(3)], dtype=torch.int32)
    with torch.no_grad():
        packed = pack_unet(SparseUNet(6, 16, 2).eval().in_order(), halves)

    def refused(weights, blocks=2):
        with pytest.raises(ValueError, match="packed holds"):
            native.unet(features, coords, *weights, torch.empty(3, 16), 2, blocks, 1e-4)

    refused(packed, blocks=1)
    refused(packed, blocks=3)
    for i, part in enumerate(packed):
        refused([*packed[:i], torch.cat([part, part.new_zeros(1)]), *packed[i + 1 :]])
        if len(part):
            refused([*packed[:i], part[:-1].clone(), *packed[i + 1 :]])


@settings(max_examples=50, deadline=None)
@given(
    values=st.lists(st.sampled_from([0.0, -1.5, 3e38, np.nan, np.inf, -np.inf]), max_size=90),
    left_out=st.lists(st.booleans(), min_size=30, max_size=30),
    marked=st.booleans(),
)
def test_points_kept_are_finite_and_not_left_out(values, left_out, marked):
    xyz = np.array(values[: len(values) // 3 * 3], np.float32).reshape(-1, 3)
    marks = np.array(left_out[: len(xyz)], bool) if marked else None
    rows, points = torch.empty(len(xyz), dtype=torch.int64), torch.empty(len(xyz), 3)
    count = native.keep_points(xyz, marks, rows, points)
    wanted = np.isfinite(xyz).all(1) & (True if marks is None else ~marks)
    assert rows[:count].tolist() == np.flatnonzero(wanted).tolist()
    assert np.array_equal(points[:count].numpy(), xyz[wanted])


def test_long_runs_that_are_left_out_are_passed_over():
    xyz = np.random.default_rng(0).random((100, 3), dtype=np.float32)
    marks = np.ones(100, bool)
    marks[[7, 8, 40, 99]] = False
    rows, points = torch.empty(100, dtype=torch.int64), torch.empty(100, 3)
    assert native.keep_points(xyz, marks, rows, points) == 4
    assert rows[:4].tolist() == [7, 8, 40, 99]
