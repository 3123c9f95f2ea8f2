# SPDX-License-Identifier: Apache-2.0
"""Which things, and how they are put down: apart, touching, in rows and stacks, in heaps."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from sphmask_core.clouds.scenes import OBJECT
from sphmask_core.simulation.tabletop.assets import Assets
from sphmask_core.simulation.tabletop.coats import plain, printed
from sphmask_core.simulation.tabletop.household import MAKERS, book, card, carton, make
from sphmask_core.simulation.tabletop.model import Model, random_rotation, turned
from sphmask_core.simulation.tabletop.physics import Pose, settle
from sphmask_core.simulation.tabletop.stage import Item, Stage, Zone

Random = np.random.Generator

KINDS = (*MAKERS, "shapes", "things")
PREFERENCE = np.array([1.0, 0.8, 0.4, 1.0, 0.35, 0.6, 1.3, 1.5])
"""How often each of these kinds comes, over all scenes; each scene has a taste of its own."""
STYLES = ("apart", "touching", "rows", "heap", "mixed")
ON_TABLES = np.array([0.3, 0.22, 0.18, 0.12, 0.18])
IN_BINS = np.array([0.05, 0.07, 0.1, 0.68, 0.1])
COUNTS = {"apart": (3, 14), "touching": (6, 22), "rows": (6, 20), "heap": (10, 36), "mixed": (10, 40)}
"""Fewest and most things."""
APART = 0.8
"""Share of the balls around two things by which they are apart when they begin to fall in a heap."""
PLACES = 24
"""Places tried for a thing."""
SECONDS = 2.0
"""Seconds for which things fall, at most."""
LOST = 0.04
"""Meters beyond its zone at which a thing has fallen off, and is taken away."""
ORGANIC_SCALE, SCANNED_SCALE = (0.5, 1.6), (0.9, 1.7)
"""The scanned things are somewhat smaller than life."""
SPREAD = (0.12, 0.5)
"""Meters from a zone's middle within which things are put down where no walls hold them, least and most."""
HEAP = 0.1
"""Meters from the middle within which things fall in a heap without walls."""
ROWS_AND_STACKS, ROWS = 4, 0.6
"""A zone has fewer rows and stacks; share of rows among them."""
MOST_IN_ROW, EQUAL, FLUSH, GAP = 7, 0.4, 0.65, 0.004
"""Rows and stacks have fewer things; shares of equal things, and of no gaps; meters of gaps at most."""
ON_TOP = 0.2
"""Share of things in a row that have another one on top."""
SLOPPY, STACK_HEIGHT = (0, 0.05, 0.4), 0.35
"""Radians by which things of a stack are turned, deviation; meters of a stack at most."""
PAINTED, ORIGINAL = 0.6, 0.7
"""Shares of organic things in one color, as of repeated things in other prints; of scanned
things that keep their colors."""
SQUARE, STANDING = 0.3, 0.7
"""Shares of things parallel to the zone, and of things on their usual side."""
TOUCHING = 0.6
"""Share of things in a mixed scene that touch another."""
DROP = 0.002
"""Meters above the surface from which things start to settle."""
BEYOND = 0.02
"""Meters that things may reach over the edge of a zone without walls."""
SLIDE, SLIDE_STEP = (0.01, 0.5), 0.006
"""Meters from the middle of another thing at which one that slides up is tried, and from try to try."""
BELOW, ABOVE = -0.02, 1.0
"""Meters above its zone between which a thing is at rest on it."""


@dataclass(frozen=True)
class Put:
    """A thing and where it starts."""

    model: Model
    pose: Pose


