# SPDX-License-Identifier: Apache-2.0
"""Real furniture from the wheels of the extra `simulation`, in the classes of rooms and at life size."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from sphmask_core.simulation.indoors.library import Piece, load_library
from sphmask_core.simulation.indoors.things import OTHER, Random, Surface, Thing
from sphmask_core.simulation.tabletop.assets import Assets, furniture_mesh, load_assets
from sphmask_core.simulation.tabletop.coats import surface
from sphmask_core.simulation.tabletop.model import Model
from sphmask_core.simulation.tabletop.solids import upright


class Source(NamedTuple):
    """A mesh, its class, and the height that it has in homes."""

    path: str
    name: str
    heights: tuple[float, float]
    """Least and most, meters"""


SOURCES = (
    Source("articulated_objects/wooden_cabinet", "cabinet", (0.6, 1.1)),
    Source("articulated_objects/white_cabinet", "cabinet", (0.6, 1.1)),
    Source("articulated_objects/short_cabinet", "cabinet", (0.45, 0.8)),
    Source("scenes/fridge/fridge", "refrigerator", (1.5, 1.95)),
    Source("scenes/living_room_table/living_room_table", "table", (0.4, 0.75)),
    Source("scenes/short_coffee_table/short_coffee_table", "table", (0.38, 0.5)),
    Source("scenes/desk/desk", "desk", (0.7, 0.8)),
    Source("scenes/office_book_shelf/office_book_shelf", "bookshelf", (1.7, 2.3)),
    Source("turbosquid_objects/wooden_shelf/wooden_shelf", "bookshelf", (0.8, 1.6)),
    Source("turbosquid_objects/wooden_two_layer_shelf/wooden_two_layer_shelf", "bookshelf", (0.5, 1.0)),
    Source("scenes/plant/plant", OTHER, (0.6, 1.8)),
    Source("scenes/floor_lamp/floor_lamp", OTHER, (1.3, 1.8)),
    Source("turbosquid_objects/wine_rack/wine_rack", OTHER, (0.4, 0.8)),
)
REPAINTED = 0.5
"""Share of meshes that get a color of ours."""
STRETCHED = (0.93, 1.08)
"""Factor of the sizes of pieces of the library, and of each side; least and most."""
CALLED = {"machine": OTHER, "bench": OTHER}
"""Classes of furniture that have another name in rooms."""
TOPS = ("cabinet", "table", "desk")


@dataclass(frozen=True)
class Stock:
    """All meshes that rooms are furnished from."""

    assets: Assets = field(default_factory=Assets)
    """Things that lie about"""
    furniture: tuple[tuple[Source, Model], ...] = ()
    library: tuple[Piece, ...] = ()
    """Models of libraries of furniture, where there are any"""

    def pick(self, rng: Random, name: str) -> Thing | None:
        """Returns a piece of a class, at a random size; None where there is none."""
        choice: list[tuple[Source, Model] | Piece] = [pair for pair in self.furniture if pair[0].name == name]
        choice += self._of(name)
        if not choice:
            return None
        chosen = choice[rng.integers(len(choice))]
        if isinstance(chosen, Piece):
            return _stretched(rng, chosen, CALLED.get(name, name))
        source, model = chosen
        scale = rng.uniform(*source.heights) / float(model.size[2])
        model = model.scaled(scale)
        if rng.random() < REPAINTED:
            model = model.painted(surface(rng))
        surfaces: tuple[Surface, ...] = ()
        if name in TOPS:
            half = (float(model.size[0]) * 0.42, float(model.size[1]) * 0.4)
            surfaces = (Surface((0, 0, float(model.size[2])), half),)
        return Thing(name, (model,), surfaces)

    def other(self, rng: Random, kind: str) -> Thing | None:
        """Returns a model of the library of no class of furniture, `LYING` or `STANDING`, of each category
        as often; None where there is no library."""
        groups: dict[str, list[Piece]] = {}
        for piece in self._of(kind):
            groups.setdefault(piece.group, []).append(piece)
        if not groups:
            return None
        group = groups[list(groups)[rng.integers(len(groups))]]
        return _stretched(rng, group[rng.integers(len(group))], OTHER)

    def _of(self, kind: str) -> list[Piece]:
        return [piece for piece in self.library if piece.kind == kind]


@lru_cache(maxsize=1)
def load_stock() -> Stock:
    """Read the meshes once; takes some ten seconds, and half a minute more where there are libraries. One
    line names the extra where it is not installed."""
    meshes = [(source, model) for source in SOURCES for model in furniture_mesh(source.path)]
    standing = [(source, upright(_middle(model))) for source, model in meshes if model.size.min() > 0]
    return Stock(load_assets(), tuple(standing), load_library())


def _stretched(rng: Random, piece: Piece, name: str) -> Thing:
    factors = rng.uniform(*STRETCHED) * rng.uniform(*STRETCHED, 3)
    return piece.thing(name, factors, surface(rng) if rng.random() < REPAINTED else None)


def _middle(model: Model) -> Model:
    middle = (model.low + model.high) / 2
    return model.moved(np.eye(3), (-middle[0], -middle[1], 0))
