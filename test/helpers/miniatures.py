# SPDX-License-Identifier: Apache-2.0
"""Miniature data sets in the raw formats of the benchmarks, as their own tools write them."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import plyfile

LABEL_MAP_HEADER = (
    "id\traw_category\tcategory\tcount\tnyu40id\teigen13id\tnyuClass\tnyu40class\teigen13class\t"
    "ModelNet40\tModelNet10\tShapeNetCore55\tsynsetoffset\twnsynsetid\twnsynsetkey\tmpcat40\tmpcat40index"
)
LABEL_MAP = {  # raw category: id, nyu40id, nyu40class
    "wall": (1, 1, "wall"),
    "floor": (3, 2, "floor"),
    "chair": (2, 5, "chair"),
    "dining table": (45, 7, "table"),
    "lamp": (28, 35, "lamp"),
    "shower wall": (128, 1, "wall"),
}


@dataclass(frozen=True)
class Item:
    """A part of a miniature room: points of a box's faces."""

    label: str
    low: tuple[float, float, float]
    high: tuple[float, float, float]

    def points(self, spacing: float) -> np.ndarray:
        """(N, 3) grid points of the box; a plane where the box is flat."""
        axes = [np.arange(a, b + spacing / 2, spacing) for a, b in zip(self.low, self.high, strict=True)]
        grid = np.stack(np.meshgrid(*axes, indexing="ij"), -1).reshape(-1, 3)
        return grid[((grid <= grid.min(0)) | (grid >= grid.max(0))).any(1)]


ROOM = (
    Item("floor", (0, 0, 0), (2, 2, 0)),
    Item("wall", (0, 0, 0.06), (0, 2, 1)),
    Item("chair", (0.4, 0.4, 0.06), (0.8, 0.8, 0.5)),
    Item("chair", (1.4, 0.4, 0.06), (1.8, 0.8, 0.5)),
    Item("dining table", (0.6, 1.2, 0.06), (1.4, 1.8, 0.4)),
    Item("lamp", (1.6, 1.6, 0.06), (1.7, 1.7, 0.9)),
)


@dataclass(frozen=True)
class Room:
    """Points of all items in one list."""

    xyz: np.ndarray
    rgb: np.ndarray
    item: np.ndarray
    items: tuple[Item, ...]


def room(seed: int = 0, items: tuple[Item, ...] = ROOM, spacing: float = 0.05) -> Room:
    rng = np.random.default_rng(seed)
    parts = [item.points(spacing) for item in items]
    number = np.repeat(np.arange(len(items)), [len(part) for part in parts])
    xyz = np.concatenate(parts) + rng.normal(0, 0.002, (len(number), 3))
    colors = rng.integers(0, 256, (len(items), 3))[number] + rng.integers(-9, 10, (len(number), 3))
    return Room(xyz.astype(np.float32), np.clip(colors, 0, 255).astype(np.uint8), number, items)


def write_mesh(path: Path, scene: Room, labels: np.ndarray | None = None) -> None:
    """A binary mesh: colors with alpha, triangles; with `labels` the property that .labels.ply has."""
    columns = [(name, "f4", scene.xyz[:, i]) for i, name in enumerate("xyz")]
    columns += [(name, "u1", scene.rgb[:, i]) for i, name in enumerate(("red", "green", "blue"))]
    columns += [("alpha", "u1", np.full(len(scene.xyz), 255))]
    columns += [] if labels is None else [("label", "u2", labels)]
    vertices = np.empty(len(scene.xyz), [(name, kind) for name, kind, _ in columns])
    for name, _, values in columns:
        vertices[name] = values
    faces = np.empty(4, [("vertex_indices", "i4", (3,))])
    faces["vertex_indices"] = np.arange(12).reshape(4, 3)
    elements = [plyfile.PlyElement.describe(vertices, "vertex"), plyfile.PlyElement.describe(faces, "face")]
    plyfile.PlyData(elements, byte_order="<").write(str(path))


def segments_of(scene: Room) -> np.ndarray:
    """(N,) two segments an item, numbered by one of their vertices as ScanNet's segmenter does."""
    half = scene.xyz[:, 2] > np.median(scene.xyz[:, 2])
    _, first, number = np.unique(scene.item * 2 + half, return_index=True, return_inverse=True)
    return first[number]


def groups_of(scene: Room, segments: np.ndarray) -> list[dict]:
    return [
        {
            "id": i,
            "objectId": i,
            "segments": np.unique(segments[scene.item == i]).tolist(),
            "label": item.label,
        }
        for i, item in enumerate(scene.items)
    ]


def write_scan(folder: Path, name: str, scene: Room, labeled: bool = True, repeat: bool = False) -> None:
    """The files of a ScanNet scan; `repeat`: the aggregation has every object twice (scene0217_00)."""
    folder.mkdir(parents=True, exist_ok=True)
    write_mesh(folder / f"{name}_vh_clean_2.ply", scene)
    if not labeled:
        return
    nyu40 = np.array([LABEL_MAP[item.label][1] for item in scene.items])[scene.item]
    write_mesh(folder / f"{name}_vh_clean_2.labels.ply", scene, nyu40)
    segments = segments_of(scene)
    (folder / f"{name}_vh_clean_2.0.010000.segs.json").write_text(
        json.dumps({"params": {"kThresh": "0.01"}, "sceneId": name, "segIndices": segments.tolist()})
    )
    groups = groups_of(scene, segments) * (2 if repeat else 1)
    (folder / f"{name}.aggregation.json").write_text(
        json.dumps({"sceneId": f"scannet.{name}", "appId": "Aggregator.v2", "segGroups": groups})
    )


