# SPDX-License-Identifier: Apache-2.0
"""ScanNetV2 and ScanNet200 from their raw files: classes, objects, superpoints, and every known trap."""

import json

import numpy as np
import pytest

from sphmask_core.clouds.prepared import map_table, read_manifest
from test.helpers import miniatures
from training.prepare import main


@pytest.fixture
def raw(tmp_path):
    miniatures.write_scannet(tmp_path / "raw")
    return tmp_path / "raw"


def prepare(raw, dataset="scannetv2", *more):
    out = raw.parent / dataset
    arguments = [dataset, "--raw", str(raw), "--out", str(out), "--partial", "--jobs", "1", *more]
    return main(arguments), out


def refused(raw, capsys, dataset="scannetv2"):
    status, out = prepare(raw, dataset)
    error = capsys.readouterr().err.splitlines()[-1]
    assert status == 2 and not (out / "manifest.json").exists()
    return error


def objects_of(table):
    """Item of the room -> (class, object) of its points, which must be one each."""
    scene = miniatures.room(0)
    pairs = [
        set(zip(table.semantic[scene.item == i], table.instance[scene.item == i], strict=True))
        for i in range(len(scene.items))
    ]
    assert all(len(pair) == 1 for pair in pairs)
    return [tuple(map(int, pair.pop())) for pair in pairs]


