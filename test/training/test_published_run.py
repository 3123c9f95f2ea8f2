# SPDX-License-Identifier: Apache-2.0
"""The commands that reproduce the published ScanNetV2 figures, with a random checkpoint of full size."""

import ast
import json

import miniatures
import numpy as np
import pytest
import torch

from sphmask_core.commands import cli
from sphmask_core.evaluation import submission
from training import prepare


def random_checkpoint(layout, path):
    """A checkpoint with every key and shape of the published one."""
    rng = torch.Generator().manual_seed(0)
    state = {}
    for line in layout.read_text().splitlines():
        key, shape = line.split("\t")
        shape = ast.literal_eval(shape)
        if key.endswith("num_batches_tracked"):
            state[key] = torch.tensor(300)
        elif key.endswith("running_var"):
            state[key] = torch.ones(shape)
        else:
            fan = np.prod(shape[1:]) if len(shape) > 1 else 1e4
            state[key] = torch.randn(shape, generator=rng) / max(fan, 1) ** 0.5
    torch.save({"net": state, "epoch": 300}, path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory, golden):
    folder = tmp_path_factory.mktemp("published")
    random_checkpoint(golden / "checkpoint_layout_full.txt", folder / "published.pth")
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
