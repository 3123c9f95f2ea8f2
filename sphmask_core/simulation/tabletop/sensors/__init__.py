# SPDX-License-Identifier: Apache-2.0
"""Depth cameras by the way they measure: each takes an exact view, returns depth (H, W), NaN where none."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from sphmask_core.simulation.tabletop.raycast import View, World
from sphmask_core.simulation.tabletop.sensors.stereo import stereo
from sphmask_core.simulation.tabletop.sensors.stripes import stripes
from sphmask_core.simulation.tabletop.sensors.structured import structured_light
from sphmask_core.simulation.tabletop.sensors.time_of_flight import time_of_flight

Measure = Callable[[np.random.Generator, World, View, np.ndarray], np.ndarray]
"""(rng, world, view, brightness (H, W)) -> depth (H, W)"""


@dataclass(frozen=True)
class Sensor:
    """A kind of depth camera."""

    name: str
    measure: Measure
    focal: tuple[float, float]
    """Least and most, in image widths"""
    sizes: tuple[tuple[int, int], ...]
    """Widths and heights that frames have"""
    share: float
    """Share of all frames that such a sensor takes."""


SENSORS = (
    Sensor("structured light", structured_light, (0.80, 0.92), ((320, 240),), 0.33),
    Sensor("stereo", stereo, (0.70, 1.0), ((320, 180), (320, 240), (424, 240)), 0.33),
    Sensor("time of flight", time_of_flight, (0.68, 0.80), ((320, 265), (320, 288)), 0.2),
    Sensor("stripes", stripes, (0.9, 1.5), ((320, 240),), 0.14),
)
"""Focal lengths and shapes as of Kinect v1, Xtion, Astra; D415, D435, D455; Kinect v2, Azure; PhoXi."""


def random_sensor(rng: np.random.Generator) -> Sensor:
    """Returns any kind of depth camera, as often as its share says."""
    return SENSORS[rng.choice(len(SENSORS), p=[sensor.share for sensor in SENSORS])]
