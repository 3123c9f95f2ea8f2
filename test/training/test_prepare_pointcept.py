# SPDX-License-Identifier: Apache-2.0
"""Pointcept's folders of columns as an input: classes by name, instances without walls and floors."""

import numpy as np
import pytest

from sphmask_core.clouds.prepared import map_table, read_manifest
from sphmask_core.config import load_config
from training import prepare
from training.formats import scannet
from training.formats.source import Options


def write(folder, name, classes, labeled=True):
    """A scene of one point a class and one without; returns its points."""
    rng = np.random.default_rng(0)
    scene = folder / name
    scene.mkdir(parents=True)
    labels = np.append(np.arange(classes), -1)
    xyz = rng.uniform(0, 5, (len(labels), 3)).astype(np.float32)
    np.save(scene / "coord.npy", xyz)
    np.save(scene / "color.npy", rng.integers(0, 256, (len(labels), 3)).astype(np.uint8))
    np.save(scene / "normal.npy", xyz)
    if labeled:
        for label in ("segment", "segment20", "segment200"):
            np.save(scene / f"{label}.npy", labels.astype(np.int16)[:, None])
        np.save(scene / "instance.npy", np.append(np.arange(classes), -1).astype(np.int16)[:, None])
    return xyz


def prepared(folder, dataset):
    arguments = [
        dataset,
        "--raw",
        str(folder / "raw"),
        "--out",
        str(folder / "out"),
        "--partial",
        "--jobs",
        "1",
    ]
    status = prepare.main(arguments)
    return status, folder / "out"


@pytest.mark.parametrize(("dataset", "first"), [("scannetv2", "cabinet"), ("scannet200", "chair")])
def test_scannet(tmp_path, dataset, first):
    config = load_config(dataset)
    classes = config.semantic_classes
    write(tmp_path / "raw/train", "scene0000_00", len(classes))
    write(tmp_path / "raw/val", "scene0001_00", len(classes))
    write(tmp_path / "raw/test", "scene0707_00", len(classes), labeled=False)
    status, out = prepared(tmp_path, dataset)
    assert status == 0
    assert {scene.split for scene in read_manifest(out).scenes} == {"train", "val", "test"}
    table = map_table(out / "train/scene0000_00.npy")
    ids = np.array(scannet.label_ids(Options(tmp_path / "raw", config)))
    assert (np.diff(ids[table.semantic[:-1]]) > 0).all()  # Pointcept numbers classes by the benchmark's ids
    assert [classes[k] for k in table.semantic[:2]] == [
        "wall",
        "floor" if dataset == "scannetv2" else "chair",
    ]
    assert table.semantic[-1] == -100
    stuff = np.isin(table.semantic, [-100, classes.index("wall"), classes.index("floor")])
    assert ((table.instance < 0) == stuff).all() and first in classes
    assert map_table(out / "test/scene0707_00.npy").semantic is None


def test_s3dis(tmp_path):
    """Rooms of two areas with one name; ceiling and floor are instances there."""
    for area in (1, 5):
        write(tmp_path / f"raw/Area_{area}", "office_1", 13)
    status, out = prepared(tmp_path, "s3dis")
    assert status == 0
    assert {scene.name for scene in read_manifest(out).scenes} == {"Area_1_office_1", "Area_5_office_1"}
    table = map_table(out / "Area_5/Area_5_office_1.npy")
    assert table.semantic[:-1].tolist() == list(range(13)) and (table.instance[:-1] >= 0).all()


def test_what_is_wrong_is_one_line(tmp_path, capsys):
    write(tmp_path / "raw/train", "scene0000_00", 20)
    np.save(tmp_path / "raw/train/scene0000_00/segment20.npy", np.full(21, 33))
    assert prepared(tmp_path, "scannetv2")[0] == 2
    assert "segment20.npy: has class 33, scannetv2 has 20" in capsys.readouterr().err
    np.save(tmp_path / "raw/train/scene0000_00/segment20.npy", np.zeros(5))
    assert prepared(tmp_path, "scannetv2")[0] == 2
    assert "segment20.npy: has 5 rows, coord.npy 21" in capsys.readouterr().err
    np.save(tmp_path / "raw/train/scene0000_00/segment20.npy", np.array([{}]), allow_pickle=True)
    assert prepared(tmp_path, "scannetv2")[0] == 2
    assert "segment20.npy" in capsys.readouterr().err
