# SPDX-License-Identifier: Apache-2.0
"""`sphmask view`: what stands in the file for rerun's viewer is what was found."""

import json
import sys

import numpy as np
import pytest

from sphmask_core.clouds.cloud import read_cloud, write_ply
from sphmask_core.commands import cli
from sphmask_core.commands.saved import is_result, read_result
from sphmask_core.simulation.scenes import simulate_cloud


@pytest.fixture(scope="module")
def results(tmp_path_factory, balls_weights):
    """Two clouds, table0.ply and table1.ply, and the folder of their results."""
    folder = tmp_path_factory.mktemp("view")
    clouds = [folder / f"table{seed}.ply" for seed in (3, 4)]
    for seed, path in zip((3, 4), clouds, strict=True):
        write_ply(path, simulate_cloud(seed, 80, 60), {})
    arguments = [*map(str, clouds), "-o", str(folder / "out"), "--model", str(balls_weights)]
    assert cli.main(["segment", *arguments]) == 0
    return folder / "out"


def rows(path):
    """Each entity's rows in an .rrd file: a dict of columns, by frame."""
    pyarrow = pytest.importorskip("pyarrow", reason="needs the extra `rerun`")
    reader = pytest.importorskip("rerun.chunk", reason="needs the extra `rerun`").RrdReader(path)
    table = {}
    for chunk in reader.stream():
        if "frame" in chunk.timeline_names:
            batch = chunk.to_record_batch()
            batch = batch.drop_columns("log_time")
            if "stamp" in chunk.timeline_names:
                stamps = batch["stamp"].cast(pyarrow.int64())
                batch = batch.drop_columns("stamp").append_column("stamp", stamps)
            for row in batch.to_pylist():
                table.setdefault(str(chunk.entity_path), {})[row["frame"]] = row
    return table


def view(*arguments):
    return cli.main(["view", *map(str, arguments)])


def check_frame(shown, frame, record, cloud):
    """Points in the colors of their instances; a box, a caption, rays and a polygon of each."""
    seen = np.isfinite(cloud.xyz).all(1)
    points = shown["/points"][frame]
    np.testing.assert_allclose(points["Points3D:positions"], cloud.xyz[seen], atol=1e-6)
    colors = np.array(points["Points3D:colors"], np.uint32)
    expected = np.concatenate([cloud.rgb[seen], np.full((seen.sum(), 1), 255)], 1).astype(np.uint32)
    np.testing.assert_array_equal(colors, expected @ np.array([1 << 24, 1 << 16, 1 << 8, 1], np.uint32))
    boxes, instances = shown["/instances/boxes"][frame], record["instances"]
    assert boxes["Boxes3D:labels"] == [
        f"{instance['class']} {instance['id']}: {instance['score']:.2f}" for instance in instances
    ]
    sizes = [instance["upright_box"]["size"] for instance in instances]
    np.testing.assert_allclose(2 * np.array(boxes["Boxes3D:half_sizes"]), sizes, atol=1e-5)
    strips = np.array(shown["/instances/rays"][frame]["LineStrips3D:strips"])
    lengths = np.linalg.norm(strips[:, 1] - strips[:, 0], axis=1)
    np.testing.assert_allclose(
        lengths, np.concatenate([instance["rays"] for instance in instances]), atol=1e-4
    )
    corners = len(shown["/instances/polygons"][frame]["Mesh3D:vertex_positions"])
    assert corners == len(instances) * (len(instances[0]["rays"]) + 2)


def test_results_lie_on_a_time_line(tmp_path, capsys, results):
    pytest.importorskip("rerun", reason="needs the extra `rerun`")
    assert view(results, "--save", tmp_path / "a.rrd") == 0
    shown = rows(tmp_path / "a.rrd")
    for frame, name in enumerate(("table3", "table4")):
        record = json.loads((results / f"{name}.json").read_text())
        check_frame(shown, frame, record, read_cloud(results / f"{name}.ply"))
        assert shown["/table"][frame]["TextDocument:text"][0].startswith(f"**{name}**")
    assert capsys.readouterr().out.startswith("table3: 4800 points, ")
    assert [path.name for path in tmp_path.iterdir()] == ["a.rrd"]


def test_a_cloud_is_segmented_as_it_is_shown(tmp_path, results, balls_weights):
    pytest.importorskip("rerun", reason="needs the extra `rerun`")
    cloud = results.parent / "table3.ply"
    assert view(cloud, "--save", tmp_path / "a.rrd", "--model", balls_weights) == 0
    assert view(results / "table3.npz", "--save", tmp_path / "b.rrd") == 0
    now, before = rows(tmp_path / "a.rrd"), rows(tmp_path / "b.rrd")
    assert now["/table"][0]["TextDocument:text"] == before["/table"][0]["TextDocument:text"]


@pytest.mark.parametrize("segmented", [True, False])
def test_the_frames_of_a_bag(tmp_path, capsys, balls_weights, segmented):
    """Answers that are in it, or those that are found now, are the same, under their stamps."""
    pytest.importorskip("rerun", reason="needs the extra `rerun`")
    pytest.importorskip("rosbags", reason="needs the extra `bags`")
    from test.helpers.bags import recorded_tables

    bag, stamps = recorded_tables(tmp_path / "bag")
    if segmented:
        assert cli.main(["segment", str(bag), "-o", str(tmp_path / "s"), "--model", str(balls_weights)]) == 0
        bag = tmp_path / "s"
    capsys.readouterr()
    assert view(bag, "--save", tmp_path / "a.rrd", "--model", balls_weights) == 0
    shown = rows(tmp_path / "a.rrd")
    assert [row["stamp"] for row in shown["/points"].values()] == stamps
    captions = [row["Boxes3D:labels"] for row in shown["/instances/boxes"].values()]
    assert captions[0] and captions[0] == captions[1]  # the same cloud again: the same ids
    assert capsys.readouterr().out.count("\n") == 2


