# SPDX-License-Identifier: Apache-2.0
"""Meshes with textures become meshes with colored vertices, of few faces."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from scipy.spatial import cKDTree

from sphmask_core.simulation.tabletop.extra import needed

Mesh = tuple[np.ndarray, np.ndarray, np.ndarray]
"""Vertices (V, 3), faces (F, 3), colors (V, 3) in [0, 1]."""
MOST_FACES = 1600
"""Faces of a thing after decimation: a triangle is then about as large as a pixel at arm's length."""
FEWEST_FACES = 700
"""Faces of a thing with a texture; where there are fewer, they are split."""
BLUR = 0.006 * np.array([(0, 0), (1, 0), (-1, 0), (0, 1), (0, -1)])
"""Places around one, as shares of a texture, whose colors are averaged."""
SHRUNK = 0.03
"""Share of its size by which a thing may differ after decimation; more is a failure of it."""


def textured(vertices: np.ndarray, faces: np.ndarray, coordinates: np.ndarray, texture: np.ndarray) -> Mesh:
    """Split coarse faces, so that there are vertices enough for the texture (h, w, 3) uint8, and take its
    colors there; coordinates: (V, 2) in the texture, v up."""
    both = np.column_stack([vertices, coordinates])
    while len(faces) < FEWEST_FACES:
        both, faces = needed("trimesh.remesh").subdivide(both, faces)[:2]
    return both[:, :3], faces, _sampled(texture, both[:, 3:])


def _sampled(texture: np.ndarray, coordinates: np.ndarray) -> np.ndarray:
    """Returns colors (V, 3) in [0, 1]: the mean of a few pixels around each place (V, 2)."""
    size = np.array(texture.shape[1::-1])
    flipped = np.column_stack([coordinates[:, 0] % 1, 1 - coordinates[:, 1] % 1])
    total = np.zeros((len(coordinates), 3), np.float32)
    for offset in BLUR:
        column, row = ((flipped + offset) * size).astype(int).clip(0, size - 1).T
        total += texture[row, column]
    return total / np.float32(255 * len(BLUR))


def merged(meshes: Sequence[Mesh]) -> Mesh:
    """Returns one mesh; vertices at one place become one, with the mean of their colors."""
    starts = np.cumsum([0, *(len(vertices) for vertices, _, _ in meshes[:-1])])
    vertices = np.concatenate([vertices for vertices, _, _ in meshes])
    faces = np.concatenate([faces + start for (_, faces, _), start in zip(meshes, starts, strict=True)])
    colors = np.concatenate([colors for _, _, colors in meshes])
    keys = np.round(vertices / 1e-5).astype(np.int64)
    _, first, inverse = np.unique(keys, axis=0, return_index=True, return_inverse=True)
    inverse = inverse.reshape(-1)
    total = np.stack([np.bincount(inverse, colors[:, i]) for i in range(3)], 1)
    faces = inverse[faces]
    whole = (faces[:, 0] != faces[:, 1]) & (faces[:, 1] != faces[:, 2]) & (faces[:, 0] != faces[:, 2])
    return vertices[first], faces[whole], total / np.bincount(inverse)[:, None]


def decimated(vertices: np.ndarray, faces: np.ndarray, colors: np.ndarray) -> Mesh:
    """Returns at most `MOST_FACES` faces (quadric decimation); colors are those of the nearest vertex
    before."""
    vertices, faces = vertices.astype(np.float32), faces.astype(np.int32)
    if len(faces) > MOST_FACES:
        simplify = needed("fast_simplification").simplify
        fewer, fewer_faces = simplify(vertices, faces, target_count=MOST_FACES)
        if np.abs(np.ptp(fewer, axis=0) - np.ptp(vertices, axis=0)).max() < SHRUNK * np.ptp(vertices):
            colors = colors[cKDTree(vertices).query(fewer)[1]]
            vertices, faces = fewer, fewer_faces
    return vertices.astype(np.float32), faces.astype(np.int32), colors.astype(np.float32)
