# SPDX-License-Identifier: Apache-2.0
"""A run killed at any moment, or stopped by a signal, ends when resumed as if it never had been stopped."""

import hashlib
import os
import random
import signal
import threading
import time

import pytest

from test.helpers import tiny
from training.train import main

SETTINGS = {"epochs": 6, "repeats": 2, "ema": 0.9, "accumulate": 3, "validate_every": 2, "workers": 1}
pytestmark = pytest.mark.usefixtures("one_thread")  # as in the processes that are started
FILES = ("last.safetensors", "best.safetensors")


def outcome(run):
    return [hashlib.sha256((run / name).read_bytes()).hexdigest() for name in FILES], tiny.log(run)


def interrupt_after_an_epoch(run):
    """From another thread, as a terminal does."""
    epochs = len(tiny.log(run)) + 1

    def interrupt():
        while len(tiny.log(run)) < epochs:
            time.sleep(0.01)
        os.kill(os.getpid(), signal.SIGINT)

    threading.Thread(target=interrupt, daemon=True).start()


def test_killed_stopped_and_resumed(tmp_path, capfd):
    preset, run, whole = tiny.write(tmp_path, **SETTINGS), tmp_path / "stopped", tmp_path / "whole"
    arguments = [str(preset), "-o", str(run), "--device", "cpu"]
    process = tiny.command(tiny.TRAIN, *arguments)
    tiny.wait_for_epoch(process, run)
    time.sleep(random.uniform(0, 0.3))
    process.kill()
    tiny.finish(process, -signal.SIGKILL)
    interrupt_after_an_epoch(run)
    assert main([*arguments, "--resume"]) == 128 + signal.SIGINT
    assert "train.py: stopped by SIGINT; go on with --resume" in capfd.readouterr().err
    assert len(tiny.log(run)) < SETTINGS["epochs"]
    assert main([*arguments, "--resume"]) == 0
    assert main([str(preset), "-o", str(whole), "--device", "cpu"]) == 0
    assert outcome(run) == outcome(whole)
    assert not list(run.glob(".*"))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_stopped_while_scenes_are_made(tmp_path, number):
    """The processes that make them, which have its standard error, too, end with it."""
    pytest.importorskip("embreex", reason="needs the extra simulation")
    settings = [f"data.cache={tmp_path / 'cache'}", "data.simulated=1000"]
    process = tiny.command(
        tiny.TRAIN, "street", "-o", str(tmp_path / "run"), "--device", "cpu", "--set", *settings
    )
    while not list(tmp_path.glob("cache/*/*.npy")):
        assert process.poll() is None
        time.sleep(0.05)
    process.send_signal(number)
    tiny.finish(process, 128 + number)


BROKEN = """
import sys
from training import loader, train

def fail(batches, place):
    raise RuntimeError("a defect")

loader.EpochBatches._scene = fail
sys.exit(train.main(sys.argv[1:]))
"""
"""The training command, with a defect in what loads its scenes."""


def test_an_error_where_scenes_are_loaded_ends_the_run(tmp_path):
    """Python waits for the processes that load them before it ends, and these ignore SIGTERM."""
    preset = tiny.write(tmp_path, workers=1)
    process = tiny.command(("-c", BROKEN), preset, "-o", tmp_path / "run", "--device", "cpu")
    assert "a defect" in tiny.finish(process, 1)