def test_no_viewer_is_one_line(monkeypatch, capsys, results):
    monkeypatch.setitem(sys.modules, "rerun", None)
    assert view(results) == 2
    assert capsys.readouterr().err == "sphmask: the viewer needs a library: pip install 'sphmask[rerun]'\n"


def test_no_display_is_one_line(monkeypatch, capsys, results):
    pytest.importorskip("rerun", reason="needs the extra `rerun`")
    for name in ("DISPLAY", "WAYLAND_DISPLAY"):
        monkeypatch.delenv(name, raising=False)
    assert view(results) == 2
    assert capsys.readouterr().err.startswith("sphmask: no display for a window; give --save FILE.rrd")


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ("{", "is no JSON, cut off or damaged"),
        ("[" * 100_000, "is no JSON, cut off or damaged"),
        ("[]", "is no result"),
        ('{"instances": 3, "rotation": []}', "is no result"),
        ('{"instances": [], "rotation": [1, 2], "sectors": [5, 5]}', "rotation is not 9 numbers"),
    ],
)
def test_a_damaged_result_is_one_line(tmp_path, results, record, says):
    (tmp_path / "a.ply").write_bytes((results / "table3.ply").read_bytes())
    (tmp_path / "a.json").write_text(record)
    with pytest.raises(ValueError, match=says) as caught:
        read_result(tmp_path / "a.json")
    assert str(caught.value).startswith(f"{tmp_path / 'a.json'}: ") and "\n" not in str(caught.value)


def test_a_cloud_beside_another_json_is_a_cloud(tmp_path, results):
    assert is_result(results / "table3.ply") and is_result(results / "table3.json")
    (tmp_path / "a.ply").write_bytes((results / "table3.ply").read_bytes())
    (tmp_path / "a.json").write_text('{"camera": 3}')
    assert not is_result(tmp_path / "a.ply")


def lists(path):
    """The table of each frame in an .rrd file."""
    return [row["TextDocument:text"] for row in rows(path)["/table"].values()]


def test_what_is_segmented_now_can_be_asked_as_by_segment(tmp_path, results, balls_weights):
    """Only a part of a cloud, and only what scores enough for its class."""
    pytest.importorskip("rerun", reason="needs the extra `rerun`")
    cloud, model = results.parent / "table3.ply", ["--model", balls_weights]
    near = float(np.nanmedian(np.linalg.norm(read_cloud(cloud).xyz, axis=1)))
    asked = [*model, "--min-score", 1, "--max-range", near, "--class-scores", "object:0.9"]
    assert cli.main(["segment", *map(str, [cloud, "-o", tmp_path / "out", *asked])]) == 0
    assert view(tmp_path / "out", "--save", tmp_path / "before.rrd") == 0
    assert view(cloud, "--save", tmp_path / "now.rrd", *asked) == 0
    assert view(cloud, "--save", tmp_path / "all.rrd", *model, "--min-score", 0) == 0
    assert lists(tmp_path / "now.rrd") == lists(tmp_path / "before.rrd") != lists(tmp_path / "all.rrd")


def test_depth_images_are_shown(tmp_path, balls_weights):
    pytest.importorskip("rerun", reason="needs the extra `rerun`")
    image = pytest.importorskip("PIL.Image", reason="needs pillow")
    from test.helpers.rgbd import depth_of, simulated_lens

    scene, lens = simulate_cloud(3, 80, 60), simulated_lens(80, 60)
    image.fromarray(np.round(depth_of(scene) * 1000).astype(np.uint16)).save(tmp_path / "d.png")
    image.fromarray(scene.rgb.reshape(60, 80, 3)).save(tmp_path / "c.png")
    images = ["--depth", tmp_path / "d.png", "--color", tmp_path / "c.png"]
    asked = [*images, "--intrinsics", lens.fx, lens.fy, lens.cx, lens.cy, "--model", balls_weights]
    assert cli.main(["segment", *map(str, asked), "-o", str(tmp_path / "out")]) == 0
    assert view(tmp_path / "out", "--save", tmp_path / "before.rrd") == 0
    assert view(*asked, "--save", tmp_path / "now.rrd") == 0
    assert lists(tmp_path / "now.rrd") == lists(tmp_path / "before.rrd")
    check_frame(
        rows(tmp_path / "now.rrd"),
        0,
        json.loads((tmp_path / "out" / "d.json").read_text()),
        read_cloud(tmp_path / "out" / "d.ply"),
    )


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "give clouds, results or bags; or --depth and --intrinsics"),
        (["--depth", "d.png"], "depth images need --intrinsics"),
        (["a.pcd", "--max-range", "nan"], "--max-range must be at least 0 m"),
        (["a.pcd", "--class-scores", "object"], "--class-scores: must be like 'car:0.4'"),
    ],
)
def test_what_cannot_be_shown_is_one_line(tmp_path, capsys, balls_weights, monkeypatch, arguments, words):
    pytest.importorskip("rerun", reason="needs the extra `rerun`")
    monkeypatch.chdir(tmp_path)
    assert view(*arguments, "--save", "a.rrd", "--model", balls_weights) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
