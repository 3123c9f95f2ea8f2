# SPDX-License-Identifier: Apache-2.0
"""Own labeled clouds in every format, and scenes that the published code prepared."""

import io
import pickle
import zipfile

import numpy as np
import pytest
import torch
import yaml

from sphmask_core.clouds.cloud import Cloud, write_ply
from sphmask_core.clouds.prepared import map_table, read_manifest
from test.helpers import miniatures
from training.prepare import main

CLASSES = ["floor", "wall", "chair", "dining table", "lamp"]
OWN = {
    "semantic_classes": CLASSES,
    "instance_classes": CLASSES[2:],
    "fields": {"semantic": "class", "instance": "object", "label_ids": [2, 1, 5, 7, 35], "no_instance": 0},
    "train": {"dataset": "folder"},
}
VALUES = {"floor": 2, "wall": 1, "chair": 5, "dining table": 7, "lamp": 99}


def labels_of(scene):
    """The clouds' own fields: lamps are of a class that the configuration does not know."""
    semantic = np.array([VALUES[item.label] for item in scene.items])[scene.item]
    return {"class": semantic, "object": np.where(semantic <= 2, 0, scene.item * 1000 + 7)}


def write_own(folder, suffix, scene):
    folder.mkdir(parents=True, exist_ok=True)
    path, labels = folder / f"scan{suffix}", labels_of(scene)
    if suffix == ".ply":
        fields = {name: values.astype(np.int32) for name, values in labels.items()}
        write_ply(path, Cloud(scene.xyz, scene.rgb, None, (1, len(scene.xyz))), fields)
    elif suffix == ".npz":
        np.savez(path, xyz=scene.xyz, rgb=scene.rgb, **labels)
    elif suffix == ".npy":
        np.save(path, np.column_stack([scene.xyz, scene.rgb, labels["class"], labels["object"]]))
    else:
        rows = np.column_stack([scene.xyz, labels["class"], labels["object"]])
        header = f"FIELDS x y z class object\nSIZE 4 4 4 4 4\nTYPE F F F I U\nWIDTH {len(rows)}\nHEIGHT 1\n"
        lines = [
            " ".join([*(f"{value:.6f}" for value in row[:3]), *(f"{value:.0f}" for value in row[3:])])
            for row in rows
        ]
        path.write_text(header + "DATA ascii\n" + "\n".join(lines) + "\n")
    return path


def prepare(raw, settings=OWN):
    config, out = raw.parent / "own.yaml", raw.parent / "out"
    config.write_text(yaml.safe_dump(settings))
    return main(["folder", "--raw", str(raw), "--out", str(out), "--config", str(config), "--jobs", "1"]), out


@pytest.mark.parametrize("suffix", [".ply", ".pcd", ".npz", ".npy"])
def test_own_clouds(tmp_path, suffix):
    scene = miniatures.room()
    write_own(tmp_path / "raw" / "train", suffix, scene)
    settings = OWN
    if suffix == ".npy":
        settings = OWN | {"fields": OWN["fields"] | {"semantic": "6", "instance": "7"}}
    status, out = prepare(tmp_path / "raw", settings)
    assert status == 0
    manifest = read_manifest(out)
    assert manifest.label_ids == (2, 1, 5, 7, 35) and manifest.scenes[0].origin == [0, 0, 0]
    table = map_table(out / "train/scan.npy")
    np.testing.assert_allclose(table.xyz, scene.xyz, atol=1e-5)
    assert (table.rgb is None) == (suffix == ".pcd")
    expected = [0, 1, 2, 2, 3, -100]
    np.testing.assert_array_equal(table.semantic, np.array(expected)[scene.item])
    of_item = [set(table.instance[scene.item == i].tolist()) for i in range(6)]
    assert of_item == [{-100}, {-100}, {0}, {1}, {2}, {3}]


def test_every_fifth_cloud_is_for_validation(tmp_path):
    (tmp_path / "raw").mkdir()
    for i in range(6):
        scene = miniatures.room(0, miniatures.ROOM[2:3], 0.1)
        np.savez(tmp_path / f"raw/scan{i}.npz", xyz=scene.xyz, **labels_of(scene))
    status, out = prepare(tmp_path / "raw")
    assert status == 0
    assert [scene.name for scene in read_manifest(out).scenes if scene.split == "val"] == ["scan4"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"semantic": "kind"}, "has no field 'kind', only xyz, rgb, class, object"),
        ({"label_ids": [1, 2]}, "fields.label_ids: has 2 values for 5 semantic_classes"),
        ({"instance": "xyz"}, "field 'xyz' is not one number a point"),
        ({"sematic": "class"}, "fields.sematic: unknown key"),
    ],
)
def test_wrong_fields(tmp_path, capsys, change, message):
    write_own(tmp_path / "raw", ".npz", miniatures.room(0, miniatures.ROOM[2:3]))
    status, _ = prepare(tmp_path / "raw", OWN | {"fields": OWN["fields"] | change})
    assert status == 2 and message in capsys.readouterr().err


