# SPDX-License-Identifier: Apache-2.0
"""Sectors, polygons and what lies inside them."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from sphmask_core.method.spherical import (
    inside_polygons,
    inside_polygons_reference,
    polygon,
    ray_directions,
    sectors,
)

GRIDS = [(5, 5), (3, 7), (1, 1), (8, 4)]
coordinate = st.floats(-10, 10, width=32).map(lambda v: v if abs(v) > 1e-6 else 0.0)
"""Model units; what is smaller than a micrometer has squares that float32 cannot hold."""


@pytest.mark.parametrize("rays", GRIDS)
def test_every_ray_points_into_its_own_sector(rays):
    directions = torch.tensor(ray_directions(rays)).float()
    assert sectors(directions, rays).tolist() == list(range(rays[0] * rays[1]))


@given(st.tuples(coordinate, coordinate, coordinate), st.sampled_from(GRIDS))
def test_sector_by_the_definition(offset, rays):
    x, y, z = offset
    polar = math.degrees(math.atan2(math.hypot(x, y), z))
    azimuth = math.degrees(math.atan2(y, x)) + 180
    sector = int(sectors(torch.tensor(offset), rays))
    i, j = divmod(sector, rays[1])
    tolerance = 1e-3
    assert polar >= i * 180 / rays[0] - tolerance and polar <= (i + 1) * 180 / rays[0] + tolerance
    assert azimuth >= j * 360 / rays[1] - tolerance and azimuth <= (j + 1) * 360 / rays[1] + tolerance


def test_inside_is_nearer_than_the_ray_and_migration_counts_twice():
    points = torch.tensor([[0.5, 0, 0], [0.9, 0, 0], [1.4, 0, 0]])
    centers, rays = torch.zeros(1, 3), torch.ones(1, 25)
    still = inside_polygons(points, torch.zeros(1, 3), centers, rays, (5, 5))
    assert still.tolist() == [[True, True, False]]
    moved = inside_polygons(points, torch.tensor([[-0.3, 0.0, 0.21]]), centers, rays, (5, 5))
    assert moved.tolist() == [[False, True, True]]


@settings(deadline=None)
@given(st.integers(0, 2**32 - 1), st.sampled_from(GRIDS), st.sampled_from([1, 2]), st.integers(50, 200))
def test_the_kernel_says_what_plain_torch_says(seed, rays, migrations, count):
    """But for points within rounding of a polygon's surface, at its rays' ends or between two sectors."""
    generator = torch.Generator().manual_seed(seed)
    points, centers = torch.randn(count, 3, generator=generator), torch.randn(20, 3, generator=generator)
    points[0] = centers[0]
    lengths = 0.1 + 2 * torch.rand(20, rays[0] * rays[1], generator=generator)
    migration = torch.randn(20, count, generator=generator) / 5
    inside = inside_polygons(points, migration, centers, lengths, rays, migrations)
    near = [
        inside_polygons_reference(points + step, migration, centers, lengths, rays, migrations)
        for step in 1e-5 * torch.cat([torch.eye(3), -torch.eye(3)])
    ]
    sure = torch.stack(near).all(0) | ~torch.stack(near).any(0)
    assert torch.equal(inside[sure], near[0][sure]) and sure.float().mean() > 0.98


@given(
    center=st.tuples(coordinate, coordinate, coordinate),
    lengths=st.lists(st.floats(0.01, 5), min_size=25, max_size=25),
    turn=st.floats(0, 6),
)
def test_polygon_is_a_closed_surface_through_the_ray_tips(center, lengths, turn):
    rotation = np.array(
        [[math.cos(turn), math.sin(turn), 0], [-math.sin(turn), math.cos(turn), 0], [0, 0, 1]]
    )
    vertices, faces = polygon(np.array(center), np.array(lengths), (5, 5), rotation)
    tips = ray_directions((5, 5)) * np.array(lengths)[:, None] @ rotation + center
    np.testing.assert_allclose(vertices[:25], tips, atol=1e-4)
    edges = np.concatenate([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]]).tolist()
    assert len({tuple(edge) for edge in edges}) == len(edges)
    assert {tuple(edge) for edge in edges} == {(b, a) for a, b in edges}


def test_polygon_faces_look_outward():
    vertices, faces = polygon(np.zeros(3), np.ones(25), (5, 5), np.eye(3))
    a, b, c = (vertices[faces[:, i]].astype(float) for i in range(3))
    assert ((np.cross(b - a, c - a) * (a + b + c)).sum(1) > 0).all()
