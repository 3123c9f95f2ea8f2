# SPDX-License-Identifier: Apache-2.0
"""The kernels for each level of processor: which is chosen, and that all give the same."""

import itertools
import os

import pytest
import torch

from sphmask_core import native
from sphmask_core.config import load_config
from sphmask_core.method.backbone import SparseUNet, pack_unet
from sphmask_core.method.preparation import prepare
from sphmask_core.native.kernels import bind_all
from sphmask_core.native.levels import LEVELS, X86_64, levels_of, processor_features, runnable
from sphmask_core.native.library import choose_level, open_library, usable_levels
from sphmask_core.simulation.scenes import simulate_cloud
from sphmask_core.sparse.cpu_engine import pack_panels
from sphmask_core.sparse.maps import TILE_ROWS, find_neighbors

ALL_FEATURES = frozenset().union(*(level.features for level in X86_64))


@pytest.fixture(scope="module")
def kernels():
    """The functions of every level that runs here, the best first."""
    return {level.name: bind_all(open_library(level)) for level in usable_levels()}


def test_the_level_in_use_is_the_best_that_runs():
    assert os.environ.get("SPHMASK_CPU", usable_levels()[0].name) == native.LEVEL
    assert set(usable_levels()) <= set(LEVELS)


def test_a_level_can_be_forced(monkeypatch):
    for level in usable_levels():
        monkeypatch.setenv("SPHMASK_CPU", level.name)
        assert choose_level() == level


def test_a_level_that_there_is_not_is_refused(monkeypatch):
    monkeypatch.setenv("SPHMASK_CPU", "x86-64-v9")
    with pytest.raises(ImportError, match=r"^SPHMASK_CPU=x86-64-v9: this machine has kernels for .+"):
        choose_level()


def test_a_processor_runs_the_levels_up_to_the_first_that_it_lacks_something_of():
    assert runnable(X86_64, ALL_FEATURES) == list(reversed(X86_64))
    assert runnable(X86_64, ALL_FEATURES - {"avx512vl"}) == [X86_64[1], X86_64[0]]
    assert runnable(X86_64, ALL_FEATURES - {"fma"}) == [X86_64[0]]  # AVX-512 without FMA is no v4
    assert runnable(X86_64, frozenset()) == []
    assert len(runnable(levels_of("aarch64"), frozenset())) == 1


def test_features_are_read_from_cpuinfo(tmp_path):
    path = tmp_path / "cpuinfo"
    path.write_text("processor\t: 0\nflags\t\t: fpu avx2 fma\nbogomips: 5\n\nprocessor: 1\nflags: none\n")
    assert processor_features(path) == {"fpu", "avx2", "fma"}
    assert processor_features(tmp_path / "missing") == frozenset()


def test_every_level_has_flags_of_its_own():
    assert all(len(set(a.flags) ^ set(b.flags)) > 0 for a, b in itertools.combinations(X86_64, 2))


