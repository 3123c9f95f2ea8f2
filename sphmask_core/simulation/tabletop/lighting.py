# SPDX-License-Identifier: Apache-2.0
"""Lamps with shadows, and a color camera with its exposure, white balance, highlights, haze and noise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.ndimage import gaussian_filter, map_coordinates

from sphmask_core.simulation.tabletop.raycast import View, World

Random = np.random.Generator

SHADOWS = 0.6
"""Share of frames with shadows."""
SHARPNESS = 12
"""Exponent of highlights (Phong)."""
LAMP_HEIGHT, LAMP_DISTANCE, AMBIENT = (25, 85), (1, 3), (0.35, 0.75)
"""Degrees above what is looked at, meters from it, and share of light from everywhere; least and most."""
IN_SHADOW, FULL = 0.15, 1.25
"""Share of a lamp's light that walls send into shadows; brightness of what it shines on from the front."""

# The color camera's errors, set by hand, so that photographs look as various as real ones.
EXPOSURE_SPREAD, EXPOSURE, TINT = 0.22, (0.8, 1.25), 0.13
"""Deviation in logarithms, factor, and how far each color's factor is from 1."""
HAZY, HAZE, VEIL = 0.35, 0.15, 0.12
"""Share of photographs with haze, and the contrast and brightness that it takes and gives at most."""
BLUR, GAMMA, NOISE = (0.3, 0.9), (0.7, 1.15), (0.003, 0.02)
"""Pixels of an image 640 wide, exponent, deviation of brightness; least and most."""
MOST_SHIFT = 8.0
"""Pixels of an image 640 wide by which color and depth are apart, at most."""


@dataclass(frozen=True)
class Lamp:
    """One lamp, and light from everywhere."""

    position: np.ndarray
    """(3,) in the world"""
    ambient: float
    """Share of light from everywhere"""
    shadows: bool


def random_lamp(rng: Random, target: np.ndarray) -> Lamp:
    """Returns a lamp above what is looked at, 1 to 3 m away."""
    around, up = rng.uniform(0, 2 * np.pi), np.radians(rng.uniform(*LAMP_HEIGHT))
    out = np.array([np.cos(around) * np.cos(up), np.sin(around) * np.cos(up), np.sin(up)])
    return Lamp(target + out * rng.uniform(*LAMP_DISTANCE), rng.uniform(*AMBIENT), rng.random() < SHADOWS)


def brightness(world: World, view: View, lamp: Lamp) -> np.ndarray:
    """Returns (H, W, 3) float32: colors under the lamp (Lambert), with highlights (Phong)."""
    away = lamp.position.astype(np.float32) - view.points
    away /= np.maximum(np.linalg.norm(away, axis=2, keepdims=True), 1e-6)
    lit = np.clip((away * view.normals).sum(2), 0, 1)
    if lamp.shadows:
        lit = lit * np.where(world.reached(view, lamp.position), 1, IN_SHADOW)
    to_camera = view.camera.position.astype(np.float32) - view.points
    to_camera /= np.maximum(np.linalg.norm(to_camera, axis=2, keepdims=True), 1e-6)
    mirrored = 2 * (away * view.normals).sum(2, keepdims=True) * view.normals - away
    highlight = np.clip((mirrored * to_camera).sum(2), 0, 1) ** SHARPNESS * view.gloss * (lit > 0)
    light = lamp.ambient + (FULL - lamp.ambient) * lit
    return np.asarray(view.colors * light[..., None] + highlight[..., None])


def photograph(rng: Random, image: np.ndarray, view: View, misaligned: bool) -> np.ndarray:
    """Returns (H, W, 3) uint8 of what a color camera makes of it; `misaligned`: some pixels apart from the
    depth."""
    exposure = np.exp(rng.normal(scale=EXPOSURE_SPREAD)) * rng.uniform(*EXPOSURE)
    tint = 1 + rng.uniform(-TINT, TINT, 3)
    photo = image * (exposure * tint).astype(np.float32)
    if rng.random() < HAZY:
        photo = photo * (1 - rng.uniform(0, HAZE)) + rng.uniform(0, VEIL)
    sigma = rng.uniform(*BLUR) * view.camera.width / 640
    photo = np.stack([gaussian_filter(photo[..., k], sigma) for k in range(3)], 2)
    if misaligned:
        photo = _shifted(rng, photo, view)
    photo = np.clip(photo, 0, None) ** np.float32(rng.uniform(*GAMMA))
    photo = photo + np.float32(rng.uniform(*NOISE)) * rng.standard_normal(photo.shape, np.float32)
    return np.asarray(np.clip(255 * photo, 0, 255).astype(np.uint8))


def _shifted(rng: Random, photo: np.ndarray, view: View) -> np.ndarray:
    """Returns the photograph as the color camera beside the depth camera took it: apart by less the farther
    away."""
    pixels = rng.uniform(0, MOST_SHIFT) * view.camera.width / 640
    angle = rng.normal(scale=0.3) + rng.choice([0, np.pi])
    near = np.nanmedian(view.depth[view.seen]) if view.seen.any() else 1.0
    parallax = 0.5 + 0.5 * np.clip(near / np.maximum(view.depth, 0.1), 0, 3)
    rows, columns = np.mgrid[: photo.shape[0], : photo.shape[1]].astype(np.float32)
    at = [rows + pixels * np.sin(angle) * parallax, columns + pixels * np.cos(angle) * parallax]
    return np.stack([map_coordinates(photo[..., k], at, order=1, mode="nearest") for k in range(3)], 2)
