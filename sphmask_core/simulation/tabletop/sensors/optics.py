# SPDX-License-Identifier: Apache-2.0
"""What depth cameras have in common: patchy noise, places where depth steps, holes that are filled."""

from __future__ import annotations

import numpy as np
from scipy.ndimage import distance_transform_edt, gaussian_filter, maximum_filter, minimum_filter

Random = np.random.Generator

NOTHING = 1e3
"""Meters that stand for what no ray hits."""
STANDARD_WIDTH = 640
"""Pixels of the image in which the sizes of errors are given."""


def patchy(rng: Random, shape: tuple[int, int], size: float) -> np.ndarray:
    """Returns (H, W) float32 noise of mean 0 and deviation 1, alike over `size` pixels."""
    coarse = tuple(int(np.ceil(n / max(size / 2, 1))) + 3 for n in shape)
    noise = gaussian_filter(rng.standard_normal(coarse, np.float32), min(size / 2, 1.0), mode="wrap")
    rows, columns = (np.linspace(0, m - 1.001, n) for m, n in zip(coarse, shape, strict=True))
    r, c = rows.astype(int), columns.astype(int)
    fr, fc = (rows - r).astype(np.float32)[:, None], (columns - c).astype(np.float32)
    upper = noise[r][:, c] * (1 - fc) + noise[r][:, c + 1] * fc
    lower = noise[r + 1][:, c] * (1 - fc) + noise[r + 1][:, c + 1] * fc
    smooth = upper * (1 - fr) + lower * fr
    return np.asarray((smooth - smooth.mean()) / max(float(smooth.std()), 1e-6))


def finite(depth: np.ndarray) -> np.ndarray:
    """Returns the depth with `NOTHING` where it is infinite."""
    return np.minimum(depth, np.float32(NOTHING))


def steps(depth: np.ndarray, radius: int, least: float) -> np.ndarray:
    """Returns (H, W) bool: whether depth steps by more than `least` meters within `radius` pixels, beyond a
    slope."""
    size = 2 * radius + 1
    near, far = minimum_filter(depth, size), maximum_filter(depth, size)
    return np.asarray(far - near > least + slope_of(depth) * 2 * radius)


def slope_of(depth: np.ndarray) -> np.ndarray:
    """Returns (H, W) meters a pixel by which depth changes to its nearer neighbors: that of the surface
    itself."""
    padded = np.pad(depth, 1, mode="edge")
    across = np.minimum(np.abs(padded[1:-1, 2:] - depth), np.abs(depth - padded[1:-1, :-2]))
    down = np.minimum(np.abs(padded[2:, 1:-1] - depth), np.abs(depth - padded[:-2, 1:-1]))
    return np.asarray(across + down)


def wander(rng: Random, image: np.ndarray, size: float, reach: float) -> np.ndarray:
    """Returns the image with each pixel taken from up to `reach` pixels away, alike over `size`: ragged
    edges."""
    height, width = image.shape[:2]
    down, across = (reach * patchy(rng, (height, width), size) for _ in range(2))
    rows = np.clip(np.arange(height)[:, None] + np.rint(down).astype(int), 0, height - 1)
    columns = np.clip(np.arange(width) + np.rint(across).astype(int), 0, width - 1)
    return np.asarray(image[rows, columns])


def filled(rng: Random, depth: np.ndarray) -> np.ndarray:
    """Returns the depth without holes, as some drivers give it: each takes the nearest depth, then all is
    smoothed."""
    holes = ~np.isfinite(depth)
    if holes.all() or not holes.any():
        return depth
    nearest = distance_transform_edt(holes, return_distances=False, return_indices=True)
    whole = depth[tuple(nearest)]
    smooth = gaussian_filter(whole, rng.uniform(0.6, 1.8) * depth.shape[1] / STANDARD_WIDTH)
    return np.asarray(smooth)


def smoothed(depth: np.ndarray, sigma: float, step: float) -> np.ndarray:
    """Returns the depth smoothed within surfaces: where the blurred depth differs by more than `step` meters
    it stays."""
    known = np.isfinite(depth)
    weight = gaussian_filter(known.astype(np.float32), sigma)
    blurred = gaussian_filter(np.where(known, depth, 0), sigma) / np.maximum(weight, 1e-3)
    near = np.abs(blurred - depth) < step
    return np.asarray(np.where(known & near, blurred, depth))
