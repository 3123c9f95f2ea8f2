# SPDX-License-Identifier: Apache-2.0
"""Clutter made of real frames: objects of other frames put on the table of one, seen by its camera."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from numpy.random import Generator
from numpy.typing import NDArray
from scipy import ndimage
from scipy.spatial.transform import Rotation

from sphmask_core.clouds.cloud import Cloud
from sphmask_core.clouds.scenes import SUPPORT, UNLABELED, Scene, read_scene
from sphmask_core.method.frames import frame_on_support
from sphmask_core.method.supports import find_supports

Array = NDArray[np.floating]
Mask = NDArray[np.bool_]

CELL = 0.01
"""Meters, edge of the cells in which places on a table are counted."""
CELLS = 256
"""Cells along each side of a map of the table."""
CLOSED = 8
"""Cells: gaps of twice the width in what is seen of the table are the table's, too."""
ATTEMPTS = 60
"""Places that are tried for a group of objects."""
TURN = np.radians(25)
"""Farthest that objects move around the camera, so that the side they show stays the side it sees."""
REACH = (-0.1, 0.3)
"""Meters that objects move away from the camera."""
NEARER = 0.85
"""Least new distance from the camera, in old ones: nearer, the points no longer cover what is behind them."""
SHADOW = 6
"""Pixels, half the widest gap between an object and one that hides a part of it."""
ON_TOP = 0.3
"""Share of groups that are put on top of an object, where one is large enough."""
CLOSE = 0.7
"""Share of groups that are put as near to the others as they fit."""
FLAT = 0.012
"""Meters below its highest point that belong to an object's top."""
TOP = 0.98
"""Quantile of an object's heights that is its top; above it is noise."""
CARRIED = 0.9
"""Share of the footprint of what is put on an object that has the object's top under it."""
HOLE_NEIGHBORS = 5
"""Pixels with a point, of the eight around one without, from which on it is a gap to be filled."""
FRAMES = (2, 7)
"""Fewest and most frames that make a mixed one."""
VIEWS_KEPT = 16
"""Views that a process keeps, of 13 MB each."""


@dataclass
class View:
    """A frame on its table: the camera stands above the origin, z is up from the table's surface."""

    scene: Scene
    xyz: Array
    """(N, 3) meters, NaN where the camera saw nothing"""
    rotation: Array
    """(3, 3) p_camera = (p - camera) @ rotation"""
    camera: Array
    """(3,)"""
    intrinsics: Array
    """(2, 2) focal length and middle of the image along its width and its height, pixels"""

    @classmethod
    def of(cls, scene: Scene) -> View:
        """Returns the view of an organized frame, standing on its main support, or on its largest plane."""
        xyz = torch.from_numpy(scene.cloud.xyz)
        measured = xyz.isfinite().all(1)
        frame = frame_on_support(xyz[measured], find_supports(scene.cloud.xyz).main)
        camera = frame.apply(torch.zeros(1, 3))[0].numpy()
        foot = np.array([camera[0], camera[1], 0], np.float32)
        upright_xyz = frame.apply(xyz).numpy() - foot
        return cls(scene, upright_xyz, frame.rotation.numpy(), camera - foot, intrinsics_of(scene.cloud))

    def groups(self) -> list[NDArray[np.int64]]:
        """Returns the points of each group of objects that touch in the image: one may hide a part of
        another."""
        seen = (self.scene.instance >= 0).reshape(self.scene.cloud.shape)
        parts, _ = ndimage.label(ndimage.binary_dilation(seen, iterations=SHADOW))
        points = np.flatnonzero(seen)
        part_of = _unite_parts(parts.reshape(-1)[points], self.scene.instance[points])
        return [points[part_of == part] for part in np.unique(part_of)]


@lru_cache(VIEWS_KEPT)
def view_of_file(read: Callable[[Path], Scene], path: Path) -> View:
    """Returns the view of a frame's file, read again only when many others have been since."""
    return View.of(read(path))


