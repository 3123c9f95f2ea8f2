# SPDX-License-Identifier: Apache-2.0
"""The upright frame: exact on made planes, robust on real tables, sane on anything."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from sphmask_core.clouds.scenes import read_scene
from sphmask_core.method.frames import dominant_plane, upright

CLOUDS = hnp.arrays(
    np.float32, st.tuples(st.integers(0, 60), st.just(3)), elements=st.floats(-100, 100, width=32)
).map(torch.from_numpy)


def table_with_clutter(normal, offset, seed, outliers):
    """Points of the plane normal . p + offset = 0 with 1 mm of noise, and others in front of it."""
    generator = torch.Generator().manual_seed(seed)
    points = torch.randn(3000, 3, generator=generator, dtype=torch.float64) * 0.5
    points -= (points @ normal + offset)[:, None] * normal
    points += 0.001 * torch.randn(3000, 1, generator=generator, dtype=torch.float64) * normal
    heights = 0.5 * torch.rand(outliers, generator=generator, dtype=torch.float64)
    return torch.cat([points, points[:outliers] + heights[:, None] * normal]).float()


@settings(max_examples=40, deadline=None)
@given(
    hnp.arrays(np.float64, 3, elements=st.floats(-1, 1)).filter(lambda v: np.linalg.norm(v) > 0.1),
    st.floats(0.3, 3.0),
    st.integers(0, 1000),
    st.integers(0, 2000),
)
def test_finds_a_noisy_plane_among_outliers(normal, offset, seed, outliers):
    normal = torch.from_numpy(normal / np.linalg.norm(normal))
    plane = dominant_plane(table_with_clutter(normal, offset, seed, outliers))
    assert float(plane.normal.double() @ normal) > 0.9999
    assert plane.offset == pytest.approx(offset, abs=0.002)


@settings(deadline=None)
@given(CLOUDS, st.sampled_from(["z", "plane"]))
def test_any_cloud_has_a_rigid_frame(xyz, up):
    frame = upright(xyz, up)
    assert torch.allclose(frame.rotation @ frame.rotation.T, torch.eye(3), atol=1e-5)
    assert torch.linalg.det(frame.rotation) > 0
    assert torch.allclose(frame.invert(frame.apply(xyz)), xyz, atol=1e-3)
    again = upright(xyz, up)
    assert torch.equal(again.rotation, frame.rotation) and torch.equal(again.origin, frame.origin)


def test_z_keeps_the_axes_and_centers():
    xyz = torch.tensor([[1.0, 2.0, 3.0], [3.0, 2.0, 1.0]])
    frame = upright(xyz, "z")
    assert torch.equal(frame.rotation, torch.eye(3))
    assert frame.origin.tolist() == [2.0, 2.0, 2.0]


def test_the_vertical_of_a_level_camera_becomes_z():
    frame = upright(torch.zeros(1, 3), "z", vertical=(0.0, -1.0, 0.0))  # x right, y down, z forward
    axes = frame.apply(torch.eye(3)).tolist()
    assert axes == [[1, 0, 0], [0, 0, -1], [0, 1, 0]]


@pytest.mark.parametrize("name", ["learn0", "learn22", "learn38"])
def test_real_tables_lie_at_zero_with_the_sensor_above(mosd, name):
    assert_table_at_zero(read_scene(mosd / f"{name}.pcd"))


@pytest.mark.parametrize("seed", [2, 4, 9])
def test_simulated_tables_lie_at_zero_with_the_sensor_above(tables, seed):
    assert_table_at_zero(read_scene(tables / f"learn{seed}.pcd"))


def assert_table_at_zero(scene):
    finite = np.isfinite(scene.cloud.xyz).all(axis=1)
    frame = upright(torch.from_numpy(scene.cloud.xyz[finite]), "plane")
    heights = frame.apply(torch.from_numpy(scene.cloud.xyz[finite]))[:, 2].numpy()
    semantic = scene.semantic[finite]
    assert abs(np.median(heights[semantic == 0])) < 0.001
    assert np.percentile(np.abs(heights[semantic == 0]), 95) < 0.005
    assert (heights[semantic == 1] > 0).mean() > 0.97
    assert frame.apply(torch.zeros(1, 3))[0, 2] > 0.3
