# SPDX-License-Identifier: Apache-2.0
"""A backbone from outside: the example of the documentation trains, is saved, loaded and resumed."""

import re
import sys
from pathlib import Path

import pytest
import torch

from sphmask_core.checkpoints.weights import CheckpointError, load_model
from sphmask_core.config import Config, ConfigError, ModelConfig
from sphmask_core.method.model import SphericalMask
from test.helpers import tiny
from training.train import main

PAGE = Path(__file__).parents[2] / "docs/backbones.md"


@pytest.fixture
def example(tmp_path, monkeypatch):
    """The module of the documentation's page, where Python finds it."""
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S)
    (tmp_path / "modules").mkdir()
    (tmp_path / "modules/mink_unet.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path / "modules")
    yield "mink_unet:MinkUNet"
    sys.modules.pop("mink_unet", None)


def test_the_example_trains_and_is_loaded(tmp_path, example, monkeypatch):
    preset, run = tiny.write(tmp_path), tmp_path / "run"
    command = [str(preset), "-o", str(run), "--device", "cpu", "--set", f"model.backbone={example}"]
    assert main([*command, "train.epochs=1", "train.validate_every=1"]) == 0
    first, last = tiny.log(run)
    assert first["point_semantic"] > 0 and last["dice"] > 0
    weights = run / "last.safetensors"
    assert type(load_model(weights).backbone).__name__ == "MinkUNet"
    sys.modules.pop("mink_unet")
    with pytest.raises(CheckpointError, match="import mink_unet first, or set SPHMASK_BACKBONES=mink_unet"):
        load_model(weights)
    assert "mink_unet" not in sys.modules
    monkeypatch.setenv("SPHMASK_BACKBONES", "mink_unet")
    assert load_model(weights).config.model.backbone == example


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("nothing:Class", "No module named 'nothing'"),
        ("torch.nn:Nothing", "has no attribute 'Nothing'"),
        ("subprocess:Popen", "is no torch.nn.Module"),
        ("os.system('x')", "expected module:Class"),
        ("torch.nn", "expected module:Class"),
    ],
)
def test_what_is_no_backbone(name, message):
    with pytest.raises(ConfigError, match=re.escape(message)):
        SphericalMask(Config(model=ModelConfig(backbone=name)))


def test_every_backbone_of_the_contract_fits(example):
    from mink_unet import MinkUNet

    backbone = MinkUNet(6, 8).train()
    coords = torch.cat([torch.randint(0, 2, (300, 1)), torch.randint(0, 12, (300, 3))], 1).unique(dim=0).int()
    features = backbone(torch.randn(len(coords), 6), coords)
    assert features.shape == (len(coords), 8)
    features.square().sum().backward()
    assert all(p.grad is not None and p.grad.isfinite().all() for p in backbone.parameters())
