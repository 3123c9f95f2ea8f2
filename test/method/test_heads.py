# SPDX-License-Identifier: Apache-2.0
"""Migration: each query's own network of two or three layers, against its plain formula."""

from dataclasses import replace
from itertools import pairwise

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sphmask_core.config import ConfigError, InferenceConfig, ModelConfig, from_dict
from sphmask_core.method.boxes import box_size
from sphmask_core.method.migration import migrate, migration_parameters
from sphmask_core.method.model import SphericalMask
from sphmask_core.method.voxels import Points, voxelize
from test.helpers.small import SMALL


def plain(parameters, query_xyz, query_boxes, xyz, boxes, features, num_layers):
    """Every (query, superpoint) on its own, float64; parameters are all weights, then all biases."""
    dim = features.shape[1]
    widths = [dim + 6, dim, 1] if num_layers == 2 else [dim + 6, dim, dim // 2, 1]
    out = torch.zeros(len(query_xyz), len(xyz), dtype=torch.float64)
    for q, row in enumerate(parameters.double()):
        at, weights, biases = 0, [], []
        for rows, columns in pairwise(widths):
            weights.append(row[at : at + rows * columns].view(rows, columns))
            at += rows * columns
        for columns in widths[1:]:
            biases.append(row[at : at + columns])
            at += columns
        assert at == len(row)
        gap = (box_size(query_boxes[q]) - box_size(boxes)).abs()
        x = torch.cat([query_xyz[q] - xyz, gap, features], dim=1).double()
        for weight, bias in zip(weights[:-1], biases[:-1], strict=True):
            x = (x @ weight + bias).relu()
        out[q] = (x @ weights[-1])[:, 0]
    return out


@settings(max_examples=30, deadline=None)
@given(
    num_layers=st.sampled_from([2, 3]),
    queries=st.integers(0, 5),
    superpoints=st.sampled_from([0, 1, 9, 96, 200]),
    dim=st.sampled_from([2, 8, 32]),
    seed=st.integers(0, 1000),
)
def test_migration_is_the_plain_formula(num_layers, queries, superpoints, dim, seed):
    generator = torch.Generator().manual_seed(seed)
    shapes = [(queries, migration_parameters(dim, num_layers)), (queries, 3), (queries, 6)]
    shapes += [(superpoints, 3), (superpoints, 6), (superpoints, dim)]
    scene = [torch.randn(shape, generator=generator) for shape in shapes]
    expected = plain(*scene, num_layers)
    for gradients in (True, False):
        with torch.set_grad_enabled(gradients):
            logits = migrate(*scene, num_layers)
        assert logits.shape == (queries, superpoints)
        torch.testing.assert_close(logits.double(), expected, atol=1e-3, rtol=1e-4)


def test_numbers_of_parameters():
    """Of the published two layers, and of ISBNet's three, at 32 mask features."""
    assert migration_parameters(32) == 38 * 32 + 32 + 32 + 1
    assert migration_parameters(32, 3) == 38 * 32 + 32 * 16 + 16 + 32 + 16 + 1


@pytest.mark.parametrize("num_layers", [2, 3])
def test_the_model_learns_through_every_layer(num_layers):
    config = replace(
        SMALL,
        model=replace(SMALL.model, migration_layers=num_layers, mask_dim=32),
        inference=InferenceConfig(foreground_threshold=0.0),
    )
    torch.manual_seed(0)
    model = SphericalMask(config).train()
    xyz = torch.rand(400, 3)
    output = model(voxelize([Points(xyz, torch.zeros_like(xyz))], config.model.voxel_scale))
    assert output.queries is not None
    output.queries.migration[0].square().mean().backward()
    last = model.query_heads.controller[-1]
    assert last.out_features == migration_parameters(32, num_layers)
    reached = last.bias.grad != 0
    assert reached[:-1].float().mean() > 0.9 and not reached[-1]


@pytest.mark.parametrize("num_layers", [0, 1, 4, "2"])
def test_other_numbers_of_layers_are_refused(num_layers):
    with pytest.raises(ConfigError, match=r"model\.migration_layers: must be one of 2, 3"):
        from_dict({"model": {"migration_layers": num_layers}})
    assert ModelConfig().migration_layers == 2
