# SPDX-License-Identifier: Apache-2.0
"""On a GPU: the same numbers as on the CPU, operator by operator and end to end."""

import warnings

import numpy as np
import pytest
import torch

from sphmask_core.clouds.scenes import read_scene, scene_files
from sphmask_core.config import SuperpointConfig
from sphmask_core.method.backbone import SparseUNet
from sphmask_core.method.query_sampling import InferenceSampling
from sphmask_core.method.rounds import find_instances
from sphmask_core.method.sampling import ball_query, farthest_points
from sphmask_core.method.superpoints import compute_superpoints
from sphmask_core.method.voxels import voxelize
from sphmask_core.segmenter import Segmenter
from sphmask_core.sparse.functional import gather_convolve, gather_convolve_reference
from sphmask_core.sparse.maps import KernelMap, build_levels, find_neighbors
from test.helpers.clouds import random_coords
from test.helpers.golden import RUNS, assert_same_instances, golden_points, open_run

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
CUDA = torch.device("cuda")


def with_gradients(convolution, *arguments, grad):
    out = convolution(*arguments)
    return out, *torch.autograd.grad(out, arguments[:2], grad)


@pytest.mark.parametrize("channels", [(6, 32), (32, 32), (96, 64), (224, 192)])
def test_convolution_equals_plain_float64(channels):
    pytest.importorskip("triton", reason="triton is not installed")
    window = KernelMap(find_neighbors(random_coords((40, 40, 10), 0.3)).index.to(CUDA))
    rows = window.index.shape[1]
    torch.manual_seed(0)
    x = torch.randn(rows, channels[0], device=CUDA, requires_grad=True)
    weight = torch.randn(27, *channels, device=CUDA, requires_grad=True)
    grad = torch.randn(rows, channels[1], device=CUDA)
    ours = with_gradients(gather_convolve, x, weight, window, grad=grad)
    again = with_gradients(gather_convolve, x, weight, window, grad=grad)
    double = x.detach().double().requires_grad_(), weight.detach().double().requires_grad_()
    exact = with_gradients(gather_convolve_reference, *double, window, grad=grad.double())
    for mine, repeated, expected in zip(ours, again, exact, strict=True):
        assert torch.equal(mine, repeated)
        scale = expected.abs().max().item()
        torch.testing.assert_close(mine.double(), expected, rtol=1e-4, atol=1e-5 * scale)


@pytest.mark.parametrize("grad", [False, True])
def test_spconv_equals_our_engine(monkeypatch, grad):
    pytest.importorskip("spconv.pytorch", reason="spconv is not installed")
    coords = random_coords((40, 40, 9), 0.3).to(CUDA)
    torch.manual_seed(0)
    net, x = SparseUNet(6, 32, 3).to(CUDA).eval(), torch.randn(len(coords), 6, device=CUDA)
    results = []
    for engine in ("triton", "spconv"):
        monkeypatch.setenv("SPHMASK_CUDA_ENGINE", engine)
        with torch.set_grad_enabled(grad):
            out = net(x, coords)
        gradients = torch.autograd.grad(out.square().mean(), [*net.parameters()]) if grad else ()
        results.append((out, *gradients))
    for ours, theirs in zip(*results, strict=True):
        torch.testing.assert_close(theirs, ours, rtol=1e-2, atol=1e-3 * ours.abs().max().item())


def test_maps_equal_those_of_the_cpu():
    coords = random_coords((30, 30, 30), 0.2)
    for ours, theirs in zip(build_levels(coords.to(CUDA), 4), build_levels(coords, 4), strict=True):
        for name in ("coords", "neighbors", "children", "parents"):
            mine, other = getattr(ours, name), getattr(theirs, name)
            if name != "coords" and mine is not None:
                mine, other = mine.index, other.index
            assert (mine is None and other is None) or torch.equal(mine.cpu(), other)