def test_scannetv2(raw):
    status, out = prepare(raw)
    assert status == 0
    manifest = read_manifest(out)
    assert manifest.splits == ("test", "train", "val") and len(manifest.semantic_classes) == 20
    assert manifest.label_ids[-1] == 39
    table = map_table(out / "train/scene0000_00.npy")
    floor, wall, chair, other_chair, dining, lamp = objects_of(table)
    assert wall == (0, -100) and floor == (1, -100)
    assert chair[0] == other_chair[0] == 4 and dining[0] == 6
    assert len({chair[1], other_chair[1], dining[1]}) == 3 and min(chair[1], other_chair[1], dining[1]) >= 0
    assert lamp[0] == -100  # NYU40's lamp is none of the twenty
    scene = miniatures.room(0)
    record = next(entry for entry in manifest.scenes if entry.name == "scene0000_00")
    np.testing.assert_allclose(table.xyz.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(table.xyz + record.origin, scene.xyz, atol=1e-6)
    np.testing.assert_array_equal(table.rgb, scene.rgb)
    assert isinstance(table.xyz.base, np.memmap) or isinstance(table.xyz, np.memmap)


def test_published_superpoints(raw):
    """Those of segs.json, numbered from 0."""
    _, out = prepare(raw)
    table = map_table(out / "val/scene0217_00.npy")
    segments = miniatures.segments_of(miniatures.room(0))
    assert set(table.superpoints) == set(range(len(np.unique(segments))))
    assert len(set(zip(segments, table.superpoints, strict=True))) == len(np.unique(segments))


def test_our_superpoints(raw):
    _, out = prepare(raw, "scannetv2", "--superpoints", "ours")
    ours = np.array(map_table(out / "val/scene0217_00.npy").superpoints)
    assert ours.max() > 1
    _, out = prepare(raw)  # other settings: prepared again
    assert not np.array_equal(map_table(out / "val/scene0217_00.npy").superpoints, ours)


def test_objects_listed_twice_count_once(raw):
    """scene0217_00's aggregation repeats all objects."""
    groups = json.loads((raw / "scans/scene0217_00/scene0217_00.aggregation.json").read_text())["segGroups"]
    assert len(groups) == 2 * len(miniatures.ROOM)
    _, out = prepare(raw)
    twice, once = (
        map_table(out / path).instance for path in ("val/scene0217_00.npy", "train/scene0000_00.npy")
    )
    np.testing.assert_array_equal(twice, once)


def test_test_split_has_no_labels(raw):
    _, out = prepare(raw)
    table = map_table(out / "test/scene0707_00.npy")
    assert table.semantic is None and table.instance is None and table.superpoints is not None


def test_scannet200(raw):
    status, out = prepare(raw, "scannet200")
    assert status == 0
    manifest = read_manifest(out)
    classes = manifest.semantic_classes
    assert len(classes) == len(manifest.label_ids) == 200
    table = map_table(out / "train/scene0000_00.npy")
    names = [(classes[semantic], instance) for semantic, instance in objects_of(table)]
    assert names[0] == ("floor", -100) and names[1] == ("wall", -100)
    assert [name for name, _ in names[2:]] == ["chair", "chair", "dining table", "lamp"]
    assert all(instance >= 0 for _, instance in names[2:])


def test_raw_names_decide_in_scannet200(raw):
    """What NYU40 calls a wall may be a class of its own."""
    path = raw / "scans/scene0000_00/scene0000_00.aggregation.json"
    path.write_text(path.read_text().replace('"wall"', '"shower wall"'))
    _, out = prepare(raw, "scannet200")
    classes = read_manifest(out).semantic_classes
    assert classes[objects_of(map_table(out / "train/scene0000_00.npy"))[1][0]] == "shower wall"


def test_label_map_columns_in_another_order(raw):
    """The columns of the map have moved between releases."""
    miniatures.write_label_map(raw, "raw_category\tnyu40class\tcategory\tid\tnyu40id")
    assert prepare(raw, "scannet200")[0] == 0


def test_points_that_no_object_has_are_unlabeled(raw):
    path = raw / "scans/scene0000_00/scene0000_00.aggregation.json"
    content = json.loads(path.read_text())
    content["segGroups"] = content["segGroups"][2:]
    path.write_text(json.dumps(content))
    _, out = prepare(raw, "scannet200")
    assert objects_of(map_table(out / "train/scene0000_00.npy"))[:2] == [(-100, -100)] * 2


def test_folders_of_splits(tmp_path):
    """All scans of a split in one folder, without lists."""
    raw = tmp_path / "raw"
    miniatures.write_label_map(raw)
    miniatures.write_scan(raw / "train", "scene0000_00", miniatures.room())
    status, out = prepare(raw)
    assert status == 0 and [scene.name for scene in read_manifest(out).scenes] == ["scene0000_00"]


def test_counts_are_checked(raw, capsys):
    assert main(["scannetv2", "--raw", str(raw), "--out", str(raw.parent / "out")]) == 2
    error = capsys.readouterr().err
    assert "train: 2 instead of 1201, val: 1 instead of 312" in error and "--partial" in error
    assert error.count("\n") == 1


def test_missing_list(raw, capsys):
    (raw / "scannetv2_val.txt").unlink()
    assert "scannetv2_val.txt: missing" in refused(raw, capsys)


@pytest.mark.parametrize(
    "suffix", [".aggregation.json", "_vh_clean_2.0.010000.segs.json", "_vh_clean_2.labels.ply"]
)
def test_missing_file(raw, capsys, suffix):
    (raw / f"scans/scene0001_00/scene0001_00{suffix}").unlink()
    assert f"scene0001_00{suffix}: missing; scene0001_00 needs it" in refused(raw, capsys)


def damage(path, change):
    content = json.loads(path.read_text())
    change(content)
    path.write_text(json.dumps(content))


DAMAGES = {
    "short segments": ("_vh_clean_2.0.010000.segs.json", lambda c: c["segIndices"].pop(), "the mesh has"),
    "no segments": ("_vh_clean_2.0.010000.segs.json", lambda c: c.pop("segIndices"), "has no 'segIndices'"),
    "words for segments": (
        "_vh_clean_2.0.010000.segs.json",
        lambda c: c.update(segIndices=["a"]),
        "segs.json",
    ),
    "unknown label": (
        ".aggregation.json",
        lambda c: c["segGroups"][0].update(label="gizmo"),
        "'gizmo' is not in",
    ),
    "shared segment": (
        ".aggregation.json",
        lambda c: c["segGroups"][2]["segments"].append(c["segGroups"][3]["segments"][0]),
        "1 segments belong to two objects",
    ),
    "list for object": (".aggregation.json", lambda c: c["segGroups"].append([]), "has no 'label'"),
}


@pytest.mark.parametrize("case", DAMAGES)
def test_bad_json(raw, capsys, case):
    kind, change, message = DAMAGES[case]
    folder = raw / "scans/scene0000_00"
    path = folder / f"scene0000_00{kind}"
    damage(path, change)
    error = refused(raw, capsys)
    assert message in error and str(path) in error


def test_cut_files(raw, capsys):
    """A mesh and a JSON file that stopped halfway: both are named, and nothing of them is written."""
    for path in (
        raw / "scans/scene0000_00/scene0000_00_vh_clean_2.ply",
        raw / "scans/scene0001_00/scene0001_00.aggregation.json",
    ):
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    status, out = prepare(raw)
    lines = [line for line in capsys.readouterr().err.splitlines() if line.startswith("prepare: ")]
    assert status == 2 and len(lines) == 2
    assert "scene0000_00_vh_clean_2.ply" in lines[0] and "scene0001_00.aggregation.json" in lines[1]
    assert not (out / "train").exists()


def test_labels_of_another_mesh(raw, capsys):
    scene = miniatures.room(0, miniatures.ROOM[:2])
    path = raw / "scans/scene0000_00/scene0000_00_vh_clean_2.labels.ply"
    miniatures.write_mesh(path, scene, np.ones(len(scene.xyz)))
    assert f"{path}: has {len(scene.xyz)} vertices, the mesh has" in refused(raw, capsys)
