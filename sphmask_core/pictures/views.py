# SPDX-License-Identifier: Apache-2.0
"""Which point of a cloud each pixel of a picture shows: the sensor's own view, or a view from above."""

from __future__ import annotations

import numpy as np

from sphmask_core.clouds.cloud import Cloud

ELEVATION = np.radians(40.0)
SIDEWAYS = 0.5  # of its radius that a cloud lies beside the origin to be seen from there
DISTANCE = 2.5  # of the eye, in radii of the cloud
FILL = 0.92  # of the picture that the cloud spans
SMALLEST_IMAGE = 48  # rows from which an organized cloud counts as a camera's image
MOST_POINTS = 1_000_000  # drawn of an unorganized cloud
MOST_OF_IT, ALMOST_ALL = (1, 99), (0.5, 99.5)
"""Percentiles: of places, about whose middle the eye looks; of directions, which the picture spans."""
OVERLAP, WIDEST_POINT = 1.3, 6
"""Edge of a drawn point over the mean distance of points in the picture, and at most, pixels."""
CLOSING = 3
"""Pixels by which points are larger where they close gaps between others."""
SMALLEST_RADIUS, SMALLEST_ANGLE = 1e-6, 1e-9
"""Meters, and tangent: of clouds that are a single point."""
NEAREST = 1e-3
"""Radii of the cloud from the eye, at least."""
WIDEST_IMAGE = 3  # width over height up to which it does
ROOM = (2.2, 16.0)
"""Meters across, least and most, of clouds whose near walls and ceiling are looked through."""
WALL, CEILING = 0.2, 0.25
"""Meters within which points belong to such a wall, and to the ceiling."""
LOWEST_CEILING = 1.9
"""Meters that a cloud is high at least where it is looked into from above."""
WALL_SIDES = np.radians(np.arange(-60, 61, 10))
"""Directions in which such walls lie, about that of the eye."""
OUTERMOST = 99.0
"""Percentile of places in a direction at which its wall is."""
FLOOR = 1.0
"""Percentile of heights at which the floor is."""


def pixel_points(cloud: Cloud, up: np.ndarray, size: tuple[int, int]) -> np.ndarray:
    """Returns the index of the point that each pixel shows, -1 for none: (height, width) int64.

    The image of the sensor for the frame of a camera; else a perspective view of `size` (height, width) from
    40 degrees above, `up` (3,) being the vertical, into rooms through their near walls and ceiling.
    """
    rows, columns = cloud.shape
    if rows >= SMALLEST_IMAGE and columns <= WIDEST_IMAGE * rows:
        return _sensor_view(cloud, size)
    pixels, depth, index, outer = _oblique(cloud.xyz, up, size)
    width = int(np.clip(round(OVERLAP * np.sqrt(size[0] * size[1] / len(index))), 1, WIDEST_POINT))
    picture: np.ndarray = np.full(size, -1, np.int64)
    for drawn in (~outer, outer):
        for wide in (width, width + CLOSING):
            more = _splat(pixels[drawn], depth[drawn], index[drawn], size, wide)
            picture = np.where(picture >= 0, picture, more)
    return picture


def _sensor_view(cloud: Cloud, size: tuple[int, int]) -> np.ndarray:
    """Returns the organized cloud itself, its pixels left out or repeated to be as large as `size` allows."""
    rows, columns = cloud.shape
    scale = min(size[0] / rows, size[1] / columns)
    take_rows = (np.arange(round(rows * scale)) / scale).astype(np.int64)
    take_columns = (np.arange(round(columns * scale)) / scale).astype(np.int64)
    points = take_rows[:, None] * columns + take_columns
    return np.where(np.isnan(cloud.xyz[points, 2]), -1, points)


def _oblique(
    xyz: np.ndarray, up: np.ndarray, size: tuple[int, int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Returns pixel (M, 2: row, column), depth (M,) and point index (M,) of the valid points, and which (M,)
    hide the inside of a room."""
    index = np.flatnonzero(np.isfinite(xyz[:, 2]))
    if len(index) > MOST_POINTS:
        index = np.random.default_rng(0).choice(index, MOST_POINTS, replace=False)
    low, high = np.percentile(xyz[index], MOST_OF_IT, axis=0)
    points = xyz[index] - (low + high) / 2
    radius = max(float(np.linalg.norm(high - low)) / 2, SMALLEST_RADIUS)
    axes = eye_axes(up, (low + high) / 2, radius)
    eye = points @ axes.T + [0, 0, DISTANCE * radius]
    depth = np.maximum(eye[:, 2], NEAREST * radius)
    plane = eye[:, :2] / depth[:, None]
    low, high = np.percentile(plane, ALMOST_ALL, axis=0)
    scale = FILL * min(np.array(size[::-1]) / np.maximum(high - low, SMALLEST_ANGLE))
    pixels = (plane - (low + high) / 2) * scale + [size[1] / 2, size[0] / 2]
    return pixels[:, ::-1], depth, index, _hides(points, axes, up, 2 * radius)


def _hides(points: np.ndarray, axes: np.ndarray, up: np.ndarray, across: float) -> np.ndarray:
    """Returns (M,) bool: the points on the walls before the eye, and on the ceiling, of a room; axes (3, 3)
    of the eye."""
    hidden = np.zeros(len(points), bool)
    if not ROOM[0] < across < ROOM[1]:
        return hidden
    aside, up = axes[0], up / np.linalg.norm(up)
    near = np.cross(aside, up)
    for turn in WALL_SIDES:
        place = points @ (np.cos(turn) * near + np.sin(turn) * aside)
        hidden |= place > np.percentile(place, OUTERMOST) - WALL
    height = points @ up
    floor, top = np.percentile(height, (FLOOR, OUTERMOST))
    if top - floor > LOWEST_CEILING:
        hidden |= height > top - CEILING
    return hidden


def eye_axes(up: np.ndarray, center: np.ndarray, radius: float) -> np.ndarray:
    """Returns the rows: right, down and forward of an eye that looks down at 40 degrees.

    A cloud that lies to one side of the origin is seen from there, where its sensor was.
    """
    up = up / np.linalg.norm(up)
    level = center - up * (center @ up)
    if np.linalg.norm(level) < SIDEWAYS * radius:
        level = np.cross(up, np.eye(3)[np.argmin(np.abs(up))])
    level /= np.linalg.norm(level)
    forward = np.cos(ELEVATION) * level - np.sin(ELEVATION) * up
    right = np.cross(level, up)
    return np.stack([right, np.cross(forward, right), forward])


def _splat(
    pixels: np.ndarray, depth: np.ndarray, index: np.ndarray, size: tuple[int, int], width: int
) -> np.ndarray:
    """Draw points as squares, the nearest on top: (height, width) int64, -1 where there is none."""
    order = np.argsort(-depth, kind="stable")
    corner = np.floor(pixels[order] - (width - 1) / 2).astype(np.int64)
    steps = np.stack(np.meshgrid(np.arange(width), np.arange(width), indexing="ij"), 2).reshape(-1, 2)
    rows, columns = np.moveaxis(corner[:, None] + steps, 2, 0)  # (M, width^2), far points first
    inside = (rows >= 0) & (rows < size[0]) & (columns >= 0) & (columns < size[1])
    points = np.broadcast_to(index[order][:, None], rows.shape)
    picture = np.full(size, -1, np.int64)
    picture[rows[inside], columns[inside]] = points[inside]  # the last that is written, the nearest, stays
    return picture
