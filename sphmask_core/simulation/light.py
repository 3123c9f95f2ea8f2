# SPDX-License-Identifier: Apache-2.0
"""A lamp and a color camera: how bright and how tinted surfaces look."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sphmask_core.simulation.camera import Camera
from sphmask_core.simulation.product import product

AMBIENT = 0.55
"""Share of light from everywhere; set by hand, as the other amounts."""
NOISE = 0.015
"""Standard deviation of the color camera's brightness."""
ASIDE, FALL = 0.7, 0.4
"""How far the lamp is aside for each unit that it is above, and change of brightness for a unit of ray slope,
at most."""
EXPOSURE, TINT = (0.75, 1.15), (0.92, 1.08)
"""Factors of brightness and of each color, least and most."""


@dataclass(frozen=True)
class Light:
    """A lamp far above, and the camera's exposure and white balance."""

    lamp: np.ndarray
    """(3,) unit vector to it"""
    fall: np.ndarray
    """(2,) change of brightness along the image's x and y, a unit of ray slope"""
    tint: np.ndarray
    """(3,) factor of red, green and blue"""

    def colors(
        self, rng: np.random.Generator, rgb: np.ndarray, facing: np.ndarray, camera: Camera
    ) -> np.ndarray:
        """Returns (height, width, 3) uint8 of surface colors; `facing` (3, height, width) normals in its
        frame."""
        lamp = self.lamp @ camera.rotation
        light = AMBIENT + (1 - AMBIENT) * np.clip(product(lamp, facing), 0, 1)
        light *= 1 + product(self.fall, camera.directions[:2])
        noise = np.float32(255 * NOISE) * rng.standard_normal(light.shape, np.float32)
        seen = np.empty(rgb.shape, np.uint8)
        for channel, factor in enumerate(
            (255 * self.tint).astype(np.float32)
        ):  # each at once: a third the time
            seen[..., channel] = np.clip(rgb[..., channel] * factor * light + noise, 0, 255)
        return seen


def random_light(rng: np.random.Generator) -> Light:
    """Returns a lamp somewhere above, and a camera's exposure and white balance."""
    lamp = np.append(rng.uniform(-ASIDE, ASIDE, 2), 1.0)
    tint = rng.uniform(*EXPOSURE) * rng.uniform(*TINT, 3)
    return Light(lamp / np.linalg.norm(lamp), rng.uniform(-FALL, FALL, 2), tint)
