# SPDX-License-Identifier: Apache-2.0
"""Which shipped preset fits a cloud (`--model auto`), and what a preset has never been trained on."""

from __future__ import annotations

from dataclasses import dataclass

from sphmask_core.commands.character import Character
from sphmask_core.runtime.units import MM_PER_METER

AUTO = "auto"
"""Name of a model that asks for a choice."""
COLORLESS_STREET, COLORED_STREET = 12.0, 30.0
"""Meters across from which on a cloud without and with color is taken for a LiDAR's."""
TABLE_DISTANCE = 1.6
"""Meters: median distance up to which a camera looks at a table rather than at a room."""
TABLE_EXTENT = 2.2
"""Meters across up to which a fused cloud is of a table."""


@dataclass(frozen=True)
class Trained:
    """What a preset was trained on."""

    extent: tuple[float, float]
    """Meters across, least and most"""
    spacing: float
    """Meters between points, at most"""
    kind: str
    """What kind of cloud the preset is for, in words."""


TRAINED = {
    "tabletop": Trained((0.3, 6.0), 0.012, "frames of depth cameras at 0.3 to 2.5 m"),
    "rooms": Trained((1.2, 16.0), 0.06, "fused scans and depth frames of rooms"),
    "street": Trained((10.0, 260.0), 0.5, "sweeps of LiDARs on streets, in yards and warehouses"),
}
"""What each shipped preset was trained on (the simulators' own ranges, with a margin)."""


def choose(cloud: Character) -> str:
    """Returns the preset for a cloud."""
    if cloud.extent > (COLORED_STREET if cloud.colored else COLORLESS_STREET):
        return "street"
    if cloud.optical or cloud.organized:
        return "tabletop" if cloud.distance <= TABLE_DISTANCE else "rooms"
    return "tabletop" if cloud.extent <= TABLE_EXTENT else "rooms"


def unlike(cloud: Character, preset: str) -> str:
    """Returns one line on how a cloud is unlike what a preset was trained on; empty where it is like it, and
    for models that are no presets."""
    trained = TRAINED.get(preset)
    if trained is None or not cloud.points:
        return ""
    low, high = trained.extent
    if not low <= cloud.extent <= high:
        what = f"the cloud is {cloud.extent:.1f} m across, not {low:g} to {high:g} m"
    elif cloud.spacing > trained.spacing:
        spacing, most = MM_PER_METER * cloud.spacing, MM_PER_METER * trained.spacing
        what = f"its points are {spacing:.0f} mm apart, not at most {most:.0f} mm"
    else:
        return ""
    better = choose(cloud)
    hint = f"; the preset for it is {better}" if better != preset else "; expect little"
    return f"{what}, as the {trained.kind} that {preset} was trained on{hint}"
