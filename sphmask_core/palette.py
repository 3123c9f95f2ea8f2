# SPDX-License-Identifier: Apache-2.0
"""Colors of instances: in pictures, in files and in messages the same."""

from __future__ import annotations

import colorsys

import numpy as np

GOLDEN_RATIO = 0.61803398875
"""Turns of the color wheel from one hue to the next: no multiple of it comes close to an earlier hue soon."""
FIRST_HUE = 0.02
"""Turns of the color wheel at which the first hue lies: red."""
HUES_PER_TONE = 6
TONES = ((0.75, 0.95), (0.9, 0.7), (0.5, 1.0))
"""Saturation and value, in turn, of HUES_PER_TONE colors each."""
BRIGHTEST = 255
"""The largest value of a color's channel in bytes."""
MID_BRIGHTNESS = BRIGHTEST / 2
"""Bytes of 0 to 255 are -1 to 1 in the network, so that this is 0 there."""
MID_GRAY = 128
"""Gray of points without color or instance."""
REMEMBERED = 256
"""Colors after which those of objects begin again."""


def instance_colors(count: int) -> np.ndarray:
    """Returns the colors (count, 3) uint8, each as different from those before it as can be."""
    hues = (FIRST_HUE + np.arange(count) * GOLDEN_RATIO) % 1.0
    colors = [colorsys.hsv_to_rgb(hue, *TONES[i // HUES_PER_TONE % len(TONES)]) for i, hue in enumerate(hues)]
    return (np.array(colors).reshape(-1, 3) * BRIGHTEST).astype(np.uint8)


_CYCLE = instance_colors(REMEMBERED)


def color_bytes(values: np.ndarray) -> np.ndarray:
    """Returns colors in 0 to 255, of any type of number, as uint8: rounded, and clipped to that range."""
    return np.clip(np.rint(values), 0, BRIGHTEST).astype(np.uint8)


def object_colors(ids: np.ndarray) -> np.ndarray:
    """Returns the colors (I, 3) uint8 of objects with ids (I,) from 1: an object keeps its color as long as
    its id."""
    return _CYCLE[(ids.astype(np.int64) - 1) % len(_CYCLE)]
