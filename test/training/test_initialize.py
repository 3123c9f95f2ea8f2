# SPDX-License-Identifier: Apache-2.0
"""Weights to start from: what fits is taken, what does not is said in one line."""

from dataclasses import replace

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from sphmask_core.checkpoints.weights import read_published, save_weights
from sphmask_core.config import ConfigError, override
from sphmask_core.method.model import SphericalMask
from test.helpers.golden import CONFIG
from test.helpers.published import save_published
from training.initialize import initialize, modules_of


def model_from(config, source):
    """The model that a run starts with, the one of torch's own weights, and the line."""
    config = override(config, [f"train.init={source}"])
    torch.manual_seed(0)
    plain = SphericalMask(config)
    torch.manual_seed(0)
    model = SphericalMask(config)
    summary = initialize(model, config)
    return model.state_dict(), plain.state_dict(), summary


def test_own_weights_whole(tmp_path):
    torch.manual_seed(1)
    own = SphericalMask(CONFIG)
    save_weights(tmp_path / "own.safetensors", own, CONFIG)
    state, _, summary = model_from(CONFIG, tmp_path / "own.safetensors")
    assert all(torch.equal(value, own.state_dict()[key]) for key, value in state.items())
    count = sum(not key.endswith("num_batches_tracked") for key in state)
    assert summary.endswith(f"own.safetensors: {count} of {count} tensors taken")


def test_other_classes_start_anew(tmp_path):
    """Only the layers that say the class; and a preset can be named."""
    classes = replace(CONFIG, semantic_classes=("floor", "a", "b"), instance_classes=("a", "b"))
    save_weights(tmp_path / "own.safetensors", SphericalMask(classes), classes)
    summary = model_from(CONFIG, tmp_path / "own.safetensors")[2]
    assert summary.endswith("; anew: pointwise.semantic.3, query_heads.classes.6")
    other = override(CONFIG, ["model.levels=5", "train.queries=8"])
    summary = model_from(other, "tabletop")[2]
    assert (
        summary.startswith("train.init: tabletop: ")
        and "backbone" not in summary
        and "unknown" not in summary
    )


@pytest.fixture
def path(tmp_path):
    """A random checkpoint as the published code would write it."""
    torch.manual_seed(1)
    save_published(tmp_path / "published.pth", SphericalMask(CONFIG))
    return tmp_path / "published.pth"


def test_published_weights(path):
    """All of Spherical Mask's."""
    state, _, summary = model_from(CONFIG, path)
    published = read_published(path)
    assert all(torch.equal(state[key], value) for key, value in published.items() if "num_batches" not in key)
    assert "anew" not in summary and "unknown" not in summary


def test_isbnet_gives_its_backbone_only(path, tmp_path):
    """Its other heads have the same names, but say something else."""
    content = torch.load(path, weights_only=True)
    net = {key: value for key, value in content["net"].items() if not key.startswith("rid_module")}
    torch.save({"net": net}, tmp_path / "isbnet.pth")
    state, plain, summary = model_from(CONFIG, tmp_path / "isbnet.pth")
    published = read_published(tmp_path / "isbnet.pth")
    for key, value in state.items():
        if key.endswith("num_batches_tracked"):
            continue
        if key.startswith(("backbone.", "pointwise.")):
            assert torch.equal(value, published[key])
        elif not key.startswith(("query_heads.controller.6", "query_heads.rays.6")):
            assert torch.equal(value, plain[key]), key
    assert summary.endswith("; anew: aggregator1, aggregator2, mask_tower, query_heads")


def test_nothing_fits(tmp_path):
    """A network too narrow for the prior on masks starts without it."""
    torch.save({"net": {"elsewhere": torch.zeros(3)}}, tmp_path / "other.pth")
    with pytest.raises(ConfigError, match="none of its tensors fits the model"):
        model_from(override(CONFIG, ["model.mask_dim=4"]), tmp_path / "other.pth")


@given(st.sets(st.sampled_from([f"{a}.{b}.{c}" for a in "ab" for b in "01" for c in "xy"])))
def test_modules_are_exactly_what_was_chosen(chosen):
    keys = [f"{a}.{b}.{c}" for a in "ab" for b in "01" for c in "xy"]
    modules = modules_of(chosen, keys)
    covered = {key for key in keys if any(f"{key}.".startswith(f"{name}.") for name in modules)}
    assert covered == chosen
    parents = {name.rpartition(".")[0] for name in modules}
    assert not any(
        {key for key in keys if key.startswith(f"{parent}.")} <= chosen for parent in parents - {""}
    )
