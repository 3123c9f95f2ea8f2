# SPDX-License-Identifier: Apache-2.0
"""The command line, with the weights in the package on simulated frames."""

import json
import shutil

import numpy as np
import pytest
from PIL import Image

from sphmask_core.clouds.cloud import read_cloud
from sphmask_core.commands import cli
from sphmask_core.simulation.scenes import simulate_cloud


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """A simulated frame, as a user's own program might have saved it: without what the sensor did not see."""
    cloud = simulate_cloud(3)
    seen = np.isfinite(cloud.xyz).all(1)
    path = tmp_path_factory.mktemp("clouds") / "table.npz"
    np.savez(path, xyz=cloud.xyz[seen], rgb=cloud.rgb[seen] / 255)
    return path


def test_segment(tmp_path, capsys, table):
    """All four files agree with each other and with the printed table."""
    out = tmp_path / "new" / "out"
    arguments = ["segment", str(table), "-o", str(out), "--min-score", "0.3", "--png"]
    assert cli.main(arguments) == 0
    assert sorted(path.name for path in out.iterdir()) == [
        f"table.{kind}" for kind in ("json", "npz", "ply", "png")
    ]
    arrays, record = np.load(out / "table.npz"), json.loads((out / "table.json").read_text())
    count = len(record["instances"])
    points = read_cloud(table)
    assert count > 2 and arrays["masks"].shape == (count, len(points.xyz))
    assert arrays["scores"].min() >= 0.3 and list(arrays["scores"]) == sorted(arrays["scores"], reverse=True)
    assert [item["points"] for item in record["instances"]] == arrays["masks"].sum(1).tolist()
    for item, box in zip(record["instances"], arrays["boxes"], strict=True):
        mask = arrays["masks"][item["id"] - 1]
        bounds = [*points.xyz[mask].min(0), *points.xyz[mask].max(0)]
        np.testing.assert_allclose(box, bounds, atol=1e-5)
        assert item["class"] == arrays["class_names"][item["id"] - 1]
    written = read_cloud(out / "table.ply")
    np.testing.assert_array_equal(written.labels, arrays["labels"])
    colors = {
        tuple(written.rgb[written.labels == i + 1][0])
        for i in range(count)
        if (written.labels == i + 1).any()
    }
    assert len(colors) == len(set(arrays["labels"]) - {0})
    assert Image.open(out / "table.png").size[0] > 1000
    printed = capsys.readouterr().out
    assert f"{count} instances" in printed and printed.count("\n") == count + 2


def test_segment_goes_on_after_a_bad_cloud(tmp_path, capsys, balls_weights, table):
    bad = tmp_path / "bad.pcd"
    bad.write_bytes(b"hello")
    out = tmp_path / "out"
    assert cli.main(["segment", str(bad), str(table), "-o", str(out), "--model", str(balls_weights)]) == 2
    assert sorted(path.name for path in out.iterdir()) == ["table.json", "table.npz", "table.ply"]
    assert (
        capsys.readouterr().err
        == f"sphmask: {bad}: not a PCD file, or cut off in its header: there is no DATA line\n"
    )


def test_results_that_cannot_all_be_written_leave_nothing(
    tmp_path, capsys, balls_weights, table, monkeypatch
):
    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr("sphmask_core.commands.results.draw_result", full)
    out = tmp_path / "out"
    assert cli.main(["segment", str(table), "-o", str(out), "--model", str(balls_weights), "--png"]) == 2
    assert list(out.iterdir()) == []
    assert capsys.readouterr().err == "sphmask: No space left on device\n"


def test_a_cloud_that_is_too_large_is_named(tmp_path, capsys, balls_weights, table):
    far = tmp_path / "far.npy"
    np.save(far, np.array([[0, 0, 0], [1e30, 0, 0]]))
    out = tmp_path / "out"
    assert cli.main(["segment", str(far), str(table), "-o", str(out), "--model", str(balls_weights)]) == 2
    assert capsys.readouterr().err.startswith(f"sphmask: {far}: ")
    assert sorted(path.stem for path in out.iterdir()) == ["table"] * 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["segment", "a.pcd", "b/a.ply", "-o", "out"], "a: two clouds have this name"),
        (["segment", "a.pcd", "-o", "out", "--model", "nothing"], "nothing: no such weights"),
        (["eval", "--root", "nowhere"], "nowhere: holds no scenes"),
        (["info", "nothing"], "nothing: no such weights"),
        (["segment", "a.pcd", "-o", "out", "--device", "tpu"], "device tpu: give auto, cpu, cuda or cuda:N"),
    ],
)
def test_one_line_errors(tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"sphmask: {says}") and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("score", ["nan", "-1", "1.5"])
def test_bad_score(balls_weights, table, capsys, score):
    assert (
        cli.main(["segment", str(table), "-o", "out", "--model", str(balls_weights), "--min-score", score])
        == 2
    )
    assert "must be from 0 to 1" in capsys.readouterr().err


def test_eval(tmp_path, capsys, tables):
    """Two frames: a line each and one for all, metrics and picture saved."""
    for index in (4, 9):
        shutil.copy(tables / f"learn{index}.pcd", tmp_path)
    out = tmp_path / "out"
    assert cli.main(["eval", "--root", str(tmp_path), "-o", str(out)]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in printed[3:]] == [
        *["learn4", "learn9", "-" * len(printed[2]), "all"],
        "shown",
    ]
    saved = json.loads((out / "metrics.json").read_text())
    assert [scene["scene"] for scene in saved["scenes"]] == ["learn4", "learn9"]
    assert 0.5 < saved["all"]["precision"]["ap50"] <= 1
    assert f"{saved['all']['overlap']['f']:.3f}" == printed[-2].split()[6]
    assert Image.open(out / "scenes.png").size[1] > 200


def test_info(capsys):
    assert cli.main(["info", "tabletop"]) == 0
    printed = capsys.readouterr().out
    for text in ("object", "5 mm", "largest plane", "5 levels of 2 blocks, 16 channels, 5 x 5 rays"):
        assert text in printed
