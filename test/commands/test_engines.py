# SPDX-License-Identifier: Apache-2.0
"""Many clouds and scenes, here and by Ray: what fails is left out, and what was done is not done again."""

import json
import os
import shutil
from importlib.util import find_spec

import numpy as np
import pytest

from sphmask_core.clouds.cloud import write_ply
from sphmask_core.commands import cli
from sphmask_core.commands.engines import Failure, open_engine
from sphmask_core.commands.predictions import PredictionFolder
from sphmask_core.segmenter import Segmenter
from sphmask_core.simulation.scenes import simulate_cloud
from test.helpers.balls import balls

needs_ray = pytest.mark.skipif(find_spec("ray") is None, reason="needs the extra `ray`")
ENGINES = ["local", pytest.param("ray", marks=needs_ray)]
GOOD = [0, 1, 2, 3]


@pytest.fixture(scope="module")
def clouds(tmp_path_factory):
    """Four simulated tables and a file that is none."""
    folder = tmp_path_factory.mktemp("clouds")
    for seed in GOOD:
        write_ply(folder / f"table{seed}.ply", simulate_cloud(seed, 80, 60), {})
    (folder / "broken.ply").write_bytes(b"hello")
    return folder


@pytest.mark.parametrize("name", ENGINES)
def test_engines(name):
    def task():  # within the test, so that it goes to Ray's workers whole: they do not know this file
        def halves(item):
            if item == 3:
                raise ValueError("three\nlines\nof it")
            return item / 2

        return halves

    engine = open_engine(name, None if name == "local" else 2, "cpu")
    done = dict(engine(task, [1, 2, 3, 4, 5]))
    assert done == {0: 0.5, 1: 1.0, 2: Failure("three lines of it"), 3: 2.0, 4: 2.5}


def segment(capsys, *arguments):
    """Exit code, what was printed and what was complained about."""
    code = cli.main(["segment", *map(str, arguments)])
    return code, *capsys.readouterr()


@pytest.mark.parametrize("engine", ENGINES)
def test_segment_a_folder_and_resume(tmp_path, capsys, balls_weights, clouds, engine):
    common = [clouds, "-o", tmp_path, "--model", balls_weights, "--engine", engine]
    code, printed, error = segment(capsys, *common)
    assert (
        code == 2
        and error.startswith(f"sphmask: {clouds / 'broken.ply'}: not a PLY file")
        and error.count("\n") == 1
    )
    assert printed.endswith("5 clouds: 4 segmented, 0 before, 1 failed\n")
    assert {path.stem for path in tmp_path.iterdir()} == {f"table{seed}" for seed in GOOD}
    instances = Segmenter(balls())(simulate_cloud(0, 80, 60).xyz, simulate_cloud(0, 80, 60).rgb)
    assert len(instances) > 2
    np.testing.assert_array_equal(np.load(tmp_path / "table0.npz")["labels"], instances.labels)
    (tmp_path / "table1.npz").unlink()
    os.utime(tmp_path / "table2.ply", (0, 0))  # older than its cloud
    kept = (tmp_path / "table0.npz").stat().st_mtime_ns
    code, printed, _ = segment(capsys, *common, "--resume")
    assert code == 2 and printed.endswith("5 clouds: 2 segmented, 2 before, 1 failed\n")
    assert (tmp_path / "table0.npz").stat().st_mtime_ns == kept


def test_other_settings_are_not_resumed(tmp_path, capsys, balls_weights, clouds):
    common = [
        clouds / "table0.ply",
        clouds / "table1.ply",
        "-o",
        tmp_path,
        "--model",
        balls_weights,
        "--resume",
    ]
    assert segment(capsys, *common)[0] == 0
    assert segment(capsys, *common)[1] == "2 clouds: 0 segmented, 2 before, 0 failed\n"
    _, printed, _ = segment(capsys, *common, "--min-score", "0.5")
    assert (
        "before" not in printed
        and json.loads((tmp_path / "table0.json").read_text())["settings"]["min_score"] == 0.5
    )


