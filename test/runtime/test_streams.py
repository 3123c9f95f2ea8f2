# SPDX-License-Identifier: Apache-2.0
"""What CUDA is asked for, seen without it: the order of two streams, and when the host waits."""

from collections import Counter
from contextlib import contextmanager
from dataclasses import replace

import pytest
import torch
from torch.utils._python_dispatch import TorchDispatchMode

from sphmask_core import Segmenter, segmenter
from sphmask_core.method.rounds import find_instances
from sphmask_core.runtime import cuda
from sphmask_core.simulation.scenes import simulate_cloud

WAITING = ("_local_scalar_dense", "is_nonzero", "nonzero", "masked_select", "_unique2", "bincount")
"""Operators whose result has to reach the host."""


class Waits(TorchDispatchMode):
    """Counts the operators for which the host would wait."""

    def __init__(self):
        super().__init__()
        self.count = Counter()

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        name = func.overloadpacket.__name__
        masks = args[1] if name in ("index", "index_put", "index_put_") else ()
        boolean = any(index is not None and index.dtype == torch.bool for index in masks)
        self.count[name] += name in WAITING or boolean
        return func(*args, **(kwargs or {}))


@pytest.mark.parametrize("rounds", [1, 3])
def test_the_host_waits_for_what_decides_sizes_alone(monkeypatch, rounds):
    """Foreground voxels and superpoints, whether a round found anything, seeds left for the next one, masks
    before NMS."""
    waits = Waits()

    def counted(*arguments):
        with waits:
            return find_instances(*arguments)

    monkeypatch.setattr(segmenter, "find_instances", counted)
    model, cloud = Segmenter.load("tabletop", "cpu"), simulate_cloud(3)
    inference = replace(model.config.inference, iterative_sampling=rounds > 1)
    model.model.config = replace(model.config, inference=inference)
    assert len(model(cloud.xyz, cloud.rgb)) > 0
    count = +waits.count
    assert count.keys() == {"nonzero", "is_nonzero"}
    assert count["nonzero"] <= 2 + rounds and count["is_nonzero"] <= rounds


class Stream:
    """Notes in `log` what a stream is asked for."""

    device = torch.device("cuda")

    def __init__(self, name, log):
        self.name, self.log = name, log

    def wait_stream(self, other):
        self.log.append(f"{self.name} waits for {other.name}")


@pytest.fixture
def log(monkeypatch):
    """What two streams are asked for, and the work that they are given."""
    log = []

    @contextmanager
    def stream(chosen):
        log.append(f"on {chosen.name}")
        yield
        log.append(f"off {chosen.name}")

    main, side = Stream("main", log), Stream("side", log)
    monkeypatch.setattr(torch.cuda, "current_stream", lambda device: main)
    monkeypatch.setattr(torch.cuda, "stream", stream)
    monkeypatch.setattr(torch.cuda, "Stream", lambda device: side)
    return log


def run(device, log):
    first, second = (lambda name=name: log.append(name) or name for name in ("first", "second"))
    assert cuda.side_by_side(torch.device(device), first, second) == ("first", "second")
    return log


@torch.no_grad()
def test_the_second_branch_has_a_stream_between_fork_and_join(log):
    fork, join = ["side waits for main", "on side", "second", "off side"], ["main waits for side"]
    assert run("cuda", log) == [*fork, "first", *join]


@pytest.mark.parametrize(("device", "grad"), [("cpu", False), ("cuda", True)])
def test_one_after_the_other_on_the_cpu_and_in_training(log, device, grad):
    with torch.set_grad_enabled(grad):
        assert run(device, log) == ["first", "second"]