def largest_overlaps(labels, others):
    """Of the voxels, those that have, of the others' superpoints, the one that most of their own have."""
    pairs, counts = (labels * (others.max() + 1) + others).unique(return_counts=True)
    most = torch.zeros(int(labels.max()) + 1, dtype=torch.int64)
    most.scatter_reduce_(0, pairs // (others.max() + 1), counts, "amax")
    return float(most.sum() / len(labels))


def test_superpoints_are_the_same_but_for_rounding(kernels):
    cloud = simulate_cloud(0, 320, 240)
    xyz, rgb = torch.from_numpy(cloud.xyz), torch.from_numpy(cloud.rgb)
    voxels = prepare(xyz, rgb, load_config("tabletop")).voxels
    coords, labels = voxels.coords[:, 1:].contiguous(), {}
    for name, functions in kernels.items():
        labels[name] = torch.empty(len(coords), dtype=torch.int64)
        functions.superpoints(coords, voxels.xyz, None, labels[name], 0.1, 0.1, 0, 20, 8)
    best = labels[usable_levels()[0].name]
    for name in kernels:
        assert min(largest_overlaps(labels[name], best), largest_overlaps(best, labels[name])) > 0.98


def test_sampling_is_the_same_to_the_last_bit(kernels):
    xyz = torch.randn(2000, 3, generator=torch.Generator().manual_seed(0))
    picked = {name: torch.empty(200, dtype=torch.int64) for name in kernels}
    hits = {name: torch.empty(2000, 8, dtype=torch.int64) for name in kernels}
    for name, functions in kernels.items():
        functions.farthest_points(xyz, picked[name], None, 3)
        functions.ball_query(xyz, xyz, hits[name], 0.4)
    assert all(torch.equal(picked[name], picked[native.LEVEL]) for name in kernels)
    assert all(torch.equal(hits[name], hits[native.LEVEL]) for name in kernels)


@pytest.mark.parametrize("channels", [16, 20, 32, 64])
def test_convolutions_are_the_same_but_for_rounding(kernels, channels):
    generator = torch.Generator().manual_seed(0)
    coords = torch.cartesian_prod(torch.tensor([0]), *[torch.arange(9)] * 3).int()
    pairs, rows = find_neighbors(coords).pairs, len(coords)
    x, weight = torch.randn(rows, channels, generator=generator), torch.randn(27, channels, channels)
    packed, listed = pack_panels(weight), (pairs.starts, pairs.source, pairs.target)
    convolved, gradients = {}, {}
    for name, functions in kernels.items():
        convolved[name], gradients[name] = torch.empty(rows, channels), torch.empty_like(weight)
        functions.gather_convolve_f32(x, *listed, packed, convolved[name], *(None,) * 5, 0.0, TILE_ROWS)
        functions.weight_gradient_f32(x, *listed, x, gradients[name], TILE_ROWS)
    for results in (convolved, gradients):
        best = results[usable_levels()[0].name]
        for name in kernels:
            torch.testing.assert_close(results[name], best, atol=1e-3, rtol=1e-5)
            if name != "x86-64-v2":  # which has no fused multiply-add
                assert torch.equal(results[name], best)


@pytest.mark.parametrize(("channels", "blocks"), [(16, 1), (5, 2), (32, 1)])
def test_the_unet_in_bfloat16_is_the_same_at_every_level_and_near_that_in_float32(kernels, channels, blocks):
    """Numbers of bfloat16 have 8 digits of 2; levels that cannot multiply them do so in float32."""
    torch.manual_seed(0)
    coords = torch.cartesian_prod(torch.tensor([0]), *[torch.arange(9)] * 3).int()
    features, layers = torch.randn(len(coords), 6), SparseUNet(6, channels, 3, blocks).eval().in_order()
    with torch.no_grad():
        exact, halves = (pack_unet(layers, half) for half in (False, True))
    found = {name: torch.empty(len(coords), channels) for name in kernels}
    for name, functions in kernels.items():
        functions.unet(features, coords, *halves, found[name], 3, blocks, 1e-4)
    plain = torch.empty(len(coords), channels)
    native.unet(features, coords, *exact, plain, 3, blocks, 1e-4)
    size = plain.square().mean().sqrt()
    assert size > 0
    for encoded in found.values():
        error = (encoded - plain).square().mean().sqrt() / size
        assert 1e-5 < error < 0.02
        assert (encoded - found[native.LEVEL]).abs().max() < 0.02 * size


def test_migration_is_the_same_but_for_rounding(kernels):
    generator = torch.Generator().manual_seed(0)
    for mask_dim in (10, 16, 32):
        count = (mask_dim + 7) * mask_dim + mask_dim + 1
        parameters = torch.randn(7, count, generator=generator)
        points = [torch.rand(rows, 3, generator=generator) for rows in (7, 7, 300, 300)]
        features = torch.randn(300, mask_dim, generator=generator)
        migrated = {name: torch.empty(7, 300) for name in kernels}
        for name, functions in kernels.items():
            functions.migrate(parameters, *points, features, migrated[name], 2)
        for name in kernels:
            torch.testing.assert_close(
                migrated[name], migrated[usable_levels()[0].name], atol=1e-3, rtol=1e-4
            )
