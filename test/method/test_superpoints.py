# SPDX-License-Identifier: Apache-2.0
"""Superpoints: plain shapes, invariance, and how well they can describe the objects of real scenes."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from benchmarks.superpoints import measure
from sphmask_core.clouds.scenes import read_scene
from sphmask_core.config import SuperpointConfig, load_config
from sphmask_core.method.superpoints import compute_superpoints
from test.helpers.threads import threads_of

VOXEL = 0.02


def sheet(origin, along, across, steps):
    """(steps * steps, 3) points of a flat square patch, one voxel apart."""
    i, j = torch.meshgrid(torch.arange(steps), torch.arange(steps), indexing="ij")
    flat = i.reshape(-1, 1) * torch.tensor(along) + j.reshape(-1, 1) * torch.tensor(across)
    return VOXEL * (flat + torch.tensor(origin))


def superpoints_of(xyz, config=None):
    """Superpoints of points that lie one to a voxel."""
    coords = torch.floor(xyz / VOXEL + 0.5).int()
    return compute_superpoints(coords, xyz, config or SuperpointConfig())


def table_and_box():
    """A table 60 voxels wide, on it the top and two sides of a 16 voxel cube; points (N, 3), both sizes."""
    table = sheet((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), 60)
    covered = ((table > 19.5 * VOXEL) & (table < 36.5 * VOXEL))[:, :2].all(1)
    table = table[~covered]
    top = sheet((21.0, 21.0, 16.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), 16)
    front = sheet((21.0, 20.0, 1.0), (1.0, 0.0, 0.0), (0.0, 0.0, 1.0), 16)
    side = sheet((20.0, 21.0, 1.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0), 16)
    return torch.cat([table, top, front, side]), [len(table), len(top) + len(front) + len(side)]


def test_box_parts_from_the_table():
    xyz, (table, box) = table_and_box()
    superpoints = superpoints_of(xyz)
    on_table, on_box = (torch.bincount(part, minlength=4) for part in superpoints.split([table, box]))
    assert len(on_table) == len(on_box) == 4  # the table and three faces
    assert torch.minimum(on_table, on_box).sum() < 0.01 * box


def test_plane_is_one_superpoint_and_gaps_part():
    near = sheet((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.5), 20)
    assert superpoints_of(near).unique().tolist() == [0]
    far = near + torch.tensor([40 * VOXEL, 0.0, 0.0])
    assert superpoints_of(torch.cat([near, far])).tolist() == [0] * 400 + [1] * 400


@settings(max_examples=50, deadline=None)
@given(hnp.arrays(np.int32, st.tuples(st.integers(0, 300), st.just(3)), elements=st.integers(-6, 6)))
def test_labels_are_consecutive_in_any_cloud(coords):
    coords = torch.from_numpy(np.unique(coords, axis=0))
    labels = compute_superpoints(coords, coords * VOXEL, SuperpointConfig())
    assert labels.dtype == torch.int64 and len(labels) == len(coords)
    first = {label: i for i, label in reversed(list(enumerate(labels.tolist())))}
    assert sorted(first, key=first.__getitem__) == list(range(len(first)))


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5))
def test_order_and_threads_do_not_matter(seed, threads):
    xyz, _ = table_and_box()
    generator = torch.Generator().manual_seed(seed)
    xyz = xyz + 0.2 * VOXEL * torch.rand(xyz.shape, generator=generator)
    order = torch.randperm(len(xyz), generator=generator)
    expected = superpoints_of(xyz)
    with threads_of(threads):
        shuffled = superpoints_of(xyz[order])
    pairs = torch.stack([expected[order], shuffled], dim=1).unique(dim=0)
    assert len(pairs) == len(expected.unique()) == len(shuffled.unique())


def test_color_parts_faces_that_are_flush():
    """A flat patch of two colors; with no weight on colors it is one superpoint."""
    xyz = sheet((0.0, 0.0, 0.0), (1.0, 0.0, 0.0), (0.0, 1.0, 0.0), 20)
    right = xyz[:, 0] > 9.5 * VOXEL
    rgb = torch.where(right[:, None], 0.5, -0.5).expand(-1, 3)
    coords = torch.floor(xyz / VOXEL + 0.5).int()
    assert compute_superpoints(coords, xyz, SuperpointConfig(), rgb).unique().tolist() == [0]
    superpoints = compute_superpoints(coords, xyz, SuperpointConfig(threshold=0.02, color=0.1), rgb)
    assert torch.equal(superpoints, right.long())


def test_bad_shapes_say_what_is_wrong():
    with pytest.raises(ValueError, match=r"xyz must have the shape \(n, 3\) with n = 4, not \(5, 3\)"):
        compute_superpoints(torch.zeros(4, 3, dtype=torch.int32), torch.zeros(5, 3), SuperpointConfig())
    with pytest.raises(ValueError, match=r"rgb must have the shape \(n, 3\) with n = 4, not \(5, 3\)"):
        compute_superpoints(
            torch.zeros(4, 3, dtype=torch.int32),
            torch.zeros(4, 3),
            SuperpointConfig(color=0.1),
            torch.zeros(5, 3),
        )


@pytest.mark.parametrize("seed", [2, 3, 6])
def test_unions_of_superpoints_describe_simulated_objects(tables, seed):
    """On tables where no object is nearly hidden."""
    measured = measure(read_scene(tables / f"learn{seed}.pcd"), load_config("tabletop"))
    assert np.mean(list(measured.ious.values())) >= 0.965
    assert 5 <= measured.superpoints <= 300


@pytest.mark.parametrize("name", ["learn2", "learn22", "learn38"])
def test_unions_of_superpoints_describe_real_objects(mosd, name):
    measured = measure(read_scene(mosd / f"{name}.pcd"), load_config("tabletop"))
    assert np.mean(list(measured.ious.values())) >= 0.965
    assert 5 <= measured.superpoints <= 300
