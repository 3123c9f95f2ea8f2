# SPDX-License-Identifier: Apache-2.0
"""Furniture of the free libraries of Sweet Home 3D: 820 models by many hands, at their sizes in homes.

Debian has them (`apt-get install sweethome3d-furniture`), and sweethome3d.com has; SPHMASK_FURNITURE names
their folder where it is another. A library (.sh3f) is an archive of OBJ files and a list of them. None is
part of this package, and rooms are simulated without them where they are missing.
"""

from __future__ import annotations

import io
import os
import re
from collections import defaultdict
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from zipfile import BadZipFile, ZipFile

import numpy as np

from sphmask_core.config import ConfigError
from sphmask_core.simulation.indoors.things import OTHER, Surface, Thing, Vector
from sphmask_core.simulation.paint import Paint
from sphmask_core.simulation.tabletop.extra import needed
from sphmask_core.simulation.tabletop.model import Model
from sphmask_core.simulation.tabletop.textures import Mesh, decimated, merged, textured

VARIABLE, FOLDER = "SPHMASK_FURNITURE", "/usr/share/sweethome3d/furniture"
"""Names the folder of the libraries; where Debian puts them."""
CATALOG = "PluginFurnitureCatalog.properties"
PROPERTY = re.compile(r"(\w+)#(\d+)=(.*)")
"""A line of a catalog: what is said, the number of the model, the value."""
LYING, STANDING = "lying", "standing"
"""Kinds of things that are no class of furniture: on surfaces and on floors."""
RULES = (
    (r"(oak|wheel|deck|beach|relax) ?chair|baby (bed|high)|opened|mattress|sleeping bag", None),
    (r"table (tennis|fan)|(football|technical|changing|glass) table|pool|abdominal|keyboard|fence", None),
    (r"mat\b|rug|carpet|tatami|shower|urinal|screen$|dress\b|shorts?\b|trousers|jacket|suit\b", None),
    (r"cooktop|cooker|hood|^sink|chest freezer", None),
    (r"sitting|lying|horse", None),
    (r"toilets", "toilet"),
    (r"chair|class seat|stool", "chair"),
    (r"sofa|couch", "sofa"),
    (r"desk lamp", OTHER),
    (r"\bdesk\b|dressing table", "desk"),
    (r"bedside table|wardrobe|cupboard|\bchest\b|dresser|cabinet|tv stand|vanity|locker", "cabinet"),
    (r"\btable\b", "table"),
    (r"\bbed\b", "bed"),
    (r"bookcase|shelves", "bookshelf"),
    (r"fridge|refrigerator", "refrigerator"),
    (r"washbasin|lavatory", "sink"),
    (r"^bath$|bathtub|island bath", "bathtub"),
    (r"oven|washing machine|dryer|freezer|stove|printer and|water cooler|safe", "machine"),
    (r"bench|puff", "bench"),
)  # fmt: skip
"""What a name says about the kind, by the first that fits; None: left out, as are flat, broken and glass
models. The rest has no class of furniture."""
NOT_OF_ROOMS = ("Doors and windows", "Staircases", "Vehicles", "Exterior")
"""Categories of which only `OUTDOORS` are also found in rooms."""
OUTDOORS = ("chair", "table", "sofa", "bench")
LYING_SIZES, LARGEST_STANDING = (0.06, 0.5), 2.0
"""Meters: the larger side of the outline or the height of what lies about."""
LOWEST_MACHINE = 0.45
"""Meters: lower machines stand on surfaces."""
THINNEST = 0.02
"""Meters of the middle side."""
ELEVATED = 0.05
"""Meters above the floor: what begins higher hangs, of which only sinks are used."""
CLEAR = 0.5
"""Opacity below which a depth sensor sees through."""
MOST_FACES = 12000
"""Triangles of a model that could not be made fewer; more take too much time."""
LEVEL, TOP_SHARE, STEP = 0.95, 0.35, 0.02
"""A top: cosine between its faces' normals and the vertical, its least share of the outline, and meters
within which its faces are level."""
TABLE_TOP = 0.8
"""Share of a table's height at which its top is, at least: else it is of glass."""
FILLINGS = {
    "bed": 0.2,
    "cabinet": 1.0,
    "desk": 1.5,
    OTHER: 0.5,
    "refrigerator": 0.6,
    "sofa": 0.1,
    "table": 1.0,
}
"""How much stands on a thing of a class, relative to a usual table."""