@dataclass(frozen=True)
class Mixtures:
    """Makes the mixtures of a seed from the files of organized frames, each by its place."""

    files: tuple[Path, ...]
    seed: int
    read: Callable[[Path], Scene] = read_scene
    """A function of a module: it goes to many processes by pickle."""

    def __call__(self, place: int) -> Scene:
        """Returns the mixture that has this place."""
        return mixture(len(self.files), lambda i: view_of_file(self.read, self.files[i]), self.seed, place)


def mixed_scenes(scenes: Sequence[Scene], count: int, seed: int) -> Iterator[Scene]:
    """Returns that many random mixtures of organized frames, each repeatable by seed and place."""
    views = [View.of(scene) for scene in scenes]
    return (mixture(len(views), views.__getitem__, seed, place) for place in range(count))


def mixture(count: int, view: Callable[[int], View], seed: int, place: int) -> Scene:
    """Returns the mixture of random ones of `count` views that has this place among those of a seed."""
    rng = np.random.default_rng((seed, place))
    base, *donors = rng.permutation(count)[: rng.integers(*FRAMES, endpoint=True)].tolist()
    mixed = mix(view(base), [view(donor) for donor in donors], rng)
    return replace(mixed, name=f"mixed{place}")


def mix(base: View, donors: Sequence[View], rng: Generator) -> Scene:
    """Returns the base frame with the objects of the donors among its own, what they hide left out.

    Instances keep their labels; those of the donors follow on the base's.
    """
    view = replace(base)
    for donor in donors:
        for group in donor.groups():
            moved = place(view, donor.xyz[group], rng)
            if moved is not None:
                insert(view, moved, donor.scene, group)
    return view.scene


def place(view: View, group: Array, rng: Generator) -> Array | None:
    """Returns the group (M, 3) moved to a free place of the table, or onto an object; None where there is
    none."""
    if rng.random() < ON_TOP:
        lifted = _on_top(view, group, rng)
        if lifted is not None and _distance(view, lifted) > NEARER * _distance(view, group):
            return lifted
    taken = footprint(view.xyz[view.scene.instance >= 0])
    seen = footprint(view.xyz[view.scene.semantic == SUPPORT]) | taken
    table = ndimage.binary_fill_holes(ndimage.binary_closing(seen, iterations=CLOSED))
    gap = ndimage.distance_transform_edt(~taken)
    shape = group[np.unique(cells(group) @ [CELLS, 1], return_index=True)[1]]
    free = []
    for _ in range(ATTEMPTS):
        turn, reach = rng.uniform(-TURN, TURN), rng.uniform(*REACH)
        cell = tuple(cells(_around(shape, turn, reach)).T)
        if table[cell].all() and not taken[cell].any():
            free.append((gap[cell].min(), turn, reach))
    if not free:
        return None
    _, turn, reach = min(free) if rng.random() < CLOSE else free[0]
    return _around(group, turn, reach)


def insert(view: View, moved: Array, donor: Scene, group: NDArray[np.int64]) -> None:
    """Put points (M, 3) of a donor into a view: the camera keeps the nearest point of each pixel."""
    scene, shape = view.scene, view.scene.cloud.shape
    seen = (moved - view.camera) @ view.rotation
    focal, middle = view.intrinsics.T
    pixels = np.round(seen[:, :2] / seen[:, 2:] * focal + middle).astype(int)
    inside = ((pixels >= 0) & (pixels < shape[::-1])).all(1)
    order = np.flatnonzero(inside)[np.argsort(-seen[inside, 2], kind="stable")]  # the nearest comes last
    target = pixels[order, 1] * shape[1] + pixels[order, 0]
    before = np.nan_to_num(scene.cloud.xyz[target, 2], nan=np.inf)
    order, target = order[seen[order, 2] < before], target[seen[order, 2] < before]
    source = group[order]
    hidden = _holes(target, shape)
    first = max(int(scene.instance.max()) + 1, 0)
    view.scene = Scene(
        scene.name,
        Cloud(
            _put(scene.cloud.xyz, target, seen[order], hidden, np.nan),
            _colors(scene.cloud, donor.cloud, target, source),
            None,
            shape,
        ),
        _put(scene.semantic, target, donor.semantic[source], hidden, UNLABELED),
        _put(scene.instance, target, donor.instance[source] + first, hidden, UNLABELED),
    )
    view.xyz = _put(view.xyz, target, moved[order], hidden, np.nan)


