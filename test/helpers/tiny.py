# SPDX-License-Identifier: Apache-2.0
"""A data set and a model so small that the training command takes a second a run."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import yaml

from test.helpers import miniatures
from training import prepare
from training.log import read

ROOT = Path(__file__).parents[2]
TRAIN = ("training/train.py",)
WORKER = ("-m", "test.helpers.worker")
"""What Python is to run, from the root of the checkout."""
PRESET = {
    "semantic_classes": ["floor", "wall", "chair", "thing"],
    "instance_classes": ["chair", "thing"],
    "voxel_size": 0.04,
    "model": {"channels": 4, "levels": 2, "query_dim": 8, "mask_dim": 4, "seeds": 16, "neighbors": 4},
    "inference": {"foreground_threshold": 0.0, "min_points": 1, "queries": 8, "iterative_sampling": False},
}
SETTINGS = {
    "queries": 8,
    "dataset": "folder",
    "batch_size": 1,
    "backbone": {"epochs": 1},
    "lr": 1e-3,
    "clip_grad": 1.0,
    "warmup_steps": 3,
}


def write(folder: Path, rooms: int = 5, bare: tuple[int, ...] = (), **train: object) -> Path:
    """Prepared rooms, every fifth for validation, those in `bare` without objects; returns the preset."""
    raw = folder / "raw"
    raw.mkdir(parents=True)
    for i in range(rooms):
        items = miniatures.ROOM[:2] if i in bare else miniatures.ROOM
        scene = miniatures.room(i, items, spacing=0.1)
        semantic = np.array([0, 1, 2, 2, 3, 3])[scene.item]
        instance = np.where(semantic < 2, -1, scene.item)
        np.savez(raw / f"room{i}.npz", xyz=scene.xyz, rgb=scene.rgb, label=semantic, instance=instance)
    preset = folder / "tiny.yaml"
    preset.write_text(yaml.safe_dump({**PRESET, "train": SETTINGS | {"root": str(folder / "data")} | train}))
    arguments = ["--raw", str(raw), "--out", str(folder / "data"), "--config", str(preset), "--jobs", "1"]
    assert prepare.main(["folder", *arguments]) == 0
    return preset


def command(program: tuple[str, ...], *arguments: object, processes: int = 1) -> subprocess.Popen[str]:
    """A training command, started; in `processes` processes by torchrun."""
    launch = ["-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    return subprocess.Popen(
        [sys.executable, *(launch if processes > 1 else []), *program, *map(str, arguments)],
        cwd=ROOT,
        env=os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)},
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),  # nohup, of these tests, ignores it
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str], status: int = 0) -> str:
    """What the command wrote to standard error, once it ended as it should."""
    _, error = process.communicate(timeout=300)
    assert process.returncode == status, error
    return error


def wait_for_epoch(process: subprocess.Popen[str], run: Path, epochs: int = 1) -> None:
    """Until so many epochs are logged, or the command has ended."""
    while process.poll() is None and len(log(run)) < epochs:
        time.sleep(0.02)


def log(run: Path) -> list[dict]:
    """The records of a run's epochs, without the times that they took."""
    return [
        {k: v for k, v in record.items() if k not in ("seconds", "waited")}
        for record in read(run / "log.jsonl")
    ]