@dataclass(frozen=True)
class Entry:
    """A model of a catalog."""

    name: str
    """In English"""
    category: str
    path: str
    """Of the OBJ file in the archive"""
    size: tuple[float, float, float]
    """Width, depth and height in meters"""
    elevation: float
    """Meters above the floor"""
    rotation: np.ndarray | None
    """(3, 3) that turns the model upright, where it is not"""


@dataclass(frozen=True)
class Piece:
    """A model of a library as things of rooms are: z up, on z = 0, its back toward +y."""

    kind: str
    """Class of furniture, `LYING` or `STANDING`"""
    group: str
    """Category of the catalog"""
    model: Model
    top: Surface | None
    """The highest level rectangle, where there is one"""

    def thing(self, name: str, factors: Vector, paint: Paint | None) -> Thing:
        """Returns it as a thing of a class, stretched along its axes, in a paint or its own colors."""
        model = replace(self.model, vertices=self.model.vertices * np.asarray(factors, np.float32))
        model = model if paint is None else model.painted(paint)
        if self.top is None or name not in FILLINGS:
            return Thing(name, (model,))
        x, y, z = np.multiply(self.top.center, factors)
        a, b = np.multiply(self.top.half, factors[:2])
        return Thing(name, (model,), (Surface((x, y, z), (a, b), filling=FILLINGS[name]),))


def libraries() -> list[Path]:
    """Returns the files of all libraries, none where there are none.

    Raises:
        ConfigError: SPHMASK_FURNITURE names a folder without any.
    """
    folder = os.environ.get(VARIABLE)
    found = sorted(Path(folder or FOLDER).glob("*.sh3f"))
    if folder and not found:
        raise ConfigError(f"{VARIABLE}={folder}: no furniture libraries (.sh3f) are there")
    return found


def load_library() -> tuple[Piece, ...]:
    """Returns what is furniture or lies about in all libraries; nothing where there are none.

    Raises:
        ConfigError: a file is not a library, or SPHMASK_FURNITURE is wrong; one line says which.
        MissingExtraError: the extra `simulation` is not installed.
    """
    return tuple(piece for path in libraries() for piece in _pieces(path))


def _pieces(path: Path) -> Iterator[Piece]:
    try:
        with ZipFile(path) as archive:
            for entry in _entries(archive.read(CATALOG).decode("latin-1")):
                kind = kind_of(entry)
                model = None if kind is None else _model(archive, entry)
                if kind is None or model is None:
                    continue
                top = _top(model)
                if kind != "table" or (top is not None and top.center[2] > TABLE_TOP * model.high[2]):
                    yield Piece(kind, entry.category, model, top)
    except (BadZipFile, KeyError, ValueError) as error:
        raise ConfigError(f"{path}: not a furniture library of Sweet Home 3D: {error}") from error


def _entries(catalog: str) -> list[Entry]:
    """Returns the models of a catalog: Java properties, lengths in centimeters."""
    found: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for line in catalog.splitlines():
        if match := PROPERTY.fullmatch(line.strip()):
            found[match[2]][match[1]] = match[3]
    return [_entry(values) for values in found.values()]


def _entry(values: dict[str, str]) -> Entry:
    width, depth, height = (float(values[key]) / 100 for key in ("width", "depth", "height"))
    rotation = values.get("modelRotation")
    return Entry(
        values["name"],
        values["category"],
        values["model"].lstrip("/"),
        (width, depth, height),
        float(values.get("elevation", 0)) / 100,
        None if rotation is None else np.array(rotation.split(), float).reshape(3, 3),
    )


