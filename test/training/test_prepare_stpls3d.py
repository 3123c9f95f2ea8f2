# SPDX-License-Identifier: Apache-2.0
"""STPLS3D from its text files: blocks, turned copies, classes."""

import numpy as np
import pytest

from sphmask_core.clouds.prepared import map_table, read_manifest
from test.helpers import miniatures
from training.formats import stpls3d
from training.prepare import main


@pytest.fixture(scope="module")
def raw(tmp_path_factory):
    folder = tmp_path_factory.mktemp("stpls3d") / "raw"
    miniatures.write_stpls3d(folder)
    return folder


@pytest.fixture(scope="module")
def prepared(raw):
    out = raw.parent / "out"
    assert main(["stpls3d", "--raw", str(raw), "--out", str(out), "--partial", "--jobs", "1"]) == 0
    return out, {scene.name: scene for scene in read_manifest(out).scenes}


def test_blocks(prepared):
    """Training has a block of 50 m and drops the strip that is left; validation has the whole cloud."""
    out, scenes = prepared
    assert scenes["01_0_00"].split == "train" and scenes["05_0_00"].split == "val"
    assert "01_0_01" not in scenes and "05_0_01" not in scenes
    block, whole = map_table(out / "train/01_0_00.npy"), map_table(out / "val/05_0_00.npy")
    assert 49 < np.ptp(block.xyz[:, 0]) <= 50 and 59 < np.ptp(whole.xyz[:, 0]) <= 60
    np.testing.assert_allclose(block.xyz.mean(0), 0, atol=1e-4)
    assert scenes["01_0_00"].origin[1] > 900 and block.superpoints is None


def test_ground_has_no_instances(prepared):
    table = map_table(prepared[0] / "train/01_0_00.npy")
    assert set(table.semantic) == {0, 1, 9}
    assert (table.instance[table.semantic == 0] == -100).all() and table.instance[
        table.semantic > 0
    ].min() >= 0


def test_turned_copies_keep_rare_classes(prepared):
    out, scenes = prepared
    copies = [name for name in scenes if name.startswith("01_") and not name.startswith("01_0")]
    assert copies
    for name in copies:
        table = map_table(out / f"train/{name}.npy")
        assert set(table.semantic) == {0, 9}
        assert len(np.unique(table.instance[table.instance >= 0])) >= stpls3d.FEWEST_OBJECTS


def test_copies_are_the_same_every_time(raw):
    rows = np.random.default_rng(0).random((20, 8))
    copies, again = (list(stpls3d.turned_copies(rows, 3)) for _ in range(2))
    assert len(copies) == 7
    for first, second in zip(copies, again, strict=True):
        np.testing.assert_array_equal(first, second)


def test_unknown_class(tmp_path, capsys):
    (tmp_path / "1_points_GTv3.txt").write_text("0,0,0,1,2,3,0,-100\n0,0,0,1,2,3,17,4\n")
    assert main(["stpls3d", "--raw", str(tmp_path), "--out", str(tmp_path / "out"), "--partial"]) == 2
    assert "1_points_GTv3.txt: has class 17; the classes are 0 to 14" in capsys.readouterr().err


def test_spaces_for_commas(tmp_path, capsys):
    (tmp_path / "1_points_GTv3.txt").write_text("0 0 0 1 2 3 0 -100\n")
    assert main(["stpls3d", "--raw", str(tmp_path), "--out", str(tmp_path / "out"), "--partial"]) == 2
    assert "1_points_GTv3.txt: line 1 is not 8 numbers" in capsys.readouterr().err
