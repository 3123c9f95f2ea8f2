# SPDX-License-Identifier: Apache-2.0
"""`sphmask convert`: published checkpoints, whole or for the backbone, to weights of our own."""

import pytest
import torch
import yaml

from sphmask_core.checkpoints.weights import load_model, read_published, read_weights
from sphmask_core.commands import cli
from sphmask_core.config import to_dict
from sphmask_core.method.model import SphericalMask
from test.helpers.golden import CONFIG
from test.helpers.published import save_published

BACKBONE = ("input_conv", "unet", "output_layer")
HEADS = ("semantic_linear", "offset_linear", "offset_vertices_linear", "box_conf_linear")


@pytest.fixture
def published(tmp_path_factory):
    """A random checkpoint as the published code would write it."""
    torch.manual_seed(1)  # not that of the weights which `convert` draws
    path = tmp_path_factory.mktemp("published") / "published.pth"
    save_published(path, SphericalMask(CONFIG))
    return path


@pytest.fixture
def config_file(tmp_path):
    """The small model's configuration as a user would write it."""
    values = to_dict(CONFIG)
    plain = {key: values[key] for key in ("semantic_classes", "instance_classes", "voxel_size", "model")}
    path = tmp_path / "small.yaml"
    path.write_text(yaml.safe_dump(plain_lists(plain)))
    return path


def plain_lists(values):
    if isinstance(values, dict):
        return {key: plain_lists(value) for key, value in values.items()}
    return list(values) if isinstance(values, tuple) else values


def convert(source, config_file, target, *options):
    return cli.main(["convert", str(source), "--config", str(config_file), "-o", str(target), *options])


def isbnet(published, tmp_path, drop=()):
    """The small checkpoint as ISBNet would hold it: the same backbone and point-wise heads, other heads."""
    net = torch.load(published, weights_only=True)["net"]
    kept = {key: value for key, value in net.items() if key.split(".")[0] in BACKBONE + HEADS}
    others = {"inst_mask_head.2.weight": torch.zeros(7, 8, 1), "mask_tower.3.bias": torch.zeros(9)}
    path = tmp_path / "isbnet.pth"
    state = {key: value for key, value in {**kept, **others}.items() if not key.startswith(tuple(drop))}
    torch.save({"net": state, "epoch": 1}, path)
    return path, kept


def test_spherical_mask_whole(tmp_path, capsys, published, config_file):
    target = tmp_path / "new" / "weights.safetensors"
    assert convert(published, config_file, target) == 0
    state, config = read_weights(target)
    expected = read_published(published)
    for key, value in state.items():
        assert torch.equal(value, expected[key]), key
    assert config.name == "small" and config.model == CONFIG.model
    assert [path.name for path in target.parent.iterdir()] == ["weights.safetensors"]
    printed = capsys.readouterr().out
    assert printed.startswith(f"{target}: small, all {len(state)} tensors taken") and printed.count("\n") == 1


def test_half_halves_the_file(tmp_path, published, config_file):
    full, half = tmp_path / "full.safetensors", tmp_path / "half.safetensors"
    assert convert(published, config_file, full) == convert(published, config_file, half, "--half") == 0
    assert half.stat().st_size < 0.65 * full.stat().st_size
    weight = "mask_tower.0.weight"
    assert torch.equal(read_weights(half)[0][weight], read_weights(full)[0][weight].half().float())


def test_isbnet_gives_backbone_and_pointwise_heads(tmp_path, capsys, published, config_file):
    source, kept = isbnet(published, tmp_path)
    before = torch.get_rng_state()
    targets = [tmp_path / f"{i}.safetensors" for i in range(2)]
    assert [convert(source, config_file, target) for target in targets] == [0, 0]
    assert torch.equal(torch.get_rng_state(), before)
    state, expected = read_weights(targets[0])[0], read_published(published)
    taken = [key for key in state if key.startswith(("backbone.", "pointwise."))]
    assert len(taken) == sum(not key.endswith("num_batches_tracked") for key in kept)
    for key in taken:
        assert torch.equal(state[key], expected[key]), key
    assert not torch.equal(state["mask_tower.0.weight"], expected["mask_tower.0.weight"])
    assert targets[0].read_bytes() == targets[1].read_bytes()
    load_model(targets[0])
    line = capsys.readouterr().out.splitlines()[0]
    assert f"{len(taken)} tensors of backbone and point-wise heads taken as an ISBNet checkpoint's" in line
    assert "2 not used: mask_tower, query_heads; all other weights are random" in line


@pytest.mark.parametrize(
    ("change", "says"),
    [
        (lambda files: files.update(source="missing.pth"), "missing.pth: no such file"),
        (lambda files: files.update(config="nothing"), "nothing: no such configuration"),
        (lambda files: files.update(target="w.pth"), "w.pth: weights are written as .safetensors"),
        (lambda files: files.update(config="tabletop"), "does the configuration fit"),
    ],
)
def test_one_line_errors(tmp_path, monkeypatch, capsys, published, config_file, change, says):
    monkeypatch.chdir(tmp_path)
    files = {"source": published, "config": config_file, "target": "w.safetensors"}
    change(files)
    assert convert(*files.values()) == 2
    error = capsys.readouterr().err
    assert says in error and error.count("\n") == 1
    assert [path.name for path in tmp_path.iterdir()] == [config_file.name]


def test_a_backbone_that_is_not_whole_is_named(tmp_path, capsys, published, config_file):
    source, _ = isbnet(published, tmp_path, drop=["unet.blocks.block0.conv_branch.2"])
    assert convert(source, config_file, tmp_path / "w.safetensors") == 2
    assert "no weight backbone.unet.head.0.conv1.weight" in capsys.readouterr().err
