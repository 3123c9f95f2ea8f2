# SPDX-License-Identifier: Apache-2.0
"""A run killed at any moment, or stopped by a signal, ends when resumed as if it never had been stopped."""

import random
import signal
import time

import pytest
import tiny

from training.train import main

FILES = ("last.safetensors", "best.safetensors")


@pytest.fixture(scope="module")
def preset(tmp_path_factory):
    settings = {"epochs": 6, "repeats": 2, "ema": 0.9, "accumulate": 3, "validate_every": 2, "workers": 1}
    return tiny.write(tmp_path_factory.mktemp("tiny"), **settings)


def started(preset, run):
    more = ["--resume"] if (run / "checkpoint.pt").exists() else []
    return tiny.command(tiny.TRAIN_SCRIPT, preset, "-o", run, "--device", "cpu", *more)


def outcome(run):
    return [(run / name).read_bytes() for name in FILES], tiny.log(run)


def test_killed_and_resumed(preset, tmp_path):
    whole = tmp_path / "whole"
    assert main([str(preset), "-o", str(whole), "--device", "cpu"]) == 0
    run = tmp_path / "killed"
    process = started(preset, run)
    tiny.wait_for_epoch(process, run)
    time.sleep(random.uniform(0, 0.5))
    process.kill()
    tiny.finish(process, -signal.SIGKILL)
    process = started(preset, run)
    tiny.wait_for_epoch(process, run, len(tiny.log(run)) + 1)
    process.send_signal(signal.SIGINT)
    assert "stopped by SIGINT; go on with --resume" in tiny.finish(process, 128 + signal.SIGINT)
    tiny.finish(started(preset, run))
    assert outcome(run) == outcome(whole)
    assert not list(run.glob(".*"))
