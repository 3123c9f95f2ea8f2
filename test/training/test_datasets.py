# SPDX-License-Identifier: Apache-2.0
"""Miniature data sets all the way: prepare, train two steps, evaluate, export, check."""

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
import yaml

from sphmask_core.checkpoints.weights import load_model, save_weights
from sphmask_core.clouds.prepared import map_table, read_manifest
from sphmask_core.commands import cli
from sphmask_core.config import AugmentConfig, load_config, override
from sphmask_core.evaluation import submission
from test.helpers import miniatures, tiny
from training import prepare
from training.augment import augment
from training.datasets import dataset, mosd
from training.scene import collate
from training.train import main

TINY = [
    *(f"model.{name}={value}" for name, value in tiny.PRESET["model"].items()),
    "train.queries=8",
    "inference.min_points=1",
    "inference.foreground_threshold=0.0",
    "inference.iterative_sampling=false",
    "inference.queries=16",
    "train.epochs=1",
    "train.batch_size=1",
    "train.accumulate=1",
    "train.repeats=1",
    "train.backbone.epochs=0",
    "train.workers=0",
    "augment.elastic=[]",
]


def prepared(folder, name, write):
    write(folder / "raw")
    out = folder / "out"
    arguments = [name, "--raw", str(folder / "raw"), "--out", str(out), "--partial", "--jobs", "1"]
    assert prepare.main(arguments) == 0
    return out


def trained(folder, preset, *settings):
    """Weights after an epoch of a tiny model; the log's only line."""
    run = folder / f"run_{len(list(folder.iterdir()))}"
    everything = [*TINY, f"data.root={folder / 'out'}", *settings]
    assert main([str(preset), "-o", str(run), "--device", "cpu", "--set", *everything]) == 0
    return _finding(run / "last.safetensors"), json.loads((run / "log.jsonl").read_text())


def _finding(weights):
    """The weights, with the class "none" made unlikely and rays of a unit: it finds some."""
    model = load_model(weights)
    with torch.no_grad():
        model.query_heads.classes[-1].bias[-1] = -9
        model.query_heads.rays[-1].bias[:] = 1
    save_weights(weights, model, model.config)
    return weights


def evaluated(folder, name, weights, split="val", *more):
    out = folder / "scores"
    arguments = ["eval", "--dataset", name, "--root", str(folder / "out"), "--split", split]
    status = cli.main([*arguments, "--model", str(weights), "-o", str(out), *more])
    return status, out / "metrics.json"


@pytest.fixture(scope="module")
def scannet(tmp_path_factory):
    """A folder with a prepared ScanNetV2, and tiny weights trained on it."""
    folder = tmp_path_factory.mktemp("scannet")
    prepared(folder, "scannetv2", miniatures.write_scannet)
    return folder, *trained(folder, "scannetv2")


def test_training_on_scannet(scannet):
    _, weights, log = scannet
    assert weights.exists() and log["point_semantic"] > 0 and log["dice"] > 0 and "AP50" in log


def test_evaluation_on_scannet(scannet, capsys):
    folder, weights, _ = scannet
    status, metrics = evaluated(folder, "scannetv2", weights)
    assert status == 0
    printed = capsys.readouterr().out
    assert [line.split()[0] for line in printed.splitlines()[3:5]] == ["chair", "table"]
    saved = json.loads(metrics.read_text())
    assert saved["classes"]["chair"]["ap"] is not None and saved["classes"]["bed"]["ap"] is None
    assert sum(saved["confusion"]["chair"].values()) == 2 and sum(saved["confusion"]["table"].values()) == 1
    assert 0 < saved["class_agnostic"]["recall25"] <= 1
    assert (folder / "scores/scenes.png").exists() and (folder / "scores/confusion.png").exists()


