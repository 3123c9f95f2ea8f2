# SPDX-License-Identifier: Apache-2.0
"""The commands that reproduce the published ScanNetV2 figures, with a random checkpoint of full size."""

import json

import pytest
import torch

from sphmask_core.commands import cli
from sphmask_core.config import load_config
from sphmask_core.evaluation import submission
from sphmask_core.method.model import SphericalMask
from test.helpers import miniatures
from test.helpers.published import save_published
from training import prepare


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("published")
    torch.manual_seed(0)
    save_published(folder / "published.pth", SphericalMask(load_config("scannetv2")))
    miniatures.write_scannet(folder / "raw")
    return folder


def test_every_step(folder, capsys):
    weights, data = str(folder / "scannetv2.safetensors"), str(folder / "data")
    assert cli.main(["convert", str(folder / "published.pth"), "--config", "scannetv2", "-o", weights]) == 0
    assert "tensors taken" in capsys.readouterr().out
    raw = ["scannetv2", "--raw", str(folder / "raw"), "--out", data, "--partial", "--jobs", "1"]
    assert prepare.main(raw) == 0
    common = ["eval", "--model", weights, "--dataset", "scannetv2", "--root", data]
    assert cli.main([*common, "--split", "val", "-o", str(folder / "scores")]) == 0
    saved = json.loads((folder / "scores/metrics.json").read_text())
    assert set(saved["classes"]) >= {"cabinet", "otherfurniture"} and len(saved["scenes"]) == 1
    assert cli.main([*common, "--split", "test", "--submission", str(folder / "test")]) == 0
    assert submission.main([str(folder / "test"), "--root", data]) == 0
