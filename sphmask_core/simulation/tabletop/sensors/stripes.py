# SPDX-License-Identifier: Apache-2.0
"""Stripe scanners: PhoXi, Zivid: sharp, nearly without noise; blind in the projector's shadow, on gloss."""

from __future__ import annotations

import numpy as np

from sphmask_core.simulation.tabletop.raycast import View, World
from sphmask_core.simulation.tabletop.sensors.optics import NOTHING, STANDARD_WIDTH, finite, patchy, steps

BASELINE = (0.08, 0.35)
"""Meters from projector to camera, least and most"""
NOISE = (0.0001, 0.0006)
"""Meters, standard deviation at one meter"""
DARK, DIM = 0.04, 0.15
"""Brightness below which nothing is measured, and below which noise is three times as large"""
GRAZING = 0.1
"""Cosine between ray and normal below which nothing comes back"""
DAZZLING = (0.2, 0.6)
"""Light that mirrors send back from which on nothing is measured, least and most"""
EDGE, LOST_AT_EDGES, SPECKLE = 0.01, 0.3, 0.001
"""Meters between neighbors that are a step of depth; shares of pixels lost there and elsewhere"""
HORIZONTAL = 0.6
"""Share of scanners whose projector is beside the camera, not above it"""


def stripes(rng: np.random.Generator, world: World, view: View, light: np.ndarray) -> np.ndarray:
    """Returns the depth (H, W), NaN where there is none."""
    scale = view.camera.width / STANDARD_WIDTH
    exact = finite(view.depth)
    side = (
        rng.choice([-1, 1]) * view.camera.right if rng.random() < HORIZONTAL else view.camera.rotation[:, 1]
    )
    lit = world.reached(view, view.camera.position + rng.uniform(*BASELINE) * side)
    noise = rng.uniform(*NOISE) * exact**2 * (1 + 2 * (light < DIM))
    depth = exact + noise * patchy(rng, exact.shape, 3 * scale)
    lost = ~lit | ~view.seen | (view.cosine < GRAZING) | (exact > NOTHING / 2)
    lost |= (light < DARK * rng.uniform(0.3, 2)) | (view.gloss * view.cosine**4 > rng.uniform(*DAZZLING))
    lost |= rng.random(depth.shape, np.float32) < np.where(steps(exact, 1, EDGE), LOST_AT_EDGES, SPECKLE)
    return np.where(lost, np.nan, depth).astype(np.float32)
