# SPDX-License-Identifier: Apache-2.0
"""The command that prepares: several processes, resuming, manifests, damaged results."""

import os

import numpy as np
import pytest

from sphmask_core.clouds.prepared import PreparedError, Table, map_table, read_manifest, write_table
from test.helpers import miniatures
from training import prepare
from training.formats import job


@pytest.fixture
def raw(tmp_path):
    miniatures.write_scannet(tmp_path / "raw")
    return tmp_path / "raw"


def run(raw, *more):
    arguments = ["scannetv2", "--raw", str(raw), "--out", str(raw.parent / "out"), "--partial", "--jobs", "1"]
    return prepare.main([*arguments, *more])


def changed(out, since):
    """Scenes written after `since` (name -> time), and the times now."""
    now = {path.stem: path.stat().st_mtime_ns for path in out.glob("*/*.npy")}
    return {name for name, time in now.items() if since.get(name) != time}, now


def test_processes_give_the_same_as_one(raw, tmp_path, capsys):
    assert run(raw) == 0
    capsys.readouterr()
    assert run(raw, "--out", str(tmp_path / "two"), "--jobs", "2") == 0
    assert "4/4" in capsys.readouterr().err
    single, parallel = (read_manifest(tmp_path / name) for name in ("out", "two"))
    assert single == parallel
    for scene in single.scenes:
        paths = [tmp_path / name / scene.split / f"{scene.name}.npy" for name in ("out", "two")]
        np.testing.assert_array_equal(*(np.load(path) for path in paths))


def test_what_is_done_is_not_done_again(raw):
    out = raw.parent / "out"
    assert run(raw) == 0
    _, times = changed(out, {})
    assert run(raw) == 0 and changed(out, times)[0] == set()
    (out / "val/scene0217_00.npy").unlink()
    assert run(raw) == 0
    again, times = changed(out, times)
    assert again == {"scene0217_00"}
    miniatures.write_scan(raw / "scans/scene0001_00", "scene0001_00", miniatures.room(5))
    os.utime(raw / "scans/scene0001_00/scene0001_00.aggregation.json", ns=(2**62, 2**62))
    assert run(raw) == 0 and changed(out, times)[0] == {"scene0001_00"}


def test_a_stopped_run_goes_on(raw, monkeypatch, capsys):
    whole = job.do
    done = []

    def stopping(job):
        if len(done) == 2:
            raise KeyboardInterrupt
        done.append(job.source.name)
        return whole(job)

    monkeypatch.setattr(prepare, "do", stopping)
    assert run(raw) == 130
    out = raw.parent / "out"
    assert not (out / "manifest.json").exists() and len(changed(out, {})[0]) == 2
    _, times = changed(out, {})
    monkeypatch.setattr(prepare, "do", whole)
    assert run(raw) == 0 and len(changed(out, times)[0]) == 2


def test_a_bad_scan_does_not_stop_the_others(raw, capsys):
    """No manifest until it is put right; then only that scan is prepared."""
    path = raw / "scans/scene0000_00/scene0000_00_vh_clean_2.ply"
    content = path.read_bytes()
    path.write_bytes(b"ply\nnonsense")
    assert run(raw) == 2
    out = raw.parent / "out"
    done, times = changed(out, {})
    assert done == {"scene0001_00", "scene0217_00", "scene0707_00"} and not (out / "manifest.json").exists()
    assert str(path) in capsys.readouterr().err
    path.write_bytes(content)
    assert run(raw) == 0 and changed(out, times)[0] == {"scene0000_00"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["scannetv2", "--raw", "nowhere", "--out", "out"], "nowhere: no such folder"),
        (["s3dis", "--raw", ".", "--out", "out"], "holds no scenes of s3dis"),
        (["scannet200", "--raw", ".", "--out", "out"], "scannetv2-labels.combined.tsv: missing"),
        (["scannetv2", "--raw", ".", "--out", "out", "--config", "nothing"], "no such configuration"),
    ],
)
def test_wrong_arguments(tmp_path, monkeypatch, capsys, arguments, message):
    monkeypatch.chdir(tmp_path)
    assert prepare.main(arguments) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1 and list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("content", [b"", b"\x93NUMPY\x01\x00v\x00{'descr'", b"PK\3\4", None])
def test_damaged_scenes_are_named(tmp_path, content):
    path = tmp_path / "scene.npy"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(PreparedError, match=f"{path}: no .*; prepare"):
        map_table(path)


@pytest.mark.parametrize("columns", [np.zeros(4, [("xyz", "f4", 3), ("code", "f4")]), np.zeros((4, 3))])
def test_other_arrays_are_no_scenes(tmp_path, columns):
    np.save(tmp_path / "scene.npy", columns)
    with pytest.raises(PreparedError, match="its columns are not those of a scene"):
        map_table(tmp_path / "scene.npy")


def test_cut_scene(tmp_path):
    path = tmp_path / "scene.npy"
    write_table(path, Table(np.zeros((50, 3))))
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(PreparedError, match=f"{path}: no prepared scene"):
        map_table(path)


@pytest.mark.parametrize(
    "content", ["", "{}", "[]", '{"version": 1, "dataset": "x"}', '{"version": 1, "scenes": [1]}']
)
def test_damaged_manifest(tmp_path, content):
    (tmp_path / "manifest.json").write_text(content)
    with pytest.raises(PreparedError, match=r"manifest.json: damaged"):
        read_manifest(tmp_path)


def test_manifest_of_another_version(tmp_path):
    (tmp_path / "manifest.json").write_text('{"version": 0}')
    with pytest.raises(PreparedError, match="of another version"):
        read_manifest(tmp_path)
