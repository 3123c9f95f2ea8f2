# SPDX-License-Identifier: Apache-2.0
"""From the training command to its first step, with an empty and a full cache of made scenes: time, memory.

python -m benchmarks.startup --root MOSD [--simulated 900] [--mixed 900]
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from sphmask_core.config import load_config, override
from training import log
from training.cache import fill
from training.datasets import tabletop

POLL = 0.1
"""Seconds between looks at the log."""


@dataclass(frozen=True)
class Start:
    """What it took to come to the first step of a training run."""

    seconds: float
    cpu_seconds: float
    """Processor time of all processes."""
    gigabytes: float
    """The most that the training process took."""


def start(arguments: list[str], run: Path) -> Start:
    """Run the training command until it has logged its first step."""
    began = time.monotonic()
    process = subprocess.Popen([sys.executable, "-m", "training.train", *arguments, "-o", str(run)])
    while not log.read_steps(run / "log.jsonl"):
        if process.poll() is not None:
            raise SystemExit(f"the training command ended with {process.returncode} before its first step")
        time.sleep(POLL)
    seconds = time.monotonic() - began
    process.send_signal(signal.SIGTERM)
    _, _, used = os.wait4(process.pid, 0)
    return Start(seconds, used.ru_utime + used.ru_stime, used.ru_maxrss * 1024 / 1e9)


def main() -> None:
    """Run the command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", required=True, help="folder of mOSD's scenes")
    parser.add_argument("--simulated", type=int, default=900)
    parser.add_argument("--mixed", type=int, default=900)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        settings = [
            f"data.root={asked.root}",
            f"data.cache={folder}/cache",
            f"data.tabletop.simulated={asked.simulated}",
            f"data.tabletop.mixed={asked.mixed}",
            "train.log_every=1",
        ]
        show("empty cache", settings, Path(folder))
        scenes = tabletop.load_scenes(override(load_config("tabletop"), settings), "train")
        fill(scenes.kept, "scenes")
        show("full cache", settings, Path(folder))


def show(name: str, settings: list[str], folder: Path) -> None:
    """Start a run in a folder and print what it took."""
    took = start(["tabletop", "--set", *settings], folder / name)
    size = sum(file.stat().st_size for file in Path(folder, "cache").rglob("*.npy")) / 1e9
    print(
        f"{name}: {took.seconds:.0f} s to the first step, {took.cpu_seconds:.0f} s of processors, "
        f"{took.gigabytes:.2f} GB of memory, {size:.2f} GB on disk",
        flush=True,
    )


if __name__ == "__main__":
    main()
