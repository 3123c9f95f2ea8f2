# SPDX-License-Identifier: Apache-2.0
"""Structured light: Kinect v1, PrimeSense Carmine, Xtion, Astra.

Depth is that of a disparity in steps (Khoshelham and Elberink, Sensors 2012), noisy in patches; nothing is
measured where the projector's light does not reach; edges are ragged.
"""

from __future__ import annotations

import numpy as np

from sphmask_core.simulation.tabletop.raycast import View, World
from sphmask_core.simulation.tabletop.sensors.optics import (
    NOTHING,
    STANDARD_WIDTH,
    filled,
    finite,
    patchy,
    steps,
    wander,
)

DISPARITY = 43.5
"""Pixels times meters: 580 pixels of focal length, 7.5 cm between projector and camera"""
STEP = (1 / 8, 1 / 8, 1 / 16)
"""Pixels of disparity between depths"""
NOISE = (0.04, 0.12)
"""Pixels of disparity, standard deviation"""
BASELINE = 0.075
"""Meters between projector and camera"""
GRAZING = 0.12
"""Cosine between ray and normal below which nothing comes back"""
DARK, LOST_IN_DARK = 0.05, 0.5
"""Brightness below which nothing is measured, in that share of frames"""
DAZZLING = (0.3, 0.7)
"""Light that mirrors send back from which on nothing is measured, least and most"""
EDGE = 0.02
"""Meters between neighbors that are a step of depth"""
LOST_AT_EDGES = 0.2
SPECKLE = 0.0005
"""Shares of pixels lost at such edges and elsewhere"""
NEAREST = 0.35
"""Meters below which nothing is measured: the least of these cameras, the Carmine's"""
FILLED = 0.12
"""Share of frames whose holes the driver has filled"""


def structured_light(rng: np.random.Generator, world: World, view: View, light: np.ndarray) -> np.ndarray:
    """Returns the depth (H, W), NaN where there is none."""
    scale = view.camera.width / STANDARD_WIDTH
    shape = view.depth.shape
    exact = finite(view.depth)
    lit = world.reached(view, view.camera.position + rng.choice([-1, 1]) * BASELINE * view.camera.right)
    seen = np.where(lit & view.seen, exact, np.float32(NOTHING))
    seen = wander(rng, seen, 5 * scale, rng.uniform(0.4, 1.1) * scale)
    lost = (seen >= NOTHING) | (view.cosine < GRAZING) | (seen < NEAREST)
    lost |= (light < DARK) & (rng.random() < LOST_IN_DARK)
    lost |= view.gloss * view.cosine > rng.uniform(*DAZZLING)
    edge = steps(exact, 1, EDGE)
    lost |= rng.random(shape, np.float32) < np.where(edge, LOST_AT_EDGES, SPECKLE)
    noise = rng.uniform(*NOISE) * patchy(rng, shape, 5 * scale)
    step = rng.choice(STEP)
    disparity = np.round((DISPARITY / seen + noise) / step) * step
    depth = np.where(lost, np.nan, DISPARITY / np.maximum(disparity, 1e-3)).astype(np.float32)
    return filled(rng, depth) if rng.random() < FILLED else depth
