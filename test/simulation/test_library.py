# SPDX-License-Identifier: Apache-2.0
"""Libraries of furniture: real archives with OBJ files, written here as Sweet Home 3D writes them."""

import io
from zipfile import ZipFile

import numpy as np
import pytest

from sphmask_core.config import ConfigError
from sphmask_core.simulation.indoors import library
from sphmask_core.simulation.indoors.library import (
    CATALOG,
    LYING,
    STANDING,
    VARIABLE,
    Entry,
    kind_of,
    load_library,
)
from sphmask_core.simulation.indoors.meshes import Stock
from sphmask_core.simulation.indoors.rooms import random_room

pytest.importorskip("trimesh")
image = pytest.importorskip("PIL.Image")

LISTED = "id#{n}=a#{n}\nname#{n}={name}\ncategory#{n}={category}\nmodel#{n}=/things/{n}/{n}.obj\n"
SIZES = "width#{n}={width}\ndepth#{n}={depth}\nheight#{n}={height}\n"
MATERIALS = (
    "newmtl red\nKd 1 0 0\nd 1\n"
    "newmtl glass\nKd 0 0 1\nd 0.2\n"
    "newmtl printed\nKd 0.6 0.6 0.6\nd 1\nmap_Kd print.png\n"
)


def box(first, low, high, material):
    """The OBJ text of a box between two corners, y up and z to the front, of one material."""
    corners = [(x, y, z) for x in (0, 1) for y in (0, 1) for z in (0, 1)]
    places = np.where(corners, high, low)
    quads = [(0, 1, 3, 2), (4, 6, 7, 5), (0, 4, 5, 1), (2, 3, 7, 6), (0, 2, 6, 4), (1, 5, 7, 3)]
    lines = [f"v {x} {y} {z}" for x, y, z in places] + ["vt 0.25 0.5"] + [f"usemtl {material}"]
    lines += ["f " + " ".join(f"{first + corner + 1}/1" for corner in quad) for quad in quads]
    return "\n".join(lines) + "\n"


def write_library(path, entries):
    """Write an archive of (name, category, width, depth, height in cm, more lines, OBJ text)."""
    two = np.zeros((2, 2, 3), np.uint8)
    two[:, 0], two[:, 1] = (0, 255, 0), (255, 255, 0)
    picture = io.BytesIO()
    image.fromarray(two).resize((64, 64), 0).save(picture, "PNG")
    with ZipFile(path, "w") as archive:
        listed = "# a catalog\nid=Test\nname=Tést\n"
        for n, (name, category, width, depth, height, more, text) in enumerate(entries, 1):
            listed += LISTED.format(n=n, name=name, category=category)
            listed += SIZES.format(n=n, width=width, depth=depth, height=height) + more.format(n=n)
            archive.writestr(f"things/{n}/{n}.obj", f"mtllib {n}.mtl\n" + text)
            archive.writestr(f"things/{n}/{n}.mtl", MATERIALS)
            archive.writestr(f"things/{n}/print.png", picture.getvalue())
        archive.writestr(CATALOG, listed.encode("latin-1"))


SEAT = box(0, (0, 0, 0), (2, 1, 2), "red") + box(8, (0, 1, 0), (2, 2, 0.4), "printed")
"""A seat with its back at the least z, as in Sweet Home 3D."""


@pytest.fixture(scope="module")
def pieces(tmp_path_factory):
    folder = tmp_path_factory.mktemp("libraries")
    entries = [
        ("Office chair", "Office", 60, 50, 90, "", SEAT),
        ("Desk", "Office", 140, 70, 75, "", box(0, (0, 0, 0), (1, 1, 1), "printed")),
        ("Table", "Living room", 90, 90, 70, "", box(0, (0, 0, 0), (1, 1, 1), "glass")),
        ("Vase", "Miscellaneous", 20, 20, 30, "", box(0, (0, 0, 0), (1, 1, 1), "red")),
        ("Floor plant", "Miscellaneous", 60, 60, 120, "", box(0, (0, 0, 0), (1, 1, 1), "red")),
        ("Wall lamp", "Lights", 20, 20, 30, "elevation#{n}=150\n", box(0, (0, 0, 0), (1, 1, 1), "red")),
        ("Washbasin", "Bathroom", 60, 45, 20, "elevation#{n}=70\n", box(0, (0, 0, 0), (1, 1, 1), "red")),
        ("Bed", "Bedroom", 150, 200, 60, "modelRotation#{n}=1 0 0 0 0 1 0 -1 0\n",
         box(0, (0, 0, 0), (3, 1, 2), "red") + box(8, (0, 0, 0), (3, 0.1, 4), "printed")),
        ("Sports car", "Vehicles", 180, 400, 150, "", box(0, (0, 0, 0), (1, 1, 1), "red")),
    ]  # fmt: skip
    write_library(folder / "test.sh3f", entries)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, str(folder))
        return {piece.model.name: piece for piece in load_library()}