@pytest.fixture
def scenes(tmp_path, tables):
    """Three frames, one of them cut off."""
    folder = tmp_path / "scenes"
    folder.mkdir()
    for index in (4, 9, 14):
        shutil.copy(tables / f"learn{index}.pcd", folder)
    cut = folder / "learn9.pcd"
    cut.write_bytes(cut.read_bytes()[:1000])
    return folder


@pytest.mark.parametrize("engine", ENGINES)
def test_eval_leaves_out_what_fails_and_resumes(tmp_path, capsys, balls_weights, scenes, engine):
    out = tmp_path / "out"
    arguments = [
        "eval",
        "--model",
        str(balls_weights),
        "--root",
        str(scenes),
        "-o",
        str(out),
        "--engine",
        engine,
    ]
    assert cli.main(arguments) == 2
    printed, error = capsys.readouterr()
    assert error.startswith("sphmask: learn9: ") and error.count("\n") == 1
    assert "3 scenes (1 of them failed and are left out)" in printed
    first = json.loads((out / "metrics.json").read_text())
    assert first["failed"] == ["learn9"] and [scene["scene"] for scene in first["scenes"]] == [
        "learn4",
        "learn14",
    ]
    kept = (out / "predictions/learn4.npz").stat().st_mtime_ns
    shutil.copy(scenes / "learn14.pcd", scenes / "learn9.pcd")
    assert cli.main([*arguments, "--resume"]) == 0
    again = json.loads((out / "metrics.json").read_text())
    assert again["scenes"][0] == first["scenes"][0] and len(again["scenes"]) == 3 and again["failed"] == []
    assert (out / "predictions/learn4.npz").stat().st_mtime_ns == kept
    capsys.readouterr()
    assert cli.main(["eval", "--root", str(scenes), "-o", str(out), "--resume"]) == 2
    assert "of another model or data set; leave out --resume" in capsys.readouterr().err


def test_predictions_come_back(tmp_path):
    cloud = simulate_cloud(0, 80, 60)
    instances = Segmenter(balls())(cloud.xyz, cloud.rgb)
    predictions = PredictionFolder(tmp_path)
    predictions.save("scene", instances, 12.5)
    back, milliseconds = predictions.load("scene")
    assert milliseconds == 12.5 and back.class_names == instances.class_names
    for name in ("segment_masks", "masks", "segments", "labels", "scores", "class_ids", "boxes", "rotation"):
        np.testing.assert_array_equal(getattr(back, name), getattr(instances, name), err_msg=name)
        assert getattr(back, name).dtype == getattr(instances, name).dtype


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["segment", "a.pcd", "-o", "out", "--workers", "2"], "--workers 2: is for --engine ray"),
        (["segment", "a.pcd", "-o", "out", "--engine", "ray", "--workers", "0"], "--workers 0: is for"),
        (["segment", "a.pcd", "-o", "out", "--topic", "/x"], "--topic, --depth-topic, --color-topic and"),
        (["segment", ".", "-o", "out"], ".: is a folder without clouds"),
        (["eval", "--root", ".", "--resume"], "--resume and --engine ray need -o"),
    ],
)
def test_one_line_errors(tmp_path, monkeypatch, capsys, arguments, says):
    monkeypatch.chdir(tmp_path)
    assert cli.main(arguments) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"sphmask: {says}") and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@needs_ray
def test_no_cluster_at_that_address(tmp_path, monkeypatch, capsys, balls_weights, clouds):
    import ray

    ray.shutdown()
    monkeypatch.setenv("RAY_ADDRESS", "nonsense")
    out = tmp_path / "out"
    code, _, error = segment(capsys, clouds, "-o", out, "--model", balls_weights, "--engine", "ray")
    assert code == 2 and error.count("\n") == 1 and error.endswith("check $RAY_ADDRESS, or try again\n")


@pytest.mark.skipif(find_spec("ray") is not None, reason="Ray is installed")
def test_without_ray(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["segment", "a.pcd", "-o", "out", "--engine", "ray"]) == 2
    assert (
        capsys.readouterr().err == "sphmask: --engine ray: Ray is not installed: pip install 'sphmask[ray]'\n"
    )
