# SPDX-License-Identifier: Apache-2.0
"""The errors of a Kinect: what structured light measures of an image of exact depth.

The amounts were measured on tables and boxes in real frames at 0.6 to 1.6 m, whose depth is registered to
the color camera.
"""

from __future__ import annotations

import numpy as np

from sphmask_core.simulation.camera import Camera, Image

WIDTH = 640
"""Pixels of the image in which errors are given."""
DISPARITY = 43.5
"""Pixels times meters: 580 pixels of focal length times 7.5 cm between infrared camera and projector."""
STEP = 1 / 8  # pixels of disparity between depths
NOISE = 0.08  # pixels of disparity, standard deviation
PATCH = (3, 6)  # pixels of an image 640 wide, rows and columns over which the noise is alike
PROJECTOR, INFRARED = 0.05, -0.025  # meters right of the color camera
HIDDEN = 1.5  # pixels of disparity by which something nearer hides a point
EDGE = 0.02  # meters between neighbors that are a step of depth
RAGGED = 0.9  # pixels that such an edge wanders by
MIXED = 0.1  # of the pixels there, that measure both sides at once
SPECKLE, LOST_AT_EDGES = 0.0005, 0.15  # shares of pixels lost, anywhere and at such edges
GRAZING = 0.12  # cosine between normal and ray below which nothing comes back
NOTHING = 1e3  # meters that stand for what no ray hits


def measure(rng: np.random.Generator, image: Image, facing: np.ndarray, camera: Camera) -> Image:
    """Returns the image with measured depth, NaN and label 0 where there is none; `facing` (height, width):
    cosines.

    Disparity is noisy and comes in steps of 1/8 pixel, so that the error grows with the square of the depth.
    Nothing is seen where the projector's light does not reach or the infrared camera does not look, at
    grazing angles, now and then at edges of depth, which are ragged.
    """
    noise = _patchy(rng, camera)
    depth, labels, edge = _ragged(rng, image, noise)
    disparity = DISPARITY / depth  # zero where there is nothing
    measured = np.round((disparity + NOISE * noise) / STEP) * STEP
    lost = np.isinf(depth) | (facing < GRAZING)
    lost |= ~_in_view(disparity, PROJECTOR, camera) | ~_in_view(disparity, INFRARED, camera)
    lost |= rng.random(depth.shape, np.float32) < np.where(edge, LOST_AT_EDGES, SPECKLE)
    with np.errstate(divide="ignore"):
        return Image(np.where(lost, np.nan, DISPARITY / measured), image.rgb, np.where(lost, 0, labels))


def _patchy(rng: np.random.Generator, camera: Camera) -> np.ndarray:
    """Returns (height, width) float32 noise with standard deviation 1 that changes slowly from pixel to
    pixel."""
    rows, columns = (max(1, round(size * camera.width / WIDTH)) for size in PATCH)
    white = rng.standard_normal((camera.height + rows, camera.width + columns), np.float32)
    total = white.cumsum(0).cumsum(1)
    bands = total[rows:] - total[:-rows]
    return np.asarray((bands[:, columns:] - bands[:, :-columns]) / np.float32(np.sqrt(rows * columns)))


def _ragged(
    rng: np.random.Generator, image: Image, noise: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns depth, labels and edges (height, width), where pixels beside a step of depth show the other
    side."""
    height, width = image.depth.shape
    scale = RAGGED * width / WIDTH
    rows = np.arange(height)[:, None] + np.rint(scale * noise[::-1]).astype(np.int64)
    columns = np.arange(width) + np.rint(scale * noise[:, ::-1]).astype(np.int64)
    pixels = np.clip(rows, 0, height - 1) * width + np.clip(columns, 0, width - 1)
    filled = np.minimum(image.depth, NOTHING)
    moved = filled.take(pixels)
    edge = np.abs(moved - filled) > EDGE
    mixed = edge & (rng.random(edge.shape, np.float32) < MIXED) & (np.maximum(moved, filled) < NOTHING)
    depth = np.where(mixed, 2 / (1 / moved + 1 / filled), np.where(edge, moved, filled))
    labels = np.where(edge, image.labels.take(pixels), image.labels)
    return np.where(depth < NOTHING, depth, np.inf), labels, edge


def _in_view(disparity: np.ndarray, position: float, camera: Camera) -> np.ndarray:
    """Returns (height, width) bool: whether the straight line from each pixel to a place `position` meters
    right of the camera is free."""
    shift = disparity * (position / DISPARITY * camera.focal)
    column = np.rint(np.arange(camera.width) - shift).astype(np.int64)
    span = camera.width + 2 * int(np.abs(shift).max()) + 2
    target = column + int(np.abs(shift).max()) + 1 + np.arange(camera.height)[:, None] * span
    nearest = np.zeros(span * camera.height, disparity.dtype)
    np.maximum.at(nearest, target.reshape(-1), disparity.reshape(-1))
    return np.asarray(disparity >= nearest.take(target) - HIDDEN * WIDTH / camera.width)