def test_kinds(pieces):
    kinds = {name: piece.kind for name, piece in pieces.items()}
    assert kinds == {
        "Office chair": "chair", "Desk": "desk", "Vase": LYING, "Floor plant": STANDING, "Washbasin": "sink",
        "Bed": "bed",
    }  # fmt: skip


@pytest.mark.parametrize(
    ("name", "category", "size", "kind"),
    [
        ("Toilets unit", "Bathroom", (0.4, 0.7, 0.8), "toilet"),
        ("Bedside table", "Bedroom", (0.5, 0.4, 0.5), "cabinet"),
        ("Desk lamp", "Lights", (0.2, 0.2, 0.4), LYING),
        ("Glass table", "Living room", (1.6, 0.9, 0.75), None),
        ("Cafe chair", "Exterior", (0.5, 0.5, 0.9), "chair"),
        ("Fountain", "Exterior", (1.0, 1.0, 1.5), None),
        ("Wheelchair", "Miscellaneous", (0.6, 0.8, 0.9), None),
        ("Small oven", "Kitchen", (0.5, 0.4, 0.36), LYING),
        ("Oven", "Kitchen", (0.6, 0.5, 0.6), "machine"),
        ("Newspaper", "Miscellaneous", (0.27, 0.24, 0.02), LYING),
        ("Sheet", "Miscellaneous", (0.27, 0.01, 0.01), None),
        ("Coconut", "Miscellaneous", (7.0, 8.0, 11.0), None),
    ],
)
def test_kind_of(name, category, size, kind):
    assert kind_of(Entry(name, category, "a.obj", size, 0.0, None)) == kind


def test_sizes_are_those_of_the_catalog(pieces):
    chair, basin = pieces["Office chair"].model, pieces["Washbasin"].model
    np.testing.assert_allclose([chair.low, chair.high], [(-0.3, -0.25, 0), (0.3, 0.25, 0.9)], atol=1e-6)
    np.testing.assert_allclose([basin.low[2], basin.high[2]], [0.7, 0.9], atol=1e-6)


def test_backs_are_toward_y(pieces):
    """The back of the seat is what is above its middle; red is below."""
    model = pieces["Office chair"].model
    high = model.vertices[:, 2] > 0.5
    assert (model.vertices[high, 1] > 0.1).all()
    assert (model.colors[model.vertices[:, 2] < 0.4] == (1, 0, 0)).all()


def test_textures_are_looked_up(pieces):
    assert np.abs(pieces["Desk"].model.colors - (0, 1, 0)).max() < 0.01


def test_tops(pieces):
    top = pieces["Desk"].top
    np.testing.assert_allclose(top.center, (0, 0, 0.75), atol=0.01)
    np.testing.assert_allclose(top.half, (0.63, 0.315), atol=0.01)


def test_models_are_turned_upright(pieces):
    """The bed's head is a tenth of its length, and stands up once the model is turned."""
    model = pieces["Bed"].model
    np.testing.assert_allclose(model.size, (1.5, 2.0, 0.6), atol=1e-6)
    high = model.vertices[:, 2] > 0.4
    assert np.ptp(model.vertices[high, 1]) < 0.25


def test_rooms_are_furnished_from_a_library(pieces):
    stock = Stock(library=tuple(pieces.values()))
    rooms = [random_room(np.random.default_rng(seed), stock) for seed in range(12)]
    names = {model.name for room in rooms for put in room for model in put.thing.models}
    assert {"Office chair", "Desk", "Vase", "Floor plant", "Bed"} <= names


def test_no_libraries(monkeypatch, tmp_path):
    monkeypatch.delenv(VARIABLE, raising=False)
    monkeypatch.setattr(library, "FOLDER", str(tmp_path / "missing"))
    assert load_library() == ()
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(
        ValueError, match=r"SPHMASK_FURNITURE=.*: no furniture libraries \(\.sh3f\) are there"
    ):
        load_library()


@pytest.mark.parametrize("content", [b"not an archive", None])
def test_what_is_no_library_is_named(monkeypatch, tmp_path, content):
    path = tmp_path / "broken.sh3f"
    if content is None:
        ZipFile(path, "w").close()
    else:
        path.write_bytes(content)
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(ConfigError, match=r"broken\.sh3f: not a furniture library"):
        load_library()


def test_a_library_with_a_wrong_number_is_named(monkeypatch, tmp_path):
    entry = ("Desk", "Office", "wide", 70, 75, "", box(0, (0, 0, 0), (1, 1, 1), "red"))
    write_library(tmp_path / "wrong.sh3f", [entry])
    monkeypatch.setenv(VARIABLE, str(tmp_path))
    with pytest.raises(ConfigError, match=r"wrong\.sh3f: not a furniture library .*wide"):
        load_library()
