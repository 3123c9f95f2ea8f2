# SPDX-License-Identifier: Apache-2.0
"""`sphmask segment` of depth images, of folders of the TUM benchmark, and of parts of clouds."""

import json
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("PIL", reason="needs pillow")
from PIL import Image

from sphmask_core import Segmenter
from sphmask_core.checkpoints.weights import save_weights
from sphmask_core.clouds.cloud import read_cloud, write_ply
from sphmask_core.clouds.coordinates import LEVEL_CAMERA
from sphmask_core.clouds.depth import back_project
from sphmask_core.commands import cli
from sphmask_core.commands.segment import TAKEN_UP
from sphmask_core.simulation.scenes import simulate_cloud
from test.helpers import balls
from test.helpers.rgbd import depth_of, simulated_lens

SCENE = simulate_cloud(1, 160, 120)
MILLIMETERS = np.round(depth_of(SCENE) * 1000).astype(np.uint16)
COLORS = SCENE.rgb.reshape(*SCENE.shape, 3)
LENS = simulated_lens(160, 120)
NUMBERS = [str(value) for value in (LENS.fx, LENS.fy, LENS.cx, LENS.cy)]


@pytest.fixture
def images(tmp_path):
    """A depth image in millimeters and its colors."""
    Image.fromarray(MILLIMETERS).save(tmp_path / "d.png")
    Image.fromarray(COLORS).save(tmp_path / "c.png")
    return tmp_path


def run(capsys, *arguments):
    """Exit status, and the lines on stderr."""
    code = cli.main(["segment", *map(str, arguments)])
    return code, capsys.readouterr().err.splitlines()


def test_depth_and_color_are_the_cloud_that_they_are_of(images, balls_weights, capsys):
    rest = ["--model", balls_weights, "-o", images / "out", "--min-score", 0]
    code, errors = run(
        capsys, "--depth", images / "d.png", "--color", images / "c.png", "--intrinsics", *NUMBERS, *rest
    )
    assert (code, errors) == (0, [])
    cloud = back_project(MILLIMETERS, LENS, COLORS)
    expected = Segmenter.load(balls_weights, "cpu")(cloud.xyz, cloud.rgb, min_score=0.0)
    assert len(expected) > 0
    np.testing.assert_array_equal(np.load(images / "out" / "d.npz")["labels"], expected.labels)
    written = read_cloud(images / "out" / "d.ply")
    assert written.shape == MILLIMETERS.shape
    np.testing.assert_array_equal(written.xyz, cloud.xyz)


def test_another_scale_is_the_same_scene(images, balls_weights, capsys):
    Image.fromarray(MILLIMETERS * 5).save(images / "five.png")
    rest = ["--intrinsics", *NUMBERS, "--model", balls_weights, "-o", images / "out", "--min-score", 0]
    for name, scale in (("d", []), ("five", ["--depth-scale", 5000])):
        assert run(capsys, "--depth", images / f"{name}.png", *scale, *rest) == (0, [])
    first, second = (np.load(images / "out" / f"{name}.npz") for name in ("d", "five"))
    np.testing.assert_allclose(first["boxes"], second["boxes"], atol=1e-5)


def test_a_folder_of_the_tum_benchmark(images, balls_weights, capsys):
    folder = images / "desk"
    for name, pixels in (("depth", MILLIMETERS * 5), ("rgb", COLORS)):
        (folder / name).mkdir(parents=True)
        for i in range(2):
            Image.fromarray(pixels).save(folder / name / f"{i}.png")
    (folder / "depth.txt").write_text("# depth\n10.00 depth/0.png\n10.03 depth/1.png\n10.5 depth/none.png\n")
    (folder / "rgb.txt").write_text("10.01 rgb/0.png\n10.04 rgb/1.png\n")
    rest = ["--intrinsics", *NUMBERS, "--model", balls_weights, "-o", images / "out", "--resume"]
    assert run(capsys, folder, *rest) == (0, [])
    assert sorted(path.name for path in (images / "out").glob("*.json")) == ["0.json", "1.json"]
    cloud = read_cloud(images / "out" / "0.ply")
    np.testing.assert_allclose(cloud.xyz, back_project(MILLIMETERS, LENS).xyz, rtol=1e-6)
    before = (images / "out" / "0.npz").stat().st_mtime_ns
    assert run(capsys, folder, *rest) == (0, [])
    assert (images / "out" / "0.npz").stat().st_mtime_ns == before
    changed = [*rest[:1], "100", *rest[2:]]
    assert run(capsys, folder, *changed)[0] == 0
    assert (images / "out" / "0.npz").stat().st_mtime_ns > before  # other intrinsics, other results


