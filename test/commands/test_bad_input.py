# SPDX-License-Identifier: Apache-2.0
"""Bad input through the command line: one line and exit code 2, or an empty result and exit code 0."""

import json

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from sphmask_core.commands import cli
from sphmask_core.config import to_dict
from sphmask_core.simulation.scenes import simulate_cloud
from test.helpers.small import SMALL

HEADER = "FIELDS {}\nSIZE {}\nTYPE {}\nWIDTH {}\nHEIGHT 1\nDATA ascii\n"


def pcd(names, lines):
    count = len(names)
    head = HEADER.format(" ".join(names), " ".join("4" * count), " ".join("F" * count), len(lines))
    return (head + "\n".join(lines) + "\n").encode()


def points(low, high, count=500):
    return np.random.default_rng(0).uniform(low, high, (count, 3)).astype(np.float32)


def segment(cloud, model, out):
    return cli.main(["segment", str(cloud), "-o", str(out), "--model", str(model)])


def assert_one_line(capsys, *says):
    captured = capsys.readouterr()
    assert captured.out == "" and captured.err.startswith("sphmask: ") and captured.err.count("\n") == 1
    for text in says:
        assert text in captured.err


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("missing.pcd", None, "no such file"),
        ("notes.txt", b"hello", "unknown format '.txt'; give one of .pcd, .ply, .npz, .npy, .bin"),
        ("text.pcd", b"hello", "not a PCD file, or cut off in its header"),
        ("text.ply", b"hello", "not a PLY file"),
        ("flat.pcd", pcd("xy", ["1 2"]), "has no field z; its fields: x, y"),
        ("empty.pcd", pcd("xyz", []), "holds no points"),
        ("nan.pcd", pcd("xyz", ["nan nan nan", "inf 0 0"]), "holds no valid point"),
        ("cut.pcd", pcd("xyz", ["1 2 3"]).replace(b"WIDTH 1", b"WIDTH 2"), "cut off: 1 of 2 points"),
    ],
)
def test_no_cloud(tmp_path, capsys, weights, name, content, says):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    assert segment(tmp_path / name, weights, tmp_path / "out") == 2
    assert_one_line(capsys, f"{tmp_path / name}: ", says)
    assert list((tmp_path / "out").iterdir()) == []


def test_coordinates_of_a_billion(tmp_path, capsys, weights):
    np.save(tmp_path / "far.npy", points(-1e9, 1e9))
    assert segment(tmp_path / "far.npy", weights, tmp_path / "out") == 2
    assert_one_line(capsys, "far.npy: the cloud is 9.99e+10 voxels long", "are its coordinates meters?")
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize(
    ("name", "xyz"),
    [("one", points(0, 1, 1)), ("same", np.zeros((50, 3), np.float32)), ("line", points(0, [1, 0, 0]))],
)
def test_too_little_for_an_instance(tmp_path, weights, name, xyz):
    np.save(tmp_path / f"{name}.npy", xyz)
    assert segment(tmp_path / f"{name}.npy", weights, tmp_path / "out") == 0
    record = json.loads((tmp_path / "out" / f"{name}.json").read_text())
    assert record["points"] == len(xyz) and record["instances"] == []
    arrays = np.load(tmp_path / "out" / f"{name}.npz")
    assert arrays["masks"].shape == (0, len(xyz)) and not arrays["labels"].any()


def test_points_without_a_position_keep_their_place(tmp_path, weights):
    """In every output: as many points as came, those without a position with label 0."""
    xyz = points(0, 1)
    xyz[::3, 1] = np.nan
    np.save(tmp_path / "some.npy", xyz)
    assert segment(tmp_path / "some.npy", weights, tmp_path / "out") == 0
    arrays = np.load(tmp_path / "out" / "some.npz")
    written = cli.read_cloud(tmp_path / "out" / "some.ply")
    assert len(arrays["labels"]) == arrays["masks"].shape[1] == len(written.xyz) == len(xyz)
    assert not arrays["labels"][::3].any() and not arrays["masks"][:, ::3].any()
    np.testing.assert_array_equal(written.labels, arrays["labels"])
    np.testing.assert_array_equal(np.delete(written.xyz, np.s_[::3], 0), np.delete(xyz, np.s_[::3], 0))
    assert np.isnan(written.xyz[::3]).all()


def test_without_colors(tmp_path, balls_weights):
    """The same as mid-gray."""
    xyz = simulate_cloud(3, 80, 60).xyz
    np.savez(tmp_path / "plain.npz", xyz=xyz)
    np.savez(tmp_path / "gray.npz", xyz=xyz, rgb=np.full(xyz.shape, 127.5 / 255))
    results = []
    for name in ("plain", "gray"):
        assert segment(tmp_path / f"{name}.npz", balls_weights, tmp_path / "out") == 0
        results.append(json.loads((tmp_path / "out" / f"{name}.json").read_text())["instances"])
    assert results[0] == results[1] and len(results[0]) > 2


@pytest.mark.parametrize(
    ("name", "content", "says"),
    [
        ("missing.safetensors", None, "no such weights; give a file or a shipped preset"),
        ("text.safetensors", b"hello", "not a safetensors file"),
        ("published.pth", b"hello", "a published checkpoint; turn it into weights with `sphmask convert`"),
    ],
)
def test_no_weights(tmp_path, capsys, name, content, says):
    if content is not None:
        (tmp_path / name).write_bytes(content)
    np.save(tmp_path / "a.npy", points(0, 1))
    assert segment(tmp_path / "a.npy", tmp_path / name, tmp_path / "out") == 2
    assert_one_line(capsys, f"{tmp_path / name}: ", says)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda config: config["model"].update(channels=8), "has shape (4, 3, 3, 3, 6)"),
        (lambda config: config["model"].update(levels=3), "no weight backbone.unet.inner.down_norm"),
        (lambda config: config["model"].update(layers=3), "model.layers: unknown key"),
        (
            lambda config: config["model"].update(channels=-4),
            "model.channels: must be at least 1 and at most",
        ),
        (
            lambda config: config["model"].update(rays=[5, 0]),
            "model.rays: must be at least 1 and at most 64",
        ),
        (
            lambda config: config.update(voxel_size=-1),
            "voxel_size: must be more than 0 and at most",
        ),
    ],
)
def test_configuration_and_weights_that_disagree(tmp_path, capsys, weights, change, says):
    config = to_dict(SMALL)
    change(config)
    other = tmp_path / "other.safetensors"
    save_file(load_file(weights), other, metadata={"config": json.dumps(config)})
    assert cli.main(["info", str(other)]) == 2
    assert_one_line(capsys, f"{other}: ", says)


def test_a_configuration_that_is_no_yaml(tmp_path, capsys):
    (tmp_path / "a.yaml").write_text("model: [1, 2\nname: x")
    (tmp_path / "a.pth").write_bytes(b"")
    arguments = ["--config", str(tmp_path / "a.yaml"), "-o", str(tmp_path / "w.safetensors")]
    assert cli.main(["convert", str(tmp_path / "a.pth"), *arguments]) == 2
    assert_one_line(capsys, f"{tmp_path / 'a.yaml'}: not YAML")
