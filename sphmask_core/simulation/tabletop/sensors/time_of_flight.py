# SPDX-License-Identifier: Apache-2.0
"""Time of flight: Kinect v2, Azure Kinect.

A pixel that sees two surfaces measures between them (flying pixels); light over other surfaces makes
corners rounder and farther; noise grows as less light comes back (Tölgyessy et al., Sensors 2021).
"""

from __future__ import annotations

import numpy as np
from scipy.ndimage import gaussian_filter, uniform_filter

from sphmask_core.simulation.tabletop.raycast import View, World
from sphmask_core.simulation.tabletop.sensors.optics import (
    NOTHING,
    STANDARD_WIDTH,
    filled,
    finite,
    patchy,
    smoothed,
    steps,
)

NOISE = (0.0008, 0.003)
"""Meters, standard deviation at one meter on a white surface seen from the front"""
BLUR = (0.3, 0.75)
"""Pixels, of the image as it is, that light spreads over"""
CORNER = (0.0, 0.012)
"""Meters that a right corner between white surfaces seems farther"""
REACH = 24
"""Pixels from which light comes over other surfaces"""
FAINT = 0.012
"""Light that comes back below which nothing is measured"""
EDGE = 0.03
"""Meters between neighbors that are a step of depth"""
NEAREST = 0.25
"""Meters below which nothing is measured"""
DARKEST = 0.08
"""Color below which surfaces send back no less infrared light"""
FARTHEST = 8
"""Meters: what is farther counts as that far where a pixel mixes two surfaces"""
WAVES = 0.004
"""Meters of errors that are alike over large parts of the image, at most"""
LOST_AT_EDGES = 0.8
"""Share of pixels lost at edges, at most"""
ROUND_FIELD, SMOOTHED, FILLED = 0.5, 0.5, 0.05
"""Shares of frames without the corners of the image, smoothed within surfaces, and with holes filled"""
LIT = 1.22
"""Distance from the image's middle up to which there is light; its sides are at 1, its corners at 1.41"""
MOST_TURNED = 0.3
"""How far the normals around a pixel differ in a right corner: 1 less the length of their mean"""


def time_of_flight(rng: np.random.Generator, world: World, view: View, light: np.ndarray) -> np.ndarray:
    """Returns the depth (H, W), NaN where there is none."""
    scale = view.camera.width / STANDARD_WIDTH
    exact = finite(view.depth)
    back = np.clip(view.colors.mean(2), DARKEST, 1) * view.cosine / np.maximum(exact, 0.2) ** 2
    back = np.where(view.seen, back, 1e-6)
    sigma = rng.uniform(*BLUR)
    mixed = gaussian_filter(back * np.minimum(exact, FARTHEST), sigma) / np.maximum(
        gaussian_filter(back, sigma), 1e-9
    )
    depth = np.where(steps(exact, 1, EDGE / 2), mixed, exact)
    depth = depth + rng.uniform(*CORNER) * _corners(view, scale)
    noise = rng.uniform(*NOISE) / np.sqrt(np.maximum(back, 1e-3))
    depth = depth + noise * rng.standard_normal(depth.shape, np.float32)
    depth = depth + rng.uniform(0, WAVES) * patchy(rng, depth.shape, 60 * scale)
    lost = ~view.seen | (back < FAINT * rng.uniform(0.3, 1.5)) | (depth < NEAREST) | (exact > NOTHING / 2)
    edge = steps(exact, 1, EDGE)
    lost |= edge & (rng.random(depth.shape, np.float32) < rng.uniform(0, LOST_AT_EDGES))
    if rng.random() < ROUND_FIELD:
        lost |= _corners_of_image(view)
    depth = np.where(lost, np.nan, depth).astype(np.float32)
    if rng.random() < SMOOTHED:
        depth = smoothed(depth, rng.uniform(0.8, 2) * scale, 0.01)
    return filled(rng, depth) if rng.random() < FILLED else depth


def _corners(view: View, scale: float) -> np.ndarray:
    """Returns (H, W) in [0, 1]: how far the surfaces around a pixel face one another."""
    size = max(3, round(REACH * scale))
    mean = np.stack([uniform_filter(view.normals[..., k], size) for k in range(3)], 2)
    return np.asarray(
        np.clip(1 - np.linalg.norm(mean, axis=2), 0, MOST_TURNED) / MOST_TURNED * view.colors.mean(2)
    )


def _corners_of_image(view: View) -> np.ndarray:
    """Returns (H, W) bool: whether a pixel is outside of the round or six-sided field that is lit."""
    x, y = np.moveaxis(view.camera.directions[..., :2], 2, 0)
    radius = np.hypot(x / np.abs(x).max(), y / np.abs(y).max())
    return np.asarray(radius > LIT)