@pytest.mark.parametrize("count", [1, 300, 4096, 20000])
@pytest.mark.parametrize("grid", [0, 20])
def test_samples_equal_those_of_the_cpu(count, grid):
    """Also on a grid of so many points a unit, where most distances occur many times."""
    xyz = torch.rand(count, 3, generator=torch.Generator().manual_seed(0))
    xyz = (xyz * grid).round() / grid if grid else xyz
    skip = xyz[:, 0] < 0.2
    picked = farthest_points(xyz, 300, skip=skip)
    assert torch.equal(farthest_points(xyz.to(CUDA), 300, skip=skip.to(CUDA)).cpu(), picked)
    hits = ball_query(xyz, xyz[picked], 0.1, 32)
    assert torch.equal(ball_query(xyz.to(CUDA), xyz[picked].to(CUDA), 0.1, 32).cpu(), hits)


def test_superpoints_equal_those_of_the_cpu():
    """The C++ code finds them, whichever device the voxels are on."""
    coords = random_coords((30, 30, 10), 0.3)[:, 1:]
    xyz = coords / 50 + 0.01
    theirs = compute_superpoints(coords, xyz, SuperpointConfig())
    ours = compute_superpoints(coords.to(CUDA), xyz.to(CUDA), SuperpointConfig())
    assert ours.device.type == "cuda" and torch.equal(ours.cpu(), theirs)


def golden_voxels(arrays, config):
    """The voxels on the GPU."""
    points = golden_points(arrays)
    points.xyz, points.rgb, points.superpoints = (
        field.to(CUDA) for field in (points.xyz, points.rgb, points.superpoints)
    )
    return voxelize([points], config.model.voxel_scale)


def queries_of(model, voxels):
    """The predictions of the first round."""
    return next(model.predict(voxels, InferenceSampling(model.config))).queries


def test_two_streams_give_what_one_gives(golden):
    """Where gradients are wanted both branches are on one stream."""
    arrays, model, _ = open_run(golden, "inference_single")
    voxels = golden_voxels(arrays, model.config)
    model = model.to(CUDA)
    with torch.no_grad():
        two = [queries_of(model, voxels) for _ in range(20)]
    with torch.enable_grad():
        reference = queries_of(model, voxels)
    for queries in two:
        torch.testing.assert_close(queries.rays, reference.rays, rtol=1e-3, atol=1e-4)
        torch.testing.assert_close(queries.migration[0], reference.migration[0], rtol=1e-3, atol=1e-4)


def test_the_host_waits_seldom(golden):
    """Each level of the U-Net has as many voxels as the device finds; the rest decides what comes next."""
    arrays, model, _ = open_run(golden, "inference_single")
    voxels = golden_voxels(arrays, model.config)
    model = model.to(CUDA)
    find_instances(model, voxels)  # kernels are compiled
    torch.cuda.set_sync_debug_mode("warn")
    try:
        with warnings.catch_warnings(record=True) as waits:
            warnings.simplefilter("always")
            find_instances(model, voxels)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert len(waits) <= 6 * model.config.model.levels, [f"{w.filename}:{w.lineno}" for w in waits]


@pytest.mark.parametrize("name", RUNS)
def test_golden_points_to_instances(golden, name):
    arrays, model, _ = open_run(golden, name)
    voxels = golden_voxels(arrays, model.config)
    instances = find_instances(model.to(CUDA), voxels, strategy=RUNS[name][1])
    points = voxels.superpoints[voxels.point_to_voxel]
    assert_same_instances(instances, points, arrays, model.config.inference.min_points)


def test_segmenter_equals_that_of_the_cpu(mosd):
    cloud = read_scene(scene_files(mosd)[0]).cloud
    mine, theirs = (Segmenter.load("tabletop", device)(cloud.xyz, cloud.rgb) for device in ("cuda", "cpu"))
    assert mine.masks.shape == theirs.masks.shape
    np.testing.assert_allclose(mine.scores, theirs.scores, atol=1e-3)
    assert (mine.labels == theirs.labels).mean() > 0.999
