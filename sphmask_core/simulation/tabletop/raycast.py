# SPDX-License-Identifier: Apache-2.0
"""What a camera sees of meshes, ray by ray, in Embree (Wald et al., SIGGRAPH 2014)."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from sphmask_core.simulation.tabletop.extra import needed
from sphmask_core.simulation.tabletop.stage import Item

LIFT = 1e-3
"""Meters by which a ray starts away from the surface that it leaves."""


@dataclass(frozen=True)
class Pinhole:
    """A camera; its optical frame is x right, y down, z forward."""

    width: int
    height: int
    focal: float
    """Focal length, pixels."""
    rotation: np.ndarray
    """(3, 3), columns: the optical axes in the world"""
    position: np.ndarray
    """(3,) in the world"""

    @property
    def directions(self) -> np.ndarray:
        """Returns (height, width, 3) float32 rays in the optical frame, z = 1."""
        u = (np.arange(self.width) + 0.5 - self.width / 2) / self.focal
        v = (np.arange(self.height) + 0.5 - self.height / 2) / self.focal
        return np.dstack([*np.meshgrid(u, v), np.ones((self.height, self.width))]).astype(np.float32)

    @property
    def right(self) -> np.ndarray:
        """Returns the direction (3,) to the right, in the world"""
        return np.asarray(self.rotation[:, 0])


@dataclass(frozen=True)
class View:
    """What is exactly before each pixel; infinite depth and item -1 where there is nothing."""

    camera: Pinhole
    depth: np.ndarray
    """(H, W) float32 meters along the optical axis"""
    item: np.ndarray
    """(H, W) int64 index of the thing"""
    points: np.ndarray
    """(H, W, 3) float32 in the world; the camera's position where there is nothing"""
    normals: np.ndarray
    """(H, W, 3) float32 unit, in the world, toward the camera"""
    cosine: np.ndarray
    """(H, W) float32 between normal and ray"""
    colors: np.ndarray
    """(H, W, 3) float32 in [0, 1] of the surface, without light"""
    gloss: np.ndarray
    """(H, W) float32 share of light that is mirrored"""

    @property
    def seen(self) -> np.ndarray:
        """Returns (H, W) bool: whether there is anything."""
        return self.item >= 0


@dataclass(frozen=True)
class Hits:
    """What R rays hit first; infinite distance and item -1 where they hit nothing."""

    distance: np.ndarray
    """(R,) float32 in lengths of the ray's direction"""
    item: np.ndarray
    """(R,) int64 index of the thing"""
    points: np.ndarray
    """(R, 3) float32 in the world; the ray's origin where there is nothing"""
    normals: np.ndarray
    """(R, 3) float32 unit, in the world, against the ray"""
    cosine: np.ndarray
    """(R,) float32 between normal and ray"""
    colors: np.ndarray
    """(R, 3) float32 in [0, 1] of the surface, without light"""
    gloss: np.ndarray
    """(R,) float32 share of light that is mirrored"""


class World:
    """Things as one mesh that rays can be cast at."""

    def __init__(self, items: Sequence[Item]) -> None:
        rtcore = needed("embreex.rtcore_scene")
        construction = needed("embreex.mesh_construction")
        self.items = items
        placed = [
            (item.model.vertices @ item.pose.rotation.T + item.pose.position).astype(np.float32)
            for item in items
        ]
        starts = np.cumsum([0, *(len(vertices) for vertices in placed[:-1])])
        self._vertices = np.concatenate(placed)
        faces = [item.model.faces + start for item, start in zip(items, starts, strict=True)]
        self._faces = np.concatenate(faces).astype(np.int32)
        self._owner = np.repeat(np.arange(len(items)), [len(of_item) for of_item in faces])
        self._colors = np.concatenate(
            [
                np.zeros_like(item.model.vertices) if item.model.colors is None else item.model.colors
                for item in items
            ]
        ).astype(np.float32)
        self._scene = rtcore.EmbreeScene()
        construction.TriangleMesh(self._scene, self._vertices, self._faces)

    def look(self, camera: Pinhole) -> View:
        """Cast one ray a pixel."""
        shape = (camera.height, camera.width)
        rays = camera.directions.reshape(-1, 3) @ camera.rotation.T.astype(np.float32)
        hits = self.cast(np.broadcast_to(camera.position.astype(np.float32), rays.shape), rays)
        return View(
            camera,
            hits.distance.reshape(shape),
            hits.item.reshape(shape),
            hits.points.reshape(*shape, 3),
            hits.normals.reshape(*shape, 3),
            hits.cosine.reshape(shape),
            hits.colors.reshape(*shape, 3),
            hits.gloss.reshape(shape),
        )

    def cast(self, origins: np.ndarray, rays: np.ndarray) -> Hits:
        """Returns what rays (R, 3) from origins (R, 3) float32 hit first."""
        rays = np.ascontiguousarray(rays, np.float32)
        origins = np.array(origins, np.float32)
        hit = self._scene.run(origins, rays, query="INTERSECT", output=True)
        seen = hit["primID"] >= 0
        face = np.where(seen, hit["primID"], 0)
        distance = np.where(seen, hit["tfar"], np.float32(np.inf)).astype(np.float32)
        points = origins + rays * np.where(seen, distance, 0)[:, None]
        normals = hit["Ng"] / np.maximum(np.linalg.norm(hit["Ng"], axis=1, keepdims=True), 1e-20)
        unit = rays / np.linalg.norm(rays, axis=1, keepdims=True)
        cosine = -(normals * unit).sum(1)
        normals = (normals * np.where(cosine < 0, -1, 1)[:, None]).astype(np.float32)
        item = np.where(seen, self._owner[face], -1)
        colors, gloss = self._appearance(item, face, hit["u"], hit["v"], points)
        return Hits(distance, item, points, normals, np.abs(cosine).astype(np.float32), colors, gloss)

    def reached(self, view: View, place: np.ndarray) -> np.ndarray:
        """Returns (H, W) bool: whether nothing is between what each pixel sees and a place (3,) in the
        world."""
        at = np.flatnonzero(view.seen)
        normals = view.normals.reshape(-1, 3)[at]
        starts = view.points.reshape(-1, 3)[at] + np.float32(LIFT) * normals
        rays = (place - starts).astype(np.float32)
        free = self._scene.run(starts, rays, np.ones(len(at), np.float32), query="OCCLUDED") < 0
        free &= (rays * normals).sum(1) > 0
        free_pixels = np.zeros(view.item.size, bool)
        free_pixels[at] = free
        return free_pixels.reshape(view.item.shape)

    def _appearance(
        self, item: np.ndarray, face: np.ndarray, u: np.ndarray, v: np.ndarray, points: np.ndarray
    ) -> tuple[np.ndarray, np.ndarray]:
        """Returns colors (P, 3) and gloss (P,) of points (P, 3) on faces."""
        corners = self._colors[self._faces[face]]
        weights = np.stack([1 - u - v, u, v], 1)
        colors = (corners * weights[..., None]).sum(1)
        order = np.argsort(item, kind="stable")
        bounds = np.searchsorted(item[order], np.arange(len(self.items) + 1))
        gloss = np.zeros(len(item), np.float32)
        for i, (first, last) in enumerate(itertools.pairwise(bounds)):
            model, pose = self.items[i].model, self.items[i].pose
            rows = order[first:last]
            gloss[rows] = model.gloss
            if model.colors is None and model.paint is not None and len(rows):
                local = (points[rows] - pose.position.astype(np.float32)) @ pose.rotation.astype(np.float32)
                colors[rows] = model.paint.at(np.ascontiguousarray(local.T))
        return colors.astype(np.float32), gloss