def test_folder_needs_a_configuration(tmp_path, capsys):
    assert main(["folder", "--raw", str(tmp_path), "--out", str(tmp_path / "out")]) == 2
    assert "give --config" in capsys.readouterr().err


def test_two_clouds_of_one_name(tmp_path, capsys):
    for split in ("train", "val"):
        write_own(tmp_path / "raw" / split, ".npz", miniatures.room())
    assert prepare(tmp_path / "raw")[0] == 2
    assert "two clouds are named scan" in capsys.readouterr().err


def write_published(
    raw, superpoints=True, scale=lambda rgb: rgb / 127.5 - 1, name="scene0000_00", split="train"
):
    """What the published scripts write: float64 arrays, pickled by torch."""
    scene = miniatures.room()
    semantic = np.array([1, 0, 4, 4, 6, -100])[scene.item].astype(np.float64)
    arrays = (scene.xyz.astype(np.float64), scale(scene.rgb.astype(np.float64)), semantic, scene.item * 1.0)
    (raw / split).mkdir(parents=True)
    torch.save(arrays if split != "test" else arrays[:2], raw / split / f"{name}_inst_nostuff.pth")
    if superpoints:
        (raw / "superpoints").mkdir()
        torch.save(torch.from_numpy(miniatures.segments_of(scene)), raw / "superpoints" / f"{name}.pth")
    return scene


def prepare_published(raw, name):
    out = raw.parent / "out"
    return main([name, "--raw", str(raw), "--out", str(out), "--partial", "--jobs", "1"]), out


@pytest.mark.parametrize("superpoints", [True, False])
def test_published_scenes(tmp_path, superpoints):
    scene = write_published(tmp_path / "raw", superpoints)
    status, out = prepare_published(tmp_path / "raw", "scannetv2")
    assert status == 0
    table = map_table(out / "train/scene0000_00.npy")
    np.testing.assert_array_equal(table.rgb, scene.rgb)
    np.testing.assert_array_equal(table.semantic, np.array([1, 0, 4, 4, 6, -100])[scene.item])
    np.testing.assert_array_equal(table.instance, np.array([-100, -100, 2, 3, 4, -100])[scene.item])
    if superpoints:
        assert len(np.unique(table.superpoints)) == len(np.unique(miniatures.segments_of(scene)))


def test_published_s3dis(tmp_path):
    """Colors from 0 to 255; ceiling and floor are objects."""
    scene = write_published(tmp_path / "raw", True, lambda rgb: rgb, "Area_3_office_1", "preprocess")
    status, out = prepare_published(tmp_path / "raw", "s3dis")
    assert status == 0 and read_manifest(out).splits == ("Area_3",)
    table = map_table(out / "Area_3/Area_3_office_1.npy")
    np.testing.assert_array_equal(table.rgb, scene.rgb)
    np.testing.assert_array_equal(table.instance, scene.item)


def test_published_test_split(tmp_path):
    write_published(tmp_path / "raw", split="test")
    status, out = prepare_published(tmp_path / "raw", "scannetv2")
    assert status == 0 and map_table(out / "test/scene0000_00.npy").semantic is None


def test_old_numpy_names(tmp_path):
    """Files of numpy 1 name numpy.core, those of numpy 2 numpy._core."""
    write_published(tmp_path / "raw")
    path = tmp_path / "raw/train/scene0000_00_inst_nostuff.pth"
    with zipfile.ZipFile(path) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in entries.items():
            archive.writestr(name, content.replace(b"numpy._core.multiarray", b"numpy.core.multiarray"))
    assert prepare_published(tmp_path / "raw", "scannetv2")[0] == 0


class Evil:
    def __reduce__(self):
        return (exec, ("raise SystemExit('code was run')",))


NO_SCENES = {
    "code": pickle.dumps(Evil(), protocol=2),
    "code beside an array": (np.zeros((3, 3)), Evil()),
    "code in an array": (np.zeros((3, 3)), np.array([Evil()], object)),
    "words": ("words",),
    "two lengths": (np.zeros((3, 3)), np.zeros((2, 3))),
    "nothing": b"",
    "cut off": b"PK\3\4 cut off",
}


@pytest.mark.parametrize("content", NO_SCENES.values(), ids=NO_SCENES)
def test_files_that_are_no_scenes(tmp_path, capsys, content):
    """No code in them is run."""
    write_published(tmp_path / "raw")
    path = tmp_path / "raw/train/scene0000_00_inst_nostuff.pth"
    if isinstance(content, bytes):
        path.write_bytes(content)
    else:
        buffer = io.BytesIO()
        torch.save(content, buffer)
        path.write_bytes(buffer.getvalue())
    assert prepare_published(tmp_path / "raw", "scannetv2")[0] == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert str(path) in error and len(error) < 400
