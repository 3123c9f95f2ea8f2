# SPDX-License-Identifier: Apache-2.0
"""Two processes train as one with batches twice as large does, and resume exactly."""

import signal

import pytest
import torch
import yaml
from hypothesis import given, settings
from hypothesis import strategies as st

from sphmask_core.config import ConfigError, to_dict
from sphmask_core.method.model import SphericalMask
from test.helpers import tiny, worker
from test.helpers.threads import threads_of
from training import distributed
from training.datasets import synthetic
from training.loader import batches_per_epoch
from training.scene import collate


def two_processes(config, run, *more):
    """Half a batch each."""
    arguments = [config, "-o", run, "--device", "cpu", "--set", "train.batch_size=1", *more]
    return tiny.command(tiny.WORKER, *arguments, processes=2)


def state(run):
    values = torch.load(run / "checkpoint.pt", weights_only=True)
    return {f"{part}.{key}": value for part in ("model", "average") for key, value in values[part].items()}


def test_two_processes_are_one_with_twice_the_batch(tmp_path, monkeypatch):
    """And stopped and resumed they still are: every loss, weight and running mean.

    In some batches one process has no foreground, in some none has.
    """
    monkeypatch.setattr(worker.runner, "dataset", worker.runner.dataset)
    monkeypatch.setattr(worker.train, "Runner", worker.train.Runner)
    config, single, pair = tmp_path / "tiny.yaml", tmp_path / "one", tmp_path / "two"
    config.write_text(yaml.safe_dump(to_dict(worker.CONFIG)))
    process = two_processes(config, pair)
    tiny.wait_for_epoch(process, pair)
    process.send_signal(signal.SIGTERM)
    assert "stopped by SIGTERM; go on with --resume" in process.communicate(timeout=300)[1]
    assert process.returncode and len(tiny.log(pair)) < worker.CONFIG.train.epochs
    tiny.finish(two_processes(config, pair, "--resume"))
    with threads_of(2):  # as many as the two processes have together
        assert worker.main([str(config), "-o", str(single), "--device", "cpu"]) == 0
    assert tiny.log(single) == tiny.log(pair) and tiny.log(single)[-1]["dice"] > 0
    expected, actual = state(single), state(pair)
    for key, value in expected.items():
        torch.testing.assert_close(
            actual[key], value, rtol=1e-6, atol=1e-6, msg=lambda text, key=key: f"{key}: {text}"
        )


@settings(max_examples=20, deadline=None)
@given(st.integers(2, 20), st.integers(1, 5), st.integers(0, 1000))
def test_shared_norm_is_batch_norm(rows, channels, seed):
    """Outputs, gradients and running statistics; across processes, the run above says the same."""
    torch.manual_seed(seed)
    plain = torch.nn.BatchNorm1d(channels, eps=1e-4, dtype=torch.float64)
    torch.nn.init.normal_(plain.weight)
    shared = distributed.SharedNorm(channels, eps=1e-4, dtype=torch.float64)
    shared.load_state_dict(plain.state_dict())
    x = torch.randn(rows, channels, dtype=torch.float64) * 3 + 1
    weights = torch.randn(rows, channels, dtype=torch.float64)
    results = []
    for norm in (plain, shared):
        own = x.clone().requires_grad_()
        y = norm(own)
        gradients = torch.autograd.grad((y * weights).sum(), [own, norm.weight, norm.bias])
        results.append([y, *gradients, norm.running_mean, norm.running_var, norm.num_batches_tracked])
        norm.eval()
        results[-1].append(norm(x))
    torch.testing.assert_close(*results)


def test_a_process_without_foreground_goes_through_all_layers(monkeypatch):
    """As it has to where another process has some: no rows in, no rows out, and gradients for all."""
    torch.manual_seed(0)
    model = SphericalMask(worker.CONFIG).train()
    monkeypatch.setattr(distributed, "world_size", lambda: 2)
    distributed.share_norms(model)
    monkeypatch.undo()
    assert any(isinstance(module, distributed.SharedNorm) for module in model.modules())
    model.find_foreground = lambda voxels, pointwise: torch.zeros(len(voxels.coords), dtype=torch.bool)
    batch = collate(worker.Scenes.load_scenes(worker.CONFIG, "train")[:2], worker.CONFIG.model)
    queries = model(batch.voxels, has_foreground=lambda foreground: True).queries
    assert queries.boxes.shape == (2, 0, 6) and not any(queries.active)
    assert [delta.shape[0] for delta in queries.migration] == [0, 0]


def test_too_few_scenes_for_all_processes(monkeypatch):
    monkeypatch.setattr("training.loader.world_size", lambda: 8)
    with pytest.raises(ConfigError, match=r"8 processes need 16 scenes a batch, an epoch has 8"):
        batches_per_epoch(8, worker.CONFIG)


def test_two_processes_make_their_scenes(tmp_path):
    """Each makes those that it is first to see; the first process makes all to validate on."""
    settings = [
        "data.dataset=synthetic",
        "data.tabletop.simulator=shapes",
        "data.tabletop.simulated=4",
        f"data.cache={tmp_path / 'cache'}",
        "train.epochs=1",
        "train.batch_size=1",
        "model.channels=4",
        "model.levels=2",
    ]
    run = tmp_path / "run"
    arguments = ["tabletop", "-o", run, "--device", "cpu", "--set", *settings]
    tiny.finish(tiny.command(tiny.TRAIN, *arguments, processes=2))
    assert len(tiny.log(run)) == 1 and (run / "last.safetensors").exists()
    kinds = {folder.name.rpartition("-")[0]: folder for folder in (tmp_path / "cache").iterdir()}
    assert len(list(kinds["shapes-scenes"].glob("*.npy"))) == 4
    assert len(list(kinds["shapes-clouds"].glob("*.npy"))) == synthetic.SEEDS.val_scenes
