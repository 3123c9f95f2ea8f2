# SPDX-License-Identifier: Apache-2.0
"""Weights: round trip, published layout, and one clear line for everything that does not fit."""

import ast
import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import save_file

from sphmask_core.checkpoints.published import import_published
from sphmask_core.checkpoints.weights import (
    CheckpointError,
    load_model,
    load_state,
    read_published,
    save_weights,
)
from sphmask_core.config import from_dict, load_config, to_dict
from sphmask_core.method.model import SphericalMask
from test.helpers.published import published_state
from test.helpers.small import SMALL


def test_own_weights_come_back_with_their_configuration(tmp_path):
    model = SphericalMask(SMALL)
    save_weights(tmp_path / "w.safetensors", model, SMALL)
    loaded = load_model(tmp_path / "w.safetensors")
    assert loaded.config == SMALL and not loaded.training
    for key, value in model.state_dict().items():
        assert torch.equal(value, loaded.state_dict()[key]), key
    assert [path.name for path in tmp_path.iterdir()] == ["w.safetensors"]


def test_half_precision_halves_the_file_and_keeps_the_norms(tmp_path):
    model = SphericalMask(SMALL)
    save_weights(tmp_path / "full.safetensors", model, SMALL)
    save_weights(tmp_path / "half.safetensors", model, SMALL, half=True)
    loaded = load_model(tmp_path / "half.safetensors").state_dict()
    for key, value in model.state_dict().items():
        expected = value.half().float() if value.dim() > 1 else value
        assert torch.equal(loaded[key], expected), key
    full, half = ((tmp_path / f"{name}.safetensors").stat().st_size for name in ("full", "half"))
    assert half < 0.75 * full


@pytest.fixture(scope="module")
def full_size():
    """The model of the published ScanNetV2 checkpoint."""
    return SphericalMask(load_config("scannetv2"))


def test_a_published_checkpoint_comes_back_under_our_names(full_size):
    model = SphericalMask(full_size.config)
    load_state(model, import_published(published_state(full_size)), "published")
    for key, value in full_size.state_dict().items():
        assert torch.equal(value, model.state_dict()[key]), key
    assert sum(p.numel() for p in model.parameters()) > 30e6


def test_the_published_layout_is_the_published_one(golden, full_size):
    """Every key and shape; of what the output does not depend on, some."""
    rows = (line.split("\t") for line in (golden / "checkpoint_layout_full.txt").read_text().splitlines())
    layout = {key: ast.literal_eval(shape) for key, shape in rows}
    ours = {key: tuple(value.shape) for key, value in published_state(full_size).items()}
    assert {key: layout.get(key) for key in ours} == ours
    assert set(import_published(dict.fromkeys(layout.keys() - ours.keys(), torch.zeros(1)))) == set()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda state: state.pop("mask_tower.0.weight"), "no weight mask_tower.0.weight"),
        (lambda state: state.update(extra=torch.zeros(1)), "unknown weight extra"),
        (
            lambda state: state.update({"mask_tower.9.bias": torch.zeros(3)}),
            "mask_tower.9.bias has shape (3,)",
        ),
    ],
)
def test_a_key_that_does_not_fit_is_named(change, message):
    state = dict(SphericalMask(SMALL).state_dict())
    change(state)
    with pytest.raises(CheckpointError, match=r"w\.pth: ") as error:
        load_state(SphericalMask(SMALL), state, "w.pth")
    assert message in str(error.value) and "\n" not in str(error.value)


def test_unusable_files_say_why(tmp_path, weights):
    with pytest.raises(CheckpointError, match="no such weights"):
        load_model(tmp_path / "missing.safetensors")
    (tmp_path / "cut.safetensors").write_bytes(weights.read_bytes()[:1000])
    with pytest.raises(CheckpointError, match="not a safetensors file"):
        load_model(tmp_path / "cut.safetensors")
    save_file({"a": torch.zeros(1)}, tmp_path / "bare.safetensors")
    with pytest.raises(CheckpointError, match="no configuration inside"):
        load_model(tmp_path / "bare.safetensors")
    torch.save({"epoch": 1}, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match="not a published checkpoint"):
        read_published(tmp_path / "other.pth")
    (tmp_path / "text.pth").write_text("not a checkpoint")
    with pytest.raises(CheckpointError, match="not a torch file of plain tensors"):
        read_published(tmp_path / "text.pth")


class Payload:
    """Pickles to a call of print: what a hostile checkpoint would hold."""

    def __reduce__(self):
        return print, ("unpickled code",)


def test_pickled_code_is_never_run(tmp_path, capsys):
    torch.save({"net": {}, "epoch": 1, "payload": Payload()}, tmp_path / "evil.pth")
    with pytest.raises(CheckpointError, match="not a torch file of plain tensors"):
        read_published(tmp_path / "evil.pth")
    assert "unpickled" not in capsys.readouterr().out


def test_weights_of_another_configuration_are_refused(weights):
    other = replace(SMALL, model=replace(SMALL.model, channels=8))
    state = load_model(weights).state_dict()
    with pytest.raises(CheckpointError, match="the configuration asks for"):
        load_state(SphericalMask(other), state, weights)


def test_configuration_survives_json():
    assert from_dict(json.loads(json.dumps(to_dict(SMALL)))) == SMALL
