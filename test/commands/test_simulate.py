# SPDX-License-Identifier: Apache-2.0
"""sphmask simulate: clouds to try things on."""

import shlex

import pytest

from sphmask_core.clouds.cloud import read_cloud
from sphmask_core.commands import cli


def test_what_it_prints_segments_what_it_wrote(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["simulate", "table", "table.ply"]) == 0
    first, command = capsys.readouterr().out.splitlines()
    cloud = read_cloud("table.ply")
    assert first == f"table.ply: {len(cloud.xyz)} points of a simulated table"
    assert cli.main(shlex.split(command)[1:]) == 0
    assert (read_cloud(tmp_path / "results" / "table.ply").labels > 0).any()


@pytest.mark.parametrize("scene", ["room", "street"])
def test_rooms_and_streets(tmp_path, scene):
    pytest.importorskip("embreex")
    assert cli.main(["simulate", scene, str(tmp_path / "cloud.ply")]) == 0
    assert len(read_cloud(tmp_path / "cloud.ply").xyz) > 5000


def test_another_seed_is_another_scene(tmp_path):
    for seed in ("1", "2"):
        assert cli.main(["simulate", "table", str(tmp_path / f"{seed}.ply"), "--seed", seed]) == 0
    assert (tmp_path / "1.ply").read_bytes() != (tmp_path / "2.ply").read_bytes()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["mine.ply"], "mine.ply: is there already; name another file"),
        (["other.pcd"], "other.pcd: simulated clouds are written as .ply"),
        (["other.ply", "--seed", "-1"], "--seed -1: give a number from 0"),
    ],
)
def test_nothing_is_replaced_or_guessed(tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine.ply").write_text("mine")
    assert cli.main(["simulate", "table", *arguments]) == 2
    assert capsys.readouterr().err == f"sphmask: {says}\n"
    assert [path.read_text() for path in tmp_path.iterdir()] == ["mine"]
