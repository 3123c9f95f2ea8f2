# SPDX-License-Identifier: Apache-2.0
"""Simulated rooms, `data.simulated` of them: of six, three are fused scans, one is a scan of a part of a
room, two are depth frames."""

from __future__ import annotations

from sphmask_core.clouds import scenes
from sphmask_core.config import Config
from sphmask_core.simulation.indoors.library import libraries
from sphmask_core.simulation.indoors.meshes import load_stock
from sphmask_core.simulation.indoors.scan import simulate_part, simulate_room, simulate_room_frame

from ..cache import identity
from ..made import MadeClouds, MadeScenes, Maker, SplitSeeds, made_clouds, made_scenes

SEEDS = SplitSeeds(train=0, val=900_000, val_scenes=12)
KINDS = (
    simulate_room_frame, simulate_part, simulate_room, simulate_room_frame, simulate_room, simulate_room
)  # fmt: skip
"""What the seeds give in turn."""
VERSION = 2
"""Raise it when a seed gives another room."""
RARE = ("bed", "sofa", "refrigerator", "toilet", "bathtub")
"""Large furniture that most rooms have none of: training visits the rooms that have some twice an epoch."""


def load_raw(config: Config, split: str) -> MadeClouds:
    """Returns the clouds and labels as the sensor gives them."""
    return made_clouds(_maker(), SEEDS.of(split, config.data.simulated, config.data.skip), config)


def load_scenes(config: Config, split: str) -> MadeScenes:
    """Returns the scenes of a split as the model sees them, thinned; for training, those with rare furniture
    twice."""
    rooms = made_scenes(_maker(), SEEDS.of(split, config.data.simulated, config.data.skip), config)
    if split != "train":
        return rooms
    return rooms + rooms.with_classes(config.semantic_classes.index(name) for name in RARE)


def simulate(seed: int) -> scenes.Scene:
    """Returns one labeled room; ImportError without the extra `simulation`."""
    return KINDS[seed % len(KINDS)](seed, load_stock())


def _maker() -> Maker:
    """Returns what makes rooms; other libraries furnish them otherwise."""
    return Maker("rooms", simulate, {"version": VERSION, "libraries": identity(libraries())})
