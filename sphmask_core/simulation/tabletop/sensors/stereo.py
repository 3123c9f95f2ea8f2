# SPDX-License-Identifier: Apache-2.0
"""Stereo with a projected pattern: RealSense D415, D435, D455.

Windows are matched, so that near things grow into what is behind them, edges are smeared, and what has no
texture comes and goes in blobs; what only one eye sees is lost (left of near things); depth is that of a
disparity in 32nds of a pixel.
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, minimum_filter, sobel

from sphmask_core.simulation.tabletop.raycast import View, World
from sphmask_core.simulation.tabletop.sensors.optics import (
    NOTHING,
    STANDARD_WIDTH,
    filled,
    finite,
    patchy,
    smoothed,
    wander,
)

BASELINE = (0.05, 0.055, 0.095)
"""Meters: D435, D415, D455"""
FOCAL = 610.0
"""Pixels, in an image 640 wide that is matched"""
STEP = 1 / 32
NOISE = (0.03, 0.14)
"""Pixels of disparity, standard deviation"""
WINDOW = (3, 9)
"""Pixels that are matched at once"""
NEAREST = (0.17, 0.4)
"""Meters below which nothing is matched, least and most: about as the data sheets have it"""
OCCLUDED = 0.01
"""Meters by which a grown thing must be nearer to cover what only one eye sees"""
EDGE = 0.01
"""Meters of a step within which a frame is smoothed"""
DARK, BRIGHT, SLANTED = 0.06, 1.1, 0.2
"""Brightness below and above which, and cosine below which, less is matched"""
DARK_LOSS, BRIGHT_LOSS, GLOSS_LOSS, SLANT_LOSS = 0.25, 0.3, 0.5, 0.5
"""What each of these adds to the texture that is missing"""
SPECKLE = 0.0005
"""Share of single pixels that are lost"""
FLAT = 0.012
"""Change of brightness a pixel below which a surface has no texture of its own"""
BLANK = (0.0, 0.8)
"""Share of surfaces without texture where nothing is matched"""
FILLED, SMOOTHED = 0.1, 0.4
"""Shares of frames with holes filled; smoothed within surfaces"""


def stereo(rng: np.random.Generator, world: World, view: View, light: np.ndarray) -> np.ndarray:
    """Returns the depth (H, W), NaN where there is none."""
    scale = view.camera.width / STANDARD_WIDTH
    exact = finite(view.depth)
    baseline = rng.choice(BASELINE)
    both = world.reached(view, view.camera.position + baseline * view.camera.right)
    window = rng.uniform(*WINDOW) * scale
    near = _grown(rng, exact, window)
    per_meter = FOCAL * baseline
    disparity = per_meter / near
    disparity = gaussian_filter(disparity, rng.uniform(0.15, 0.3) * window)
    disparity += rng.uniform(*NOISE) * _bumps(rng, view.depth.shape, scale)
    disparity = np.round(disparity / STEP) * STEP
    depth = per_meter / np.maximum(disparity, 1e-3)
    kept = both | (near < exact - OCCLUDED)
    lost = (
        wander(rng, ~kept, 8 * scale, 1.5 * scale) | (near >= NOTHING / 2) | (depth < rng.uniform(*NEAREST))
    )
    lost |= _unmatched(rng, view, light, scale)
    depth = np.where(lost, np.nan, depth).astype(np.float32)
    if rng.random() < SMOOTHED:
        depth = smoothed(depth, rng.uniform(1, 3) * scale, EDGE)
    return filled(rng, depth) if rng.random() < FILLED else depth


def _grown(rng: np.random.Generator, depth: np.ndarray, window: float) -> np.ndarray:
    """Returns the depth (H, W), where near things have grown by up to half a window, by more here and less
    there."""
    size = max(1, round(window / 2)) * 2 + 1
    grown = minimum_filter(depth, size)
    ragged = wander(rng, depth, 3 * window, 0.4 * window)
    return np.where(patchy(rng, depth.shape, 3 * window) > rng.uniform(-0.3, 1.2), grown, ragged)


def _bumps(rng: np.random.Generator, shape: tuple[int, int], scale: float) -> np.ndarray:
    """Returns (H, W) waves of some pixels and some tens of pixels."""
    fine, coarse = patchy(rng, shape, 6 * scale), patchy(rng, shape, 30 * scale)
    return np.asarray(0.8 * fine + 0.6 * coarse)


def _unmatched(rng: np.random.Generator, view: View, light: np.ndarray, scale: float) -> np.ndarray:
    """Returns (H, W) bool: blobs where there is no texture, most of all on dark, bright, glossy and slanted
    surfaces."""
    texture = gaussian_filter(np.hypot(sobel(light, 0), sobel(light, 1)) / 8, 2 * scale)
    need = max(rng.uniform(*BLANK) - 0.35, 0) * np.exp(-texture / FLAT)
    need = need + DARK_LOSS * (light < DARK) + BRIGHT_LOSS * (light > BRIGHT)
    need = need + GLOSS_LOSS * view.gloss + SLANT_LOSS * (view.cosine < SLANTED)
    level = 0.5 + 0.25 * patchy(rng, light.shape, rng.uniform(8, 24) * scale)
    return np.asarray((level < 0.6 * need) | (rng.random(light.shape, np.float32) < SPECKLE))