def write_label_map(raw: Path, header: str = LABEL_MAP_HEADER) -> None:
    rows = [header]
    for raw_category, (number, nyu40id, nyu40class) in LABEL_MAP.items():
        values = {
            "id": number, "raw_category": raw_category, "category": raw_category, "count": 1,
            "nyu40id": nyu40id, "nyu40class": nyu40class,
        }  # fmt: skip
        rows.append("\t".join(str(values.get(name, "")) for name in header.split("\t")))
    raw.mkdir(parents=True, exist_ok=True)
    (raw / "scannetv2-labels.combined.tsv").write_text("\n".join(rows) + "\n")


SCANNET_SPLITS = {"train": ("scene0000_00", "scene0001_00"), "val": ("scene0217_00",)}
TEST_SCANS = ("scene0707_00",)


def write_scannet(raw: Path) -> None:
    """Two scans to train, one to validate (the one that repeats its objects) and one of the test split."""
    write_label_map(raw)
    for split, names in SCANNET_SPLITS.items():
        (raw / f"scannetv2_{split}.txt").write_text("\n".join(names) + "\n")
        for i, name in enumerate(names):
            write_scan(raw / "scans" / name, name, room(i), repeat=name == "scene0217_00")
    for name in TEST_SCANS:
        write_scan(raw / "scans_test" / name, name, room(7), labeled=False)


S3DIS_ITEMS = (
    Item("ceiling", (0, 0, 1), (2, 2, 1)),
    Item("floor", (0, 0, 0), (2, 2, 0)),
    Item("wall", (0, 0, 0.06), (0, 2, 0.95)),
    Item("chair", (0.4, 0.4, 0.06), (0.8, 0.8, 0.5)),
    Item("table", (0.6, 1.2, 0.06), (1.4, 1.8, 0.4)),
    Item("stairs", (1.5, 0.2, 0.06), (1.9, 0.6, 0.3)),
)


def number_lines(scene: Room, rows: np.ndarray) -> list[str]:
    """Lines x y z r g b, three decimals, as S3DIS has them."""
    xyz, rgb = scene.xyz[rows], scene.rgb[rows]
    return [f"{x:.3f} {y:.3f} {z:.3f} {r} {g} {b}" for (x, y, z), (r, g, b) in zip(xyz, rgb, strict=True)]


def write_s3dis_room(area: Path, name: str, seed: int = 0, spacing: float = 0.05) -> Room:
    """A room and its annotations, points in another order; the last points of the room are in none."""
    scene = room(seed, S3DIS_ITEMS, spacing)
    rng = np.random.default_rng(seed)
    folder = area / name
    (folder / "Annotations").mkdir(parents=True)
    order = rng.permutation(len(scene.xyz))
    (folder / f"{name}.txt").write_text("\n".join(number_lines(scene, order)) + "\n")
    for i, item in enumerate(scene.items):
        rows = rng.permutation(np.flatnonzero(scene.item == i))[5:]
        path = folder / "Annotations" / f"{item.label}_{i + 1}.txt"
        path.write_text("\n".join(number_lines(scene, rows)) + "\n")
    (folder / "Annotations" / ".DS_Store").write_bytes(b"\0\1")
    return Room(scene.xyz[order], scene.rgb[order], scene.item[order], scene.items)


def write_s3dis(raw: Path) -> None:
    """A room in each of two areas, area 5 with the defects of the real one."""
    write_s3dis_room(raw / "Area_1", "office_1")
    write_s3dis_room(raw / "Area_5", "hallway_6", 1)
    (raw / "Area_5" / "Area_5_alignmentAngle.txt").write_text(
        "## global alignment angle per disjoint space\n"
    )


def write_stpls3d(raw: Path) -> None:
    """A cloud to train on and one to validate on, 60 m wide: more than a block of 50 m."""
    raw.mkdir(parents=True)
    for number in (1, 5):
        (raw / f"{number}_points_GTv3.txt").write_text("\n".join(_city(number)) + "\n")


def _city(seed: int) -> list[str]:
    """Lines x,y,z,r,g,b,class,object: ground, buildings and bikes in turn."""
    rng = np.random.default_rng(seed)
    count = 36_000
    xyz = np.concatenate([rng.uniform(0, (60, 45), (count, 2)), rng.uniform(0, 1, (count, 1))], 1)
    cell = (xyz[:, 0] // 5).astype(int) * 10 + (xyz[:, 1] // 4.5).astype(int)
    semantic = np.select([cell % 3 == 0, cell % 3 == 1], [0, 1], 9)
    instance = np.where(semantic == 0, -100, cell)
    rgb = rng.integers(0, 256, (count, 3))
    rows = zip(xyz + np.array([500, 900, 30]), rgb, semantic, instance, strict=True)
    return [f"{x:.4f},{y:.4f},{z:.4f},{r},{g},{b},{s:.1f},{i:.1f}" for (x, y, z), (r, g, b), s, i in rows]
