# SPDX-License-Identifier: Apache-2.0
"""A run that was stopped and resumed ends exactly like one that was not; bad input gives one line."""

import os
import resource
import signal
import sys
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from sphmask_core import native
from sphmask_core.checkpoints.weights import load_model
from sphmask_core.clouds import scenes as raw
from sphmask_core.clouds.cloud import Cloud
from sphmask_core.config import (
    BackboneConfig,
    ConfigError,
    InferenceConfig,
    TrainConfig,
    override,
)
from sphmask_core.method.model import SphericalMask
from test.helpers import tiny
from test.helpers.small import SMALL
from training import log, runner
from training.datasets import dataset
from training.losses import Criterion
from training.scene import TrainingScene, collate
from training.state import TrainState
from training.step import batch_terms
from training.train import main

CONFIG = replace(
    SMALL,
    inference=InferenceConfig(min_points=1, iterative_sampling=False, queries=8),
    train=TrainConfig(
        queries=8,
        epochs=2,
        batch_size=2,
        repeats=2,
        backbone=BackboneConfig(epochs=1, step_epoch=1),
        ema=0.9,
        clip_grad=1.0,
        validate_every=2,
        log_every=2,
    ),
)


def tiny_scene(seed):
    rng = np.random.default_rng(seed)
    semantic = rng.integers(0, 2, 400)
    return TrainingScene(
        xyz=rng.random((400, 3), np.float32),
        rgb=rng.random((400, 3), np.float32),
        superpoints=rng.integers(0, 12, 400),
        semantic=semantic,
        instance=np.where(semantic == 1, rng.integers(0, 3, 400), -100),
    )


def tiny_cloud(seed):
    scene = tiny_scene(seed)
    cloud = Cloud(scene.xyz, None, None, (1, 400))
    return raw.Scene("tiny", cloud, scene.semantic, scene.instance)


@pytest.fixture(autouse=True)
def data(monkeypatch):
    module = SimpleNamespace(
        load_scenes=lambda config, split: [tiny_scene(i) for i in range(3)],
        load_raw=lambda config, split: [tiny_cloud(7)],
    )
    monkeypatch.setattr(runner, "dataset", lambda config: module)


def train(folder, resume=False):
    run = runner.Runner(CONFIG, folder, torch.device("cpu"))
    run.start(resume)
    run.run()
    return run


def stopped_after(folder, batches, monkeypatch, resume):
    """A run that is interrupted after some batches, with a checkpoint after every one."""
    whole = runner.Runner.batch

    def batch(self, *arguments, **options):
        if self.state.batches == batches:
            raise KeyboardInterrupt
        return whole(self, *arguments, **options)

    with monkeypatch.context() as patch:
        patch.setattr(runner, "SAVE_SECONDS", -1.0)
        patch.setattr(runner.Runner, "batch", batch)
        with pytest.raises(KeyboardInterrupt):
            train(folder, resume)


def test_resuming_is_exact(tmp_path, monkeypatch):
    """Stopped within an epoch, and again at the end of one."""
    whole = train(tmp_path / "whole").state
    stopped_after(tmp_path / "stopped", 5, monkeypatch, resume=False)
    stopped_after(tmp_path / "stopped", 6, monkeypatch, resume=True)
    resumed = train(tmp_path / "stopped", resume=True).state
    assert resumed.batches == whole.batches == 9
    assert resumed.best == whole.best
    for a, b in ((whole.model, resumed.model), (whole.average, resumed.average)):
        for key, value in a.state_dict().items():
            assert torch.equal(value, b.state_dict()[key]), key


def test_fixed_modules_run_as_in_inference(monkeypatch):
    """The same losses and gradients as when the modules that do not learn are asked for gradients too."""
    config = override(CONFIG, ["train.fixed_modules=[backbone, pointwise]"])
    batch = collate([tiny_scene(i) for i in range(2)], config.model)
    losses, gradients, fused = [], [], []
    unet = native.unet  # of inference alone
    monkeypatch.setattr(native, "unet", lambda *a: fused.append(1) or unet(*a))
    for asked in (False, True):
        torch.manual_seed(0)
        fused.clear()
        state = TrainState(SphericalMask(config), config.train)
        state.train_mode()
        state.model.backbone.requires_grad_(asked)
        terms = batch_terms(state.model, Criterion(config), batch, config, pointwise_only=False)
        sum(terms.values()).backward()
        assert bool(fused) != asked
        losses.append({name: term.item() for name, term in terms.items()})
        learned = {name: p.grad for name, p in state.model.named_parameters() if "backbone" not in name}
        gradients.append({name: grad for name, grad in learned.items() if grad is not None})
    assert losses[0]["dice"] > 0 and losses[0] == pytest.approx(losses[1], rel=1e-4)
    assert gradients[0].keys() == gradients[1].keys() and len(gradients[0]) > 20
    for name, gradient in gradients[0].items():
        largest = gradient.abs().max().item()
        assert torch.allclose(gradient, gradients[1][name], rtol=1e-3, atol=1e-5 + 1e-4 * largest), name


