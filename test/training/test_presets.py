# SPDX-License-Identifier: Apache-2.0
"""Every preset is complete: the published sizes, and a model that learns from a miniature."""

from itertools import islice

import pytest
import torch

from sphmask_core.config import load_config, override
from sphmask_core.method.model import SphericalMask
from test.helpers import miniatures
from training import prepare, runner

SIZES = {  # semantic and instance classes; published settings beside the defaults
    "tabletop": (3, 1, {}),
    "scannetv2": (20, 18, {"epochs": 300, "batch_size": 12, "repeats": 1, "accumulate": 16, "lr": 7.5e-4}),
    "scannet200": (200, 198, {"epochs": 120, "batch_size": 12, "repeats": 4, "lr": 7.5e-4}),
    "s3dis": (13, 11, {"epochs": 120, "batch_size": 12, "repeats": 20, "lr": 7.5e-4}),
    "stpls3d": (15, 14, {"epochs": 120, "batch_size": 32, "repeats": 3, "lr": 2e-3}),
}


@pytest.mark.parametrize("preset", SIZES)
def test_sizes(preset):
    config, (semantic, instance, train) = load_config(preset), SIZES[preset]
    assert (len(config.semantic_classes), len(config.instance_classes)) == (semantic, instance)
    assert {name: getattr(config.train, name) for name in train} == train
    assert not config.loss.class_weights or len(config.loss.class_weights) == semantic
    model = SphericalMask(config)
    assert model.pointwise.semantic[-1].out_features == semantic
    assert model.query_heads.classes[-1].out_features == instance + 1


@pytest.mark.parametrize("preset", ["scannet200", "s3dis", "stpls3d"])
def test_isbnets_candidates_before_nms(preset):
    assert load_config(preset).inference.max_instances == 300


def test_published_settings_of_s3dis():
    inference = load_config("s3dis").inference
    assert (inference.foreground_threshold, inference.min_points, inference.parts) == (0.4, 400, 4)
    assert (inference.nms, inference.nms_threshold, inference.whole_classes) == (
        "standard",
        0.2,
        (0, 1),
    )


def test_published_settings_of_stpls3d():
    config = load_config("stpls3d")
    model = config.model
    assert (model.channels, model.query_dim, model.neighbors, model.radius_scale) == (16, 64, 16, 10)
    assert not model.with_coords and not model.use_superpoints and config.inference.min_points == 10
    assert config.unit == pytest.approx(1) and config.voxel_size == pytest.approx(1 / 3)


def test_two_steps_at_full_size(tmp_path):
    """The whole network of ScanNet200, on two scenes; test_datasets trains smaller ones of the others."""
    miniatures.write_scannet(tmp_path / "raw")
    out = tmp_path / "data"
    raw = ["scannet200", "--raw", str(tmp_path / "raw"), "--out", str(out), "--partial", "--jobs", "1"]
    assert prepare.main(raw) == 0
    settings = ["train.batch_size=1", "train.workers=0", "train.backbone.epochs=0", f"data.root={out}"]
    config = override(load_config("scannet200"), [*settings, "inference.foreground_threshold=0.0"])
    run = runner.Runner(config, tmp_path / "run", torch.device("cpu"))
    run.start(resume=False)
    before = {name: value.clone() for name, value in run.state.model.named_parameters()}
    for batch in islice(runner.load_batches(run.scenes, config, 0, 0), 2):
        terms = run.batch(batch, run.phase)
        assert terms["point_semantic"] > 0 and terms["classification"] > 0
    assert [n for n, value in run.state.model.named_parameters() if torch.equal(value, before[n])] == []
