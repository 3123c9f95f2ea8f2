# SPDX-License-Identifier: Apache-2.0
"""Processes of ROS nodes under measurement: their environment, what they use, their end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from benchmarks.transport import PROFILE, VARIABLE

STOP_TIMEOUT = 10.0
"""Seconds until a process that does not end is killed."""


def set_environment() -> None:
    """Let this process and those that it starts talk on this computer alone, with the Fast DDS profile."""
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    os.environ.setdefault(VARIABLE, str(PROFILE))


@contextmanager
def running(*modules: Sequence[str]) -> Iterator[list[subprocess.Popen]]:
    """Gives processes of `python -m MODULE ARGUMENTS`, which end as by Ctrl-C when the block ends."""
    processes = [subprocess.Popen([sys.executable, "-m", *module]) for module in modules]
    try:
        yield processes
    finally:
        for process in processes:
            process.send_signal(signal.SIGINT)
        for process in processes:
            try:
                process.wait(STOP_TIMEOUT)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def node(model: str, **others: str) -> list[str]:
    """Returns what `running` is given for a node with these parameters; `ns` is its namespace."""
    arguments = ["sphmask_ros", "--ros-args", "--log-level", "error", "-p", f"model:={model}"]
    namespace = others.pop("ns", "")
    arguments += ["-r", f"__ns:=/{namespace}"] if namespace else []
    return arguments + [part for name, value in others.items() for part in ("-p", f"{name}:={value}")]


def processor_seconds(processes: Sequence[subprocess.Popen]) -> float:
    """Returns the user and system time of the processes so far, seconds."""
    total = 0
    for process in processes:
        fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / os.sysconf("SC_CLK_TCK")


def memory(processes: Sequence[subprocess.Popen]) -> float:
    """Returns the resident memory of each process, together, MB."""
    pages = [int(Path(f"/proc/{process.pid}/statm").read_text().split()[1]) for process in processes]
    return sum(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


def own_memory(processes: Sequence[subprocess.Popen]) -> float:
    """Returns the same, MB, but what processes share is counted once, each its part of it."""
    total = 0
    for process in processes:
        lines = Path(f"/proc/{process.pid}/smaps_rollup").read_text().splitlines()
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total * 1024 / 1e6
