# SPDX-License-Identifier: Apache-2.0
"""What `sphmask simulate` and `make demo SCENE=...` show: tables, fused scans of rooms, sweeps of a LiDAR."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from sphmask_core.clouds.cloud import Cloud
from sphmask_core.simulation.scenes import simulate_cloud

WIDTH, HEIGHT = 640, 480
"""Pixels of the frames of tables."""


@dataclass(frozen=True)
class DemoScene:
    """A kind of simulated clouds."""

    model: str
    """The preset for it"""
    frame_id: str
    """Name of the sensor's frame."""
    simulate: Callable[[int], Cloud]
    """The cloud of a seed; rooms and streets need the extra `simulation`"""


def _table(seed: int) -> Cloud:
    return simulate_cloud(seed, WIDTH, HEIGHT)


def _room(seed: int) -> Cloud:
    from sphmask_core.simulation.indoors.meshes import Stock
    from sphmask_core.simulation.indoors.scan import simulate_room

    return simulate_room(seed, Stock()).cloud


def _street(seed: int) -> Cloud:
    from sphmask_core.simulation.streets.sweep import simulate_sweep

    return simulate_sweep(seed).cloud


SCENES = {
    "table": DemoScene("tabletop", "camera_color_optical_frame", _table),
    "room": DemoScene("rooms", "map", _room),
    "street": DemoScene("street", "lidar", _street),
}