def intrinsics_of(cloud: Cloud) -> Array:
    """Returns the focal lengths and middle (2, 2) of the pinhole camera that saw an organized frame, pixels.

    Least squares over all points, along the width and the height: pixel = focal * x / z + middle.
    """
    width = cloud.shape[1]
    seen = np.flatnonzero(np.isfinite(cloud.xyz).all(1))
    rows, columns = np.divmod(seen, width)
    x, y, z = cloud.xyz[seen].T.astype(np.float64)
    fits = [np.polyfit(side / z, pixels, 1) for side, pixels in ((x, columns), (y, rows))]
    return np.array(fits)


def cells(xyz: Array) -> NDArray[np.int64]:
    """Returns (M, 2) cells of a map of the table, the camera in the middle of its side, of points (M, 3)."""
    index = np.floor(xyz[:, :2] / CELL + np.array([CELLS // 2, 0])).astype(int)
    return np.clip(index, 0, CELLS - 1)


def footprint(xyz: Array) -> Mask:
    """Returns (CELLS, CELLS) where points (M, 3) are, seen from above."""
    taken = np.zeros((CELLS, CELLS), bool)
    taken[tuple(cells(xyz[np.isfinite(xyz).all(1)]).T)] = True
    return taken


def _unite_parts(part_of: NDArray, instance: NDArray) -> NDArray:
    """Returns the numbers of parts (M,); parts that hold points of the same instance get the same number."""
    for number in np.unique(instance):
        mine = np.unique(part_of[instance == number])
        part_of = np.where(np.isin(part_of, mine), mine[0], part_of)
    return part_of


def _around(group: Array, turn: float, reach: float) -> Array:
    """Returns the group moved around the camera by an angle and away from it by a length."""
    turned = Rotation.from_euler("z", turn).apply(group).astype(group.dtype)
    away = turned[:, :2].mean(0)
    return turned + np.append(away / np.linalg.norm(away) * reach, 0).astype(group.dtype)


def _distance(view: View, group: Array) -> float:
    return float(np.median(np.linalg.norm(group - view.camera, axis=1)))


def _on_top(view: View, group: Array, rng: Generator) -> Array | None:
    """Returns the group lifted onto the flat top of one of the view's objects, None where it is too large for
    all."""
    for number in rng.permutation(np.unique(view.scene.instance[view.scene.instance >= 0])):
        points = view.xyz[view.scene.instance == number]
        height = np.quantile(points[:, 2], TOP)
        surface = points[points[:, 2] > height - FLAT]
        area = ndimage.binary_closing(footprint(surface))
        center = np.median(surface, axis=0)
        moved = group + np.append(center[:2] - group[:, :2].mean(0), height).astype(group.dtype)
        above = footprint(view.xyz[(view.scene.instance >= 0) & (view.xyz[:, 2] > height + FLAT)])
        cell = tuple(cells(moved).T)
        if area[cell].mean() > CARRIED and not above[cell].any():
            return moved
    return None


def _holes(target: NDArray, shape: tuple[int, int]) -> NDArray:
    """Returns the pixels between those that were just written, which would show what is behind."""
    written = np.zeros(shape, np.uint8)
    written.reshape(-1)[target] = 1
    neighbors = ndimage.convolve(written, np.ones((3, 3), np.uint8), mode="constant")
    return np.flatnonzero((neighbors >= HOLE_NEIGHBORS) & (written == 0))


def _put(old: NDArray, target: NDArray, new: NDArray, hidden: NDArray, nothing: float) -> NDArray:
    changed = old.copy()
    changed[target] = new
    changed[hidden] = nothing
    return changed


def _colors(base: Cloud, donor: Cloud, target: NDArray, source: NDArray) -> NDArray | None:
    if base.rgb is None or donor.rgb is None:
        return None
    rgb = base.rgb.copy()
    rgb[target] = donor.rgb[source]
    return rgb
