# SPDX-License-Identifier: Apache-2.0
"""Targets against plain loops over voxels and instances."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sphmask_core.method.spherical import sectors
from sphmask_core.method.voxels import Points, voxelize
from training.targets import EMPTY_RAY, IGNORE, build_targets

RAYS, SHIFT = (5, 5), 1


def random_labels(seed, n_points, scenes):
    """Points of some scenes, with superpoints and labels of their own."""
    rng = np.random.default_rng(seed)
    points, semantic, instance = [], [], []
    for _ in range(scenes):
        xyz = torch.from_numpy(rng.normal(0, 0.2, (n_points, 3)).astype(np.float32))
        superpoints = torch.from_numpy(rng.integers(0, 6, n_points))
        points.append(Points(xyz, torch.zeros(n_points, 3), superpoints))
        semantic.append(torch.from_numpy(rng.choice([IGNORE, 0, 1, 2], n_points)))
        instance.append(torch.from_numpy(rng.choice([IGNORE, 3, 5, 9], n_points)))
    return points, torch.cat(semantic), torch.cat(instance)


@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6), n_points=st.integers(1, 60), scenes=st.integers(1, 3))
def test_like_plain_loops(seed, n_points, scenes):
    points, semantic, instance = random_labels(seed, n_points, scenes)
    voxels = voxelize(points, voxel_scale=10.0)
    targets = build_targets(voxels, semantic, instance, SHIFT, RAYS)
    point_to_voxel = voxels.point_to_voxel.tolist()
    first = [point_to_voxel.index(v) for v in range(len(voxels.coords))]
    assert torch.equal(targets.semantic, semantic[first])
    row = 0
    for b, scene in enumerate(targets.scenes):
        own = (voxels.coords[:, 0] == b).nonzero()[:, 0].tolist()
        ids = sorted({int(instance[first[v]]) for v in own} - {IGNORE})
        members = [[v for v in own if instance[first[v]] == i] for i in ids]
        members = [m for m in members if semantic[first[m[0]]] >= SHIFT]
        assert len(scene) == len(members)
        for g, voxels_of_g in enumerate(members):
            check_instance(voxels, targets, scene, b, g, voxels_of_g, row)
            assert scene.class_ids[g] == semantic[first[voxels_of_g[0]]] - SHIFT
            row += 1
    assert row == len(targets.centers)


def check_instance(voxels, targets, scene, b, g, members, row):
    xyz = voxels.xyz[members]
    center = xyz.mean(0)
    torch.testing.assert_close(scene.centers[g], center)
    torch.testing.assert_close(scene.boxes[g], torch.cat([xyz.min(0).values, xyz.max(0).values]))
    rays = [EMPTY_RAY] * (RAYS[0] * RAYS[1])
    for point, sector in zip(xyz, sectors(xyz - scene.centers[g], RAYS).tolist(), strict=True):
        rays[sector] = max(rays[sector], float((point - scene.centers[g]).norm()))
    torch.testing.assert_close(scene.rays[g], torch.tensor(rays))
    assert (targets.instance == row).nonzero()[:, 0].tolist() == members
    start, end = voxels.superpoint_offsets[b], voxels.superpoint_offsets[b + 1]
    for s in range(int(start), int(end)):
        of_superpoint = (voxels.superpoints == s).nonzero()[:, 0].tolist()
        share = len(set(of_superpoint) & set(members)) / len(of_superpoint)
        assert scene.masks[g, s - start] == float(share >= 0.5)


def test_no_instance_at_all():
    points = [Points(torch.rand(50, 3), torch.zeros(50, 3), torch.zeros(50, dtype=torch.int64))]
    nothing = torch.full((50,), IGNORE)
    targets = build_targets(voxelize(points, 10.0), nothing, nothing, SHIFT, RAYS)
    assert len(targets.scenes[0]) == 0
    assert (targets.instance == IGNORE).all()


@pytest.mark.parametrize("radius", [0.1, 1.0])
def test_rays_of_a_ball_are_its_radius(radius):
    directions = torch.nn.functional.normalize(
        torch.randn(20000, 3, generator=torch.Generator().manual_seed(0)), dim=1
    )
    points = [Points(directions * radius, torch.zeros(20000, 3), torch.zeros(20000, dtype=torch.int64))]
    label = torch.ones(20000, dtype=torch.int64)
    scene = build_targets(voxelize(points, 50.0 / radius), label, label, SHIFT, RAYS).scenes[0]
    assert scene.rays.numpy() == pytest.approx(radius, rel=0.03)