def test_a_run_leaves_log_and_weights(tmp_path):
    run = train(tmp_path)
    records, steps = log.read(tmp_path / "log.jsonl"), log.read_steps(tmp_path / "log.jsonl")
    assert [row["step"] for row in steps] == [2, 4, 6, 8] and [row["epoch"] for row in steps] == [0, 1, 1, 2]
    assert all(row["lr"] == CONFIG.train.lr and row["point_semantic"] > 0 for row in steps)
    assert all(set(log.POINTWISE) <= set(record) for record in (records[0], records[2]))
    assert "AP" not in records[0]
    assert [record["epoch"] for record in records] == [0, 1, 2]
    assert "dice" not in records[0] and records[1]["dice"] > 0 and "AP50" in records[2]
    weight = "mask_tower.0.weight"
    loaded = load_model(tmp_path / "last.safetensors").state_dict()[weight]
    averaged, last = (m.state_dict()[weight].half().float() for m in (run.state.result, run.state.model))
    assert torch.equal(loaded, averaged) and not torch.equal(loaded, last)
    with pytest.raises(ConfigError, match="--resume"):
        train(tmp_path)


def test_fixed_modules_stay(tmp_path, monkeypatch):
    config = override(CONFIG, ["train.fixed_modules=[backbone]"])
    run = runner.Runner(config, tmp_path, torch.device("cpu"))
    before = {key: value.clone() for key, value in run.state.model.state_dict().items()}
    run.start(False)
    run.run()
    for key, value in run.state.model.state_dict().items():
        if key.startswith("backbone."):
            assert torch.equal(value, before[key]), key
    assert not torch.equal(run.state.model.state_dict()["mask_tower.0.weight"], before["mask_tower.0.weight"])


def test_what_cannot_be_fixed():
    with pytest.raises(ConfigError, match=r"no module 'backbone.trunk'; there are: backbone, pointwise,"):
        runner.Runner(override(CONFIG, ["train.fixed_modules=[backbone.trunk]"]), None, torch.device("cpu"))


def test_bfloat16_needs_cuda():
    with pytest.raises(ConfigError, match="bfloat16 needs CUDA; on the cpu use float32"):
        runner.Runner(override(CONFIG, ["train.precision=bfloat16"]), None, torch.device("cpu"))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device")
def test_training_in_bfloat16_on_a_gpu(tmp_path):
    config = override(CONFIG, ["train.precision=bfloat16"])
    run = runner.Runner(config, tmp_path, torch.device("cuda"))
    run.start(False)
    assert run.run() == 0
    values = run.state.model.state_dict().values()
    assert all(value.isfinite().all() and value.dtype != torch.bfloat16 for value in values)


def test_mixed_precision_changes_little():
    """On the CPU, where autocast does the same, if slowly."""
    torch.manual_seed(0)
    model, criterion = SphericalMask(CONFIG), Criterion(CONFIG)
    batch = collate([tiny_scene(0), tiny_scene(1)], CONFIG.model)
    mixed = override(CONFIG, ["train.precision=bfloat16"])
    exact, rough = (batch_terms(model, criterion, batch, c, pointwise_only=False) for c in (CONFIG, mixed))
    assert all(term.dtype == torch.float32 for term in rough.values())
    for name, term in exact.items():
        if name.startswith("point_"):  # the others hang on which query answers for which instance
            torch.testing.assert_close(rough[name], term, rtol=0.05, atol=0.01)
            assert rough[name] != term
    torch.stack(list(rough.values())).sum().backward()
    assert all(p.grad.dtype == torch.float32 and p.grad.isfinite().all() for p in model.parameters())


def test_resuming_from_what_is_no_checkpoint(tmp_path):
    (tmp_path / "checkpoint.pt").write_bytes(b"nothing")
    with pytest.raises(ConfigError, match=r"checkpoint.pt: no checkpoint of a run with this configuration"):
        train(tmp_path, resume=True)


def test_tensorboard_has_losses_scores_and_pictures(tmp_path, monkeypatch):
    events = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    monkeypatch.setitem(globals(), "CONFIG", override(CONFIG, ["train.tensorboard=true"]))
    train(tmp_path)
    board = events.EventAccumulator(str(tmp_path / "tensorboard"))
    board.Reload()
    assert {"lr", "waited", "loss/dice", "loss/point_semantic", "AP50"} <= set(board.Tags()["scalars"])
    assert [event.step for event in board.Scalars("loss/point_semantic")] == [0, 1, 2]
    assert [event.step for event in board.Images("validation")] == [2]