def random_things(rng: Random, stage: Stage, assets: Assets, most: int = 40) -> list[Item]:
    """Returns the things at rest in the zones of a stage."""
    puts: list[Put] = []
    for zone in stage.zones:
        puts += _fill(rng, zone, assets, max(1, most // len(stage.zones)))
    models = [put.model for put in puts]
    poses = settle(stage.parts, models, [put.pose for put in puts], SECONDS)
    items = [Item(model, pose, OBJECT) for model, pose in zip(models, poses, strict=True)]
    return [item for item in items if any(_within(item, zone) for zone in stage.zones)]


def _fill(rng: Random, zone: Zone, assets: Assets, most: int) -> list[Put]:
    taste = rng.dirichlet(PREFERENCE)
    style = STYLES[rng.choice(len(STYLES), p=IN_BINS if zone.walled else ON_TABLES)]
    low, high = COUNTS[style]
    count = min(most, round(np.exp(rng.uniform(np.log(low), np.log(high + 1)))))
    spread = zone.half if zone.walled else np.minimum(zone.half, rng.uniform(*SPREAD))
    ground = _Ground(rng, replace(zone, half=spread))
    if style == "heap":
        ground.heap([_thing(rng, assets, taste) for _ in range(count)])
        return ground.puts
    if style in ("rows", "mixed"):
        for _ in range(rng.integers(1, ROWS_AND_STACKS)):
            ground.row() if rng.random() < ROWS else ground.stack()
    while len(ground.puts) < count and ground.tries < 3 * count:
        thing = _thing(rng, assets, taste)
        ground.stand(thing, style == "touching" or (style == "mixed" and rng.random() < TOUCHING))
    if style == "mixed":
        ground.heap([_thing(rng, assets, taste) for _ in range(rng.integers(0, 1 + count // 3))])
    return ground.puts[:most]


def _thing(rng: Random, assets: Assets, taste: np.ndarray) -> Model:
    """Returns any thing, about its middle."""
    kind = KINDS[rng.choice(len(KINDS), p=taste)]
    if kind == "shapes" and assets.shapes:
        model = assets.shapes[rng.integers(len(assets.shapes))].scaled(rng.uniform(*ORGANIC_SCALE))
        return model.painted(plain(rng) if rng.random() < PAINTED else printed(rng), rng.choice([0, 0, 0.3]))
    if kind == "things" and assets.things:
        model = assets.things[rng.integers(len(assets.things))].scaled(rng.uniform(*SCANNED_SCALE))
        return model if rng.random() < ORIGINAL else model.painted(printed(rng))
    return make(rng, kind if kind in MAKERS else "boxes").centered()


class _Ground:
    """A zone and what has been put on it so far."""

    def __init__(self, rng: Random, zone: Zone) -> None:
        self.rng, self.zone = rng, zone
        self.puts: list[Put] = []
        self.tries = 0
        self._outlines: list[np.ndarray] = []

    def stand(self, model: Model, touching: bool) -> bool:
        """Stand a thing where it is free, against another if there is one and it is to touch."""
        self.tries += 1
        if model.size[2] > self.zone.room:
            return False
        yaw = self.zone.yaw + (
            self.rng.choice([0, 1]) * np.pi / 2 if self.rng.random() < SQUARE else self._angle()
        )
        rotation = turned((0, 0, 1), yaw) @ self._tipped()
        outline = _outline(model, rotation)
        place = self._beside(outline) if touching and self._outlines else self._free(outline)
        if place is None:
            return False
        lift = -(model.vertices @ rotation[2]).min() + DROP
        self._put(model, rotation, np.append(place, lift), outline + place)
        return True

    def heap(self, models: list[Model]) -> None:
        """Let things fall upon each other, turned anyhow."""
        spread = 0.75 * self.zone.half if self.zone.walled else np.minimum(self.zone.half, HEAP)
        hung: np.ndarray = np.zeros((0, 4))  # x, y, z and reach of those that hang there already
        for model in models:
            reach = APART * float(np.linalg.norm(model.size)) / 2
            x, y = self.rng.uniform(-1, 1, 2) * np.maximum(spread - reach / 2, 0)
            aside = np.hypot(hung[:, 0] - x, hung[:, 1] - y)
            below = hung[aside < hung[:, 3] + reach]
            z = max(0.02, float((below[:, 2] + below[:, 3]).max(initial=0))) + reach
            hung = np.vstack([hung, (x, y, z, reach)])
            self._put(model, random_rotation(self.rng), np.array([x, y, z]), None)

    def row(self) -> None:
        """Put boxes or books side by side, flush; equal or not; now and then with a second layer."""
        rng = self.rng
        yaw = self._angle() if rng.random() < 0.6 else 0.0
        along, across = turned((0, 0, 1), yaw)[:2, :2].T
        start = rng.uniform(-0.7, 0.7, 2) * self.zone.half
        maker = (carton, book, carton)[rng.integers(3)]
        model, equal = maker(rng), rng.random() < EQUAL
        gap = 0.0 if rng.random() < FLUSH else rng.uniform(0, GAP)
        edge, rotation = 0.0, turned((0, 0, 1), yaw)
        for _ in range(rng.integers(2, MOST_IN_ROW)):
            model = self._repainted(model) if equal else maker(rng)
            half = model.size / 2
            middle = (
                start + along * (edge + half[0]) + across * half[1] * (0 if equal else rng.uniform(-0.3, 0.3))
            )
            edge += 2 * half[0] + gap
            self._lay(model.centered(), rotation, middle, 0.0)
            if rng.random() < ON_TOP:
                self._lay(self._repainted(model).centered(), rotation, middle, float(model.size[2]))

    def stack(self) -> None:
        """Put flat things or boxes on each other, edges aligned or not."""
        rng = self.rng
        maker = (book, card, carton, book)[rng.integers(4)]
        yaw, place, height = self._angle(), rng.uniform(-0.7, 0.7, 2) * self.zone.half, 0.0
        sloppy = rng.choice(SLOPPY)
        model, equal = maker(rng), rng.random() < EQUAL
        for _ in range(rng.integers(2, MOST_IN_ROW)):
            model = self._repainted(model) if equal else maker(rng)
            if height + model.size[2] > min(self.zone.room, STACK_HEIGHT):
                return
            rotation = turned((0, 0, 1), yaw + sloppy * rng.normal())
            self._lay(model.centered(), rotation, place + 0.05 * sloppy * rng.normal(size=2), height)
            height += float(model.size[2])

    def _lay(self, model: Model, rotation: np.ndarray, place: np.ndarray, height: float) -> None:
        outline = _outline(model, rotation) + place
        if height == 0 and not (self._inside(outline) and self._clear(outline)):
            return
        self._put(model, rotation, np.append(place, height + model.size[2] / 2), outline)

    def _repainted(self, model: Model) -> Model:
        return model.painted(printed(self.rng)) if self.rng.random() < PAINTED else model

    def _put(self, model: Model, rotation: np.ndarray, place: np.ndarray, outline: np.ndarray | None) -> None:
        turn = turned((0, 0, 1), self.zone.yaw)
        self.puts.append(Put(model, Pose(turn @ rotation, self.zone.center + turn @ place)))
        if outline is not None:
            self._outlines.append(outline)

    def _angle(self) -> float:
        return float(self.rng.uniform(-np.pi, np.pi))

    def _tipped(self) -> np.ndarray:
        """Returns the rotation (3, 3) of a thing as it stands, or on another of its six sides."""
        if self.rng.random() < STANDING:
            return np.eye(3)
        axis = np.eye(3)[self.rng.integers(2)]
        return turned(axis, self.rng.integers(1, 4) * np.pi / 2)

    def _free(self, outline: np.ndarray) -> np.ndarray | None:
        for _ in range(PLACES):
            place = self.rng.uniform(-1, 1, 2) * self.zone.half
            if self._inside(outline + place) and self._clear(outline + place):
                return np.asarray(place)
        return None

    def _beside(self, outline: np.ndarray) -> np.ndarray | None:
        """Returns the place (2,) where a thing that slides toward another one touches it, None where that is
        not free."""
        goal = self._outlines[self.rng.integers(len(self._outlines))].mean(0)
        angle = self._angle()
        out = np.array([np.cos(angle), np.sin(angle)])
        for way in np.arange(*SLIDE, SLIDE_STEP):
            place = goal + way * out
            if self._clear(outline + place):
                return place if self._inside(outline + place) else None
        return None

    def _inside(self, outline: np.ndarray) -> bool:
        return bool((np.abs(outline) <= self.zone.half + (0 if self.zone.walled else BEYOND)).all())

    def _clear(self, outline: np.ndarray) -> bool:
        return not any(_overlap(outline, other) for other in self._outlines)


def _outline(model: Model, rotation: np.ndarray) -> np.ndarray:
    """Returns (4, 2) corners of the level rectangle around a thing, turned with it about the vertical."""
    points = model.vertices @ rotation.T
    heading = np.arctan2(rotation[1, 0], rotation[0, 0])
    turn = turned((0, 0, 1), heading)[:2, :2]
    local = points[:, :2] @ turn
    low, high = local.min(0), local.max(0)
    corners = np.array([low, (high[0], low[1]), high, (low[0], high[1])])
    return np.asarray(corners @ turn.T)


def _overlap(first: np.ndarray, second: np.ndarray) -> bool:
    """Returns whether two rectangles (4, 2) overlap by more than a hair (separating axes)."""
    for rectangle in (first, second):
        axes = rectangle[1:3] - rectangle[:2]
        for axis in axes / np.maximum(np.linalg.norm(axes, axis=1, keepdims=True), 1e-9):
            a, b = first @ axis, second @ axis
            if min(a.max(), b.max()) - max(a.min(), b.min()) < 1e-5:
                return False
    return True


def _within(item: Item, zone: Zone) -> bool:
    """Returns whether a thing is still on its zone."""
    turn = turned((0, 0, 1), zone.yaw)
    local = (item.pose.position - zone.center) @ turn
    height = float((item.model.vertices @ item.pose.rotation[2]).min()) + local[2]
    beyond = np.abs(local[:2]) - zone.half
    return bool(
        item.pose.still and np.isfinite(local).all() and beyond.max() < LOST and BELOW < height < ABOVE
    )