DEPTH, LENSES = ["--depth", "d.png"], ["--intrinsics", *NUMBERS]
WRONG = {
    "nothing": ([], "give clouds, a folder of them or a bag; or --depth and --intrinsics"),
    "no intrinsics": (DEPTH, "depth images need --intrinsics"),
    "both": (["a.pcd", *DEPTH, *LENSES], "a.pcd: give either clouds or --depth"),
    "no depth": (["a.pcd", *LENSES], "--intrinsics: is for --depth, or a folder with depth.txt"),
    "color alone": (["a.pcd", "--color", "c.png"], "--color: is for --depth"),
    "focal length": ([*DEPTH, "--intrinsics", "0", "1", "1", "1"], "fx and fy must be positive"),
    "scale": ([*DEPTH, *LENSES, "--depth-scale", "nan"], "--depth-scale nan: must be more than 0"),
    "no file": (["--depth", "no.png", *LENSES], "no.png: no such file"),
    "no image": (["--depth", "text.png", *LENSES], "text.png: not an image"),
    "colors as depth": (["--depth", "c.png", *LENSES], "is no depth image; expected 16-bit gray"),
    "size": ([*DEPTH, "--color", "small.png", *LENSES], "color has 80 x 60 pixels, depth 160 x 120"),
    "too many": ([*DEPTH, *LENSES, "--max-points", "10"], "has 19200 points, more than --max-points 10"),
    "range": ([*DEPTH, *LENSES, "--min-range", "nan"], "--min-range must be at least 0 m, not nan"),
    "ranges": ([*DEPTH, *LENSES, "--min-range", "2", "--max-range", "1"], "--max-range 1.0 must be more"),
    "class": ([*DEPTH, *LENSES, "--class-scores", "cow:1"], "--class-scores: the model finds no class 'cow'"),
    "class score": ([*DEPTH, *LENSES, "--class-scores", "car"], "--class-scores: must be like 'car:0.4'"),
    "box": ([*DEPTH, *LENSES, "--ego-box", *"100000"], "--ego-box: its first three numbers must be less"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_cannot_be_done_is_one_clear_line(images, balls_weights, capsys, monkeypatch, name):
    arguments, words = WRONG[name]
    monkeypatch.chdir(images)
    Image.fromarray(COLORS[::2, ::2]).save("small.png")
    (images / "text.png").write_text("no image")
    code, errors = run(capsys, *arguments, "-o", "out", "--model", balls_weights)
    assert code == 2
    (line,) = errors
    assert line.startswith("sphmask: ") and words in line


@settings(max_examples=15, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200), st.sampled_from([".png", ".tif", ".npy", ".jpg"]))
def test_no_bytes_are_more_than_one_clear_line(tmp_path, balls_weights, capsys, data, suffix):
    path = tmp_path / f"damaged{suffix}"
    path.write_bytes(data)
    code, errors = run(capsys, "--depth", path, *LENSES, "-o", tmp_path / "out", "--model", balls_weights)
    assert code == 2 and len(errors) == 1 and path.name in errors[0]


def test_only_a_part_of_a_cloud(tmp_path, balls_weights, capsys):
    write_ply(tmp_path / "scene.ply", SCENE, {})
    middle = float(np.nanmedian(np.linalg.norm(SCENE.xyz, axis=1)))
    rest = ["-o", tmp_path / "out", "--model", balls_weights, "--min-score", 0]
    arguments = [tmp_path / "scene.ply", "--max-range", middle, "--voxel-filter", 0.01, *rest]
    assert run(capsys, *arguments) == (0, [])
    labels = np.load(tmp_path / "out" / "scene.npz")["labels"]
    assert (labels[~(np.linalg.norm(SCENE.xyz, axis=1) <= middle)] == 0).all()
    assert labels.any()
    record = json.loads((tmp_path / "out" / "scene.json").read_text())
    assert record["settings"]["region"] == [0.0, middle, None, None, 0.01]
    written = (tmp_path / "out" / "scene.npz").stat().st_mtime_ns
    assert run(capsys, *arguments, "--resume") == (0, [])
    assert (tmp_path / "out" / "scene.npz").stat().st_mtime_ns == written


def test_single_classes_have_scores_of_their_own(tmp_path, balls_weights, capsys):
    """They go before the score for all classes, and results say so."""
    write_ply(tmp_path / "scene.ply", SCENE, {})
    rest = ["-o", tmp_path / "out", "--model", balls_weights, "--min-score", 1, "--resume"]
    scores = []
    for own in ([], ["--class-scores", "object:0.9"]):
        assert run(capsys, tmp_path / "scene.ply", *rest, *own) == (0, [])
        record = json.loads((tmp_path / "out" / "scene.json").read_text())
        scores.append([one["score"] for one in record["instances"]])
    assert scores[0] == [] and len(scores[1]) > 1 and min(scores[1]) >= 0.9
    assert record["settings"]["class_scores"] == {"object": 0.9}


def test_a_cloud_may_be_said_to_stand_on_its_side(tmp_path, capsys):
    """To a model that is told what is up."""
    model = tmp_path / "told.safetensors"
    save_weights(model, balls.balls(), replace(balls.CONFIG, up="z"))
    write_ply(tmp_path / "scene.ply", SCENE, {})
    expected = Segmenter.load(model, "cpu")(SCENE.xyz, SCENE.rgb, vertical=LEVEL_CAMERA)
    for up, same in (([], False), (["--up=-y"], True), (["--up", "-y"], True)):
        assert run(capsys, tmp_path / "scene.ply", "-o", tmp_path / "out", "--model", model, *up) == (0, [])
        rotation = json.loads((tmp_path / "out" / "scene.json").read_text())["rotation"]
        assert np.allclose(rotation, expected.rotation, atol=1e-6) == same


def test_models_of_rooms_say_what_they_take_for_up(tmp_path, capsys):
    """Where nobody told them."""
    model = tmp_path / "rooms.safetensors"
    save_weights(model, balls.balls(), replace(balls.CONFIG, up="gravity"))
    write_ply(tmp_path / "scene.ply", SCENE, {})
    for up, said in (([], True), (["--up", "-y"], False)):
        arguments = [tmp_path / "scene.ply", "-o", tmp_path / "out", "--model", model, *up]
        assert cli.main(["segment", *map(str, arguments)]) == 0
        assert (TAKEN_UP in capsys.readouterr().out.splitlines()) == said