def test_tensorboard_missing(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    monkeypatch.setitem(globals(), "CONFIG", override(CONFIG, ["train.tensorboard=true"]))
    with pytest.raises(ConfigError, match="the package tensorboard is missing"):
        train(tmp_path)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nowhere"], "no such configuration"),
        (["tabletop", "--set", "train.rate=1"], "no setting train.rate"),
        (["tabletop", "--set", "train.lr"], "expected key=value"),
        (["tabletop", "--set", "train.validate_every=0"], "train.validate_every: must be at least 1, not 0"),
        (["tabletop", "--set", "name.lr=1"], "no setting name.lr"),
        (["tabletop", "--resume"], "start without --resume"),
        (["tabletop", "--set", "train.init=nothing"], "no such weights"),
        (["tabletop", "--set", "train.fixed_modules=[spine]"], "no module 'spine'"),
        (["tabletop", "--set", "train.precision=float16"], "must be one of float32, bfloat16"),
        (["tabletop", "--device", "foo"], "--device foo: give auto, cpu, cuda or cuda:N"),
        pytest.param(
            ["tabletop", "--device", "cuda"],
            "no CUDA device was found; use cpu",
            marks=pytest.mark.skipif(torch.cuda.is_available(), reason="there is one"),
        ),
    ],
)
def test_bad_input_is_one_line(tmp_path, capsys, arguments, message):
    assert main([*arguments, "-o", str(tmp_path / "run")]) == 2
    error = capsys.readouterr().err
    assert message in error and error.count("\n") == 1


def test_a_signal_at_any_batch_loses_nothing(tmp_path, monkeypatch):
    """Also at the last one of an epoch, whose validation and row of the log were lost once."""
    whole = train(tmp_path / "whole").state
    names = ("last.safetensors", "best.safetensors")
    wanted = [(tmp_path / "whole" / name).read_bytes() for name in names], str(tiny.log(tmp_path / "whole"))
    assert all(score in wanted[1] for score in ("AP50", "mIoU"))
    original = runner.Runner.batch
    for last in range(1, 10):  # one epoch of the backbone alone, two of everything

        def batch(self, *arguments, last=last):
            terms = original(self, *arguments)
            if self.state.batches == last:
                os.kill(os.getpid(), signal.SIGTERM)
            return terms

        folder = tmp_path / f"stopped{last}"
        with monkeypatch.context() as patch:
            patch.setattr(runner.Runner, "batch", batch)
            run = runner.Runner(CONFIG, folder, torch.device("cpu"))
            run.start(False)
            assert run.run() == signal.SIGTERM
        state = train(folder, resume=True).state
        written = [(folder / name).read_bytes() for name in names]
        assert (written, str(tiny.log(folder))) == wanted, last
        assert state.best == whole.best
        for key, value in whole.model.state_dict().items():
            assert torch.equal(value, state.model.state_dict()[key]), key


def test_a_full_disk_leaves_the_last_checkpoint_and_no_part(tmp_path):
    state = TrainState(SphericalMask(CONFIG), CONFIG.train)
    path = tmp_path / "checkpoint.pt"
    state.save(path)
    before, limits = path.read_bytes(), resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (len(before) // 2, limits[1]))
    try:
        with pytest.raises(OSError):
            state.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert path.read_bytes() == before and [entry.name for entry in tmp_path.iterdir()] == ["checkpoint.pt"]


def test_tensorboard_is_asked_for_before_anything_is_built(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    built = []
    monkeypatch.setattr(runner, "SphericalMask", built.append)
    with pytest.raises(ConfigError, match="the package tensorboard is missing"):
        runner.Runner(override(CONFIG, ["train.tensorboard=true"]), tmp_path, torch.device("cpu"))
    assert not built


def test_a_damaged_scene_is_one_line_from_workers_too(tmp_path, capfd, monkeypatch):
    monkeypatch.setattr(runner, "dataset", dataset)  # the one of files, in place of this file's own
    preset = tiny.write(tmp_path)
    for scene in (tmp_path / "data/train").glob("*.npy"):
        scene.write_bytes(scene.read_bytes()[:300])
    for workers in (0, 1):
        settings = ["--set", f"train.workers={workers}", "-o", str(tmp_path / f"run{workers}")]
        assert main([str(preset), "--device", "cpu", *settings]) == 2
        lines = [line for line in capfd.readouterr().err.splitlines() if line.startswith("train.py:")]
        assert len(lines) == 1 and ".npy: no prepared scene" in lines[0]


def test_scenes_of_validation_alone(tmp_path, monkeypatch):
    nothing = SimpleNamespace(load_scenes=lambda config, split: [], load_raw=lambda config, split: [])
    monkeypatch.setattr(runner, "dataset", lambda config: nothing)
    with pytest.raises(ConfigError, match="there is no scene to train on, only to validate"):
        train(tmp_path)


def test_unknown_data_set_names_the_known_ones():
    with pytest.raises(ConfigError, match=r"there are: .*mosd.*scannetv2"):
        dataset(override(CONFIG, ["data.dataset=nothing"]))