def kind_of(entry: Entry) -> str | None:
    """Returns the class of furniture, `LYING` or `STANDING`; None for what is not used."""
    name = entry.name.lower()
    kind = next((kind for words, kind in RULES if re.search(words, name)), OTHER)
    if entry.category in NOT_OF_ROOMS and kind not in OUTDOORS:
        return None
    if entry.elevation > ELEVATED and kind != "sink":
        return None
    if kind == OTHER or (kind == "machine" and entry.size[2] < LOWEST_MACHINE):
        return _kind_by_size(entry.size)
    return kind


def _kind_by_size(size: tuple[float, float, float]) -> str | None:
    _, middle, largest = sorted(size)
    least, most = LYING_SIZES
    if middle < THINNEST or not least <= largest <= LARGEST_STANDING:
        return None
    return LYING if largest <= most else STANDING


def _model(archive: ZipFile, entry: Entry) -> Model | None:
    """Returns the model at its size; None where nothing of it is opaque, or it has too many triangles."""
    folder = entry.path.rpartition("/")[0]
    beside = {name: archive.read(name) for name in archive.namelist() if name.startswith(folder + "/")}
    resolver = needed("trimesh.resolvers").ZipResolver(beside, namespace=folder)
    file = io.BytesIO(archive.read(entry.path))
    scene = needed("trimesh").load(file, file_type="obj", resolver=resolver, process=False, force="scene")
    meshes = [_mesh(geometry) for geometry in scene.geometry.values() if not _is_clear(geometry)]
    if not meshes:
        return None
    vertices, faces, colors = decimated(*merged(meshes))
    if len(faces) > MOST_FACES:
        return None
    if entry.rotation is not None:
        vertices = vertices @ entry.rotation.T
    vertices = np.column_stack([vertices[:, 0], -vertices[:, 2], vertices[:, 1]])  # y was up, z to the front
    low, size = vertices.min(0), np.ptp(vertices, axis=0)
    if not size.min() > 0:
        return None
    vertices = (vertices - low) / size - [0.5, 0.5, 0]
    vertices = vertices * entry.size + [0, 0, entry.elevation]
    return Model(entry.name, vertices.astype(np.float32), faces, (), colors)


def _is_clear(geometry: Any) -> bool:
    material = getattr(geometry.visual, "material", None)
    opacity = getattr(material, "kwargs", {}).get("d", ["1"])
    return len(geometry.faces) == 0 or float(opacity[0]) < CLEAR


def _mesh(geometry: Any) -> Mesh:
    """Returns the mesh in the colors of its texture or material, gray where it has neither."""
    vertices, faces = np.asarray(geometry.vertices, float), np.asarray(geometry.faces)
    material = getattr(geometry.visual, "material", None)
    image, places = getattr(material, "image", None), getattr(geometry.visual, "uv", None)
    if image is not None and places is not None:
        return textured(vertices, faces, np.asarray(places), np.asarray(image.convert("RGB")))
    color = np.full(3, 0.6) if material is None else np.asarray(material.diffuse[:3]) / 255
    return vertices, faces, np.tile(color, (len(vertices), 1))


def _top(model: Model) -> Surface | None:
    """Returns the highest level rectangle, around faces that are level; None where none is wide enough."""
    corners = model.vertices[model.faces]
    normals = np.cross(corners[:, 1] - corners[:, 0], corners[:, 2] - corners[:, 0])
    areas = np.linalg.norm(normals, axis=1)
    level = np.abs(normals[:, 2]) > LEVEL * areas
    heights = np.round(corners[:, :, 2].mean(1) / STEP).astype(int)
    outline = 2 * float(model.size[0] * model.size[1])
    for height in np.unique(heights[level])[::-1]:
        chosen = level & (np.abs(heights - height) <= 1)
        if areas[chosen].sum() >= TOP_SHARE * outline:
            places = corners[chosen].reshape(-1, 3)
            (left, front, _), (right, back, top) = places.min(0), places.max(0)
            half = (float(right - left) * 0.45, float(back - front) * 0.45)
            return Surface((float(left + right) / 2, float(front + back) / 2, float(top)), half)
    return None