def test_submission(scannet, capsys):
    """The test split has no labels: nothing is scored, and what is written passes the checker."""
    folder, weights, _ = scannet
    out = folder / "submission"
    status, _ = evaluated(folder, "scannetv2", weights, "test", "--submission", str(out))
    assert status == 0 and "none scored" in capsys.readouterr().out
    (scan,) = miniatures.TEST_SCANS
    lines = [line.split() for line in (out / f"{scan}.txt").read_text().splitlines()]
    assert lines and {path.suffix for path in (out / "predicted_masks").iterdir()} == {".txt"}
    manifest = read_manifest(folder / "out")
    for mask, label, confidence in lines:
        values = np.loadtxt(out / mask)
        points = next(scene.points for scene in manifest.scenes if scene.name == scan)
        assert values.shape == (points,) and set(values) <= {0, 1} and values.any()
        assert int(label) in manifest.label_ids[2:] and 0 < float(confidence) <= 1
    assert submission.main([str(out), "--root", str(folder / "out")]) == 0
    assert evaluated(folder, "scannetv2", weights, "test", "--submission", str(out))[0] == 2
    assert "is not empty" in capsys.readouterr().err


def test_training_scenes_are_read_from_the_map(scannet):
    """What training sees: model units, colors in [-1, 1], the labels of the file."""
    folder, _, _ = scannet
    config = override(load_config("scannetv2"), [f"data.root={folder / 'out'}", *TINY])
    scenes = dataset(config).load_scenes(config, "train")
    table = map_table(folder / "out/train/scene0001_00.npy")
    assert len(scenes) == 2 and len(scenes[-2:]) == 2
    np.testing.assert_allclose(scenes[1].xyz, table.xyz, atol=1e-5)
    np.testing.assert_allclose(scenes[1].rgb, table.rgb / 127.5 - 1, atol=1e-6)
    np.testing.assert_array_equal(scenes[1].semantic, table.semantic)
    np.testing.assert_array_equal(scenes[1].superpoints, table.superpoints)
    with pytest.raises(IndexError):
        scenes[2]


@pytest.mark.parametrize(
    ("dataset", "split", "message"),
    [
        ("scannetv2", "testing", "no split 'testing'; there are: test, train, val"),
        ("s3dis", "val", "holds scannetv2, not s3dis"),
        ("mosd", "val", "holds no scenes"),
    ],
)
def test_what_cannot_be_evaluated(scannet, capsys, dataset, split, message):
    folder, weights, _ = scannet
    assert evaluated(folder, dataset, weights, split)[0] == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_model_of_other_classes(scannet, capsys):
    folder, _, _ = scannet
    assert evaluated(folder, "scannetv2", "tabletop")[0] == 2
    assert "its 3 classes are not the 20 of scannetv2" in capsys.readouterr().err


@pytest.fixture(scope="module")
def s3dis(tmp_path_factory):
    folder = tmp_path_factory.mktemp("s3dis")
    prepared(folder, "s3dis", miniatures.write_s3dis)
    return folder, *trained(folder, "s3dis")


def test_training_takes_a_new_quarter_at_each_visit(s3dis):
    folder, _, log = s3dis
    config = override(load_config("s3dis"), [f"data.root={folder / 'out'}", "data.s3dis.area=1"])
    (room,) = dataset(config).load_scenes(config, "val")
    table = map_table(folder / "out/Area_1/Area_1_office_1.npy")
    np.testing.assert_allclose(room.xyz, table.xyz, atol=1e-5)
    still = replace(
        AugmentConfig(axis_jitter=0, flip="", turn=0, elastic=(), color_jitter=0),
        point_share=config.augment.point_share,
    )
    place = {tuple(point): i for i, point in enumerate(room.xyz)}
    visits = []
    for seed in range(2):
        quarter = augment(room, still, 0.02, np.random.default_rng(seed))
        rows = [place[tuple(point)] for point in quarter.xyz]
        assert len(set(rows)) == len(room) // 4 and rows == sorted(rows)
        np.testing.assert_array_equal(quarter.instance, room.instance[rows])
        visits.append(set(rows))
    assert visits[0] != visits[1] and visits[0] & visits[1]
    assert log["epoch"] == 0


