# SPDX-License-Identifier: Apache-2.0
"""Made scenes with known supports, as a depth camera in any pose sees them: tables, shelves, bins, heaps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from sphmask_core.simulation.camera import Camera, render
from sphmask_core.simulation.objects import turn
from sphmask_core.simulation.paint import plain
from sphmask_core.simulation.shapes import Box, Revolved, Solid

BACKGROUND, FIRST_OBJECT = 1, 20
FEWEST_POINTS = 50
AREA_CELL = 0.04
"""Meters."""
NOISE = 0.0015
"""1/meter: deviation of the depth over its square (structured light)."""


@dataclass(frozen=True)
class Seen:
    """What a camera sees of a scene."""

    xyz: np.ndarray
    """(N, 3) float32, optical frame, NaN where there is nothing."""
    label: np.ndarray
    """(N,) 0 nothing, 1 background, 20 and more objects."""
    up: np.ndarray
    """(3,) of the world, in the optical frame."""
    height: float
    """Meters: camera above the world's z = 0, where the support is."""

    @property
    def finite(self) -> np.ndarray:
        return np.isfinite(self.xyz).all(axis=1)

    @property
    def seen_area(self) -> float:
        """Square meters of the background that are seen, in cells across the most upright axis."""
        level = np.delete(self.xyz[self.label == BACKGROUND], np.abs(self.up).argmax(), axis=1)
        cells = np.unique(np.floor(level / AREA_CELL).astype(int), axis=0)
        return len(cells) * AREA_CELL**2 / np.abs(self.up).max()

    def kept_background(self, left_out: np.ndarray) -> float:
        return float((~left_out[self.label == BACKGROUND]).mean())

    def lost(self, left_out: np.ndarray) -> np.ndarray:
        """Share of each object's points that were left out; not of objects of which hardly any is seen."""
        numbers, sizes = np.unique(self.label[self.label >= FIRST_OBJECT], return_counts=True)
        numbers = numbers[sizes >= FEWEST_POINTS]
        return np.array([left_out[self.label == number].mean() for number in numbers])


def solid(shape, x=0.0, y=0.0, z=0.0, yaw=0.0) -> Solid:
    return Solid(shape, turn(2, yaw), np.array([x, y, z]), plain(np.random.default_rng(0)))


def slab(width, depth, x=0.0, y=0.0, top=0.0) -> Solid:
    return solid(Box(width, depth, 0.03), x, y, top - 0.03)


def boxes(rng, count, half, top=0.0, sides=(0.04, 0.2)) -> list[Solid]:
    """Boxes and cylinders that stand on z = top, each in its own place, up to `half` (2,) from the middle."""
    places = [(x, y) for x in np.linspace(-1, 1, 4) for y in np.linspace(-1, 1, 4)]
    things = []
    for k in rng.permutation(len(places))[:count]:
        x, y = np.array(places[k]) * half * 0.75
        width, depth, height = rng.uniform(*sides, 3)
        shape = Revolved(height, width**2 / 4) if rng.random() < 0.3 else Box(width, depth, height)
        things.append(solid(shape, x, y, top, rng.uniform(0, 6)))
    return things


def camera(pitch, distance, roll=0.0, yaw=0.0, target=(0.0, 0.0, 0.0), size=(200, 150)) -> Camera:
    """Looks at the target, down by `pitch` degrees (90: straight), turned about its axis by `roll`."""
    pitch, yaw = np.radians(pitch), np.radians(yaw)
    forward = np.array([np.cos(pitch) * np.sin(yaw), np.cos(pitch) * np.cos(yaw), -np.sin(pitch)])
    right = np.array([np.cos(yaw), -np.sin(yaw), 0.0])
    rotation = np.stack([right, np.cross(forward, right), forward], 1) @ turn(2, np.radians(roll))
    return Camera(*size, rotation, np.array(target) - distance * forward)


def see(background, objects, view: Camera, seed=0, noise=NOISE, bend=0.0, lost=0.02) -> Seen:
    """Depth with noise that grows with its square, `bend` meters of error in waves, and some pixels lost."""
    rng = np.random.default_rng(seed)
    labeled = [(BACKGROUND, part) for part in background]
    labeled += [(FIRST_OBJECT + 10 * k, part) for k, part in enumerate(objects)]
    image = render(labeled, view)
    z = image.depth.astype(float)
    rows, columns = np.mgrid[: view.height, : view.width]
    wave = bend * np.sin(4 * rows / view.height) * np.cos(4 * columns / view.width)
    with np.errstate(invalid="ignore"):
        z = z + noise * z**2 * rng.standard_normal(z.shape) + wave
    z[~np.isfinite(image.depth) | (rng.random(z.shape) < lost)] = np.nan
    xyz = np.moveaxis(view.directions * z, 0, 2).reshape(-1, 3).astype(np.float32)
    label = np.where(np.isfinite(xyz).all(axis=1), image.labels.reshape(-1), 0)
    return Seen(xyz, label, view.rotation[2], float(view.position[2]))


def table(rng, view, width=1.2, depth=0.8, count=6, floor=False, wall=False, objects=None, **sensor) -> Seen:
    """A table top at z = 0 with things on it, above a floor and before a wall."""
    background = [slab(width, depth)]
    background += [solid(Box(8, 8, 0.05), z=-0.8)] if floor else []
    background += [solid(Box(8, 0.05, 4), y=depth / 2 + 0.2, z=-0.8)] if wall else []
    things = boxes(rng, count, np.array([width, depth]) / 2) if objects is None else objects
    return see(background, things, view, **sensor)


def bin_of_boxes(rng, view, width=0.6, depth=0.4, height=0.2, count=6, around=False, **sensor) -> Seen:
    """A bin on a floor (or on nothing), its bottom at z = 0."""
    wall = 0.01
    background = [slab(width, depth)]
    background += [solid(Box(width, wall, height), y=s * depth / 2) for s in (-1, 1)]
    background += [solid(Box(wall, depth, height), x=s * width / 2) for s in (-1, 1)]
    background += [solid(Box(4, 4, 0.02), z=-0.05)] if around else []
    things = boxes(rng, count, np.array([width, depth]) / 2 - 0.06, sides=(0.04, 0.12))
    return see(background, things, view, **sensor)


def shelves(rng, view, gap=0.4, count=4, **sensor) -> Seen:
    """Two boards, the upper one further back, before a rear wall."""
    background = [slab(1.0, 0.4), slab(1.0, 0.3, y=0.3, top=gap), solid(Box(1.0, 0.02, 1.0), y=0.46)]
    things = boxes(rng, count, np.array([0.5, 0.2]))
    upper = boxes(rng, count, np.array([0.5, 0.14]), sides=(0.04, 0.1))
    upper = [Solid(t.shape, t.rotation, t.position + np.array([0, 0.3, gap]), t.paint) for t in upper]
    return see(background, things + upper, view, **sensor)


def heap(rng, view, count=40, **sensor) -> Seen:
    """Balls and barrels that fill the view: no plane."""
    things = []
    for _ in range(count):
        x, y, z = rng.uniform((-0.5, -0.5, -0.1), (0.5, 0.5, 0.1))
        radius = rng.uniform(0.06, 0.14)
        things.append(solid(Revolved(2 * radius, 0.0, 2 * radius, -1.0), x, y, z))
    return see([solid(Revolved(1.2, 0.0, 1.2, -1.0), z=-1.0)], things, view, **sensor)