def test_evaluation_on_s3dis(s3dis, capsys):
    """All thirteen classes count, ceiling and floor too, and coverage is there."""
    folder, weights, _ = s3dis
    status, metrics = evaluated(folder, "s3dis", weights)
    assert status == 0 and "mCov" in capsys.readouterr().out
    saved = json.loads(metrics.read_text())
    scored = {name for name, scores in saved["classes"].items() if scores["ap"] is not None}
    assert scored == {"ceiling", "floor", "wall", "chair", "table", "clutter"}
    assert 0 <= saved["coverage"]["cov"] <= 1
    assert [scene["scene"] for scene in saved["scenes"]] == ["Area_5_hallway_6"]
    assert evaluated(folder, "s3dis", weights, "Area_1")[0] == 0


def test_stpls3d(tmp_path, capsys):
    """Voxels are their own superpoints, colors the only features."""
    prepared(tmp_path, "stpls3d", miniatures.write_stpls3d)
    settings = ["inference.foreground_threshold=0.1", "augment.max_points=5000"]
    weights, log = trained(tmp_path, "stpls3d", *settings)
    assert log["point_semantic"] > 0
    status, metrics = evaluated(tmp_path, "stpls3d", weights)
    assert status == 0 and json.loads(metrics.read_text())["classes"]["building"]["ap"] is not None


def test_batches_without_superpoints(tmp_path):
    prepared(tmp_path, "stpls3d", miniatures.write_stpls3d)
    config = override(load_config("stpls3d"), [f"data.root={tmp_path / 'out'}"])
    voxels = collate(dataset(config).load_scenes(config, "val")[:1], config.model).voxels
    assert voxels.features.shape[1] == 3
    assert torch.equal(voxels.superpoints, torch.arange(len(voxels.coords)))


def test_own_clouds_with_one_yaml(tmp_path, capsys):
    """A folder of labeled clouds and a configuration: prepared, trained on, evaluated."""
    (tmp_path / "raw").mkdir()
    for i in range(5):
        scene = miniatures.room(i)
        semantic = np.array([0, 1, 2, 2, 3, 3])[scene.item]
        instance = np.where(semantic < 2, -1, scene.item)
        np.savez(
            tmp_path / f"raw/scan{i}.npz", xyz=scene.xyz, rgb=scene.rgb, label=semantic, instance=instance
        )
    preset = tmp_path / "own.yaml"
    classes = {
        "semantic_classes": ["floor", "wall", "chair", "thing"],
        "instance_classes": ["chair", "thing"],
    }
    preset.write_text(yaml.safe_dump({**classes, "voxel_size": 0.04, "train": {"dataset": "folder"}}))
    arguments = ["--raw", str(tmp_path / "raw"), "--out", str(tmp_path / "out"), "--config", str(preset)]
    assert prepare.main(["folder", *arguments, "--jobs", "1"]) == 0
    weights, log = trained(tmp_path, preset)
    assert log["point_semantic"] > 0
    status, metrics = evaluated(tmp_path, "folder", weights)
    saved = json.loads(metrics.read_text())
    assert status == 0 and [scene["scene"] for scene in saved["scenes"]] == ["scan4"]
    assert sum(saved["confusion"]["chair"].values()) == sum(saved["confusion"]["thing"].values()) == 2


def test_validation_is_held_out_until_training_may_have_everything(tmp_path):
    for number in range(10):
        (tmp_path / f"learn{number}.pcd").touch()
    held, whole = (
        override(load_config("tabletop"), [f"data.root={tmp_path}", f"data.tabletop.hold_out={value}"])
        for value in ("true", "false")
    )
    names = {
        (config.data.tabletop.hold_out, split): [path.stem for path in mosd.scene_files(config, split)]
        for config in (held, whole)
        for split in ("train", "val")
    }
    assert names[True, "val"] == names[False, "val"] == ["learn4", "learn9"]
    assert set(names[True, "train"]) == {f"learn{n}" for n in range(10)} - {"learn4", "learn9"}
    assert names[False, "train"] == [f"learn{n}" for n in range(10)]
