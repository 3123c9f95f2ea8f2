# SPDX-License-Identifier: Apache-2.0
import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy", reason="needs ROS 2: make build")
pytest.importorskip("sphmask_ros.msg", reason="needs the built messages: make build")
from sphmask_core.clouds.cloud import write_ply
from sphmask_core.simulation.scenes import simulate_cloud
from test.helpers.patience import TIMEOUT

ROOT = Path(__file__).parents[2]
LONGEST = 3 * TIMEOUT
"""Seconds for the node to start, to answer and to end."""


def run_demo(weights, *arguments):
    command = [sys.executable, "-m", "sphmask_ros.demo", "--model", weights, *arguments]
    environment = os.environ | {"AMENT_PREFIX_PATH": os.environ.get("AMENT_PREFIX_PATH", sys.prefix)}
    return subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True, timeout=LONGEST)


def test_plays_a_folder_and_draws_it(weights, tmp_path):
    for seed in (1, 2):
        write_ply(tmp_path / f"{seed}.ply", simulate_cloud(seed, 160, 120), {})
    done = run_demo(weights, tmp_path, "--picture", tmp_path / "out" / "demo.png")
    assert done.returncode == 0, done.stderr
    assert "1.ply: 160 x 120 points" in done.stdout
    assert "all 2 frames answered" in done.stdout
    assert (tmp_path / "out" / "demo.png").read_bytes().startswith(b"\x89PNG")


def test_says_what_is_wrong_with_its_input(weights, tmp_path):
    done = run_demo(weights, tmp_path, "--picture", tmp_path / "demo.png")
    assert done.returncode == 2
    (line,) = done.stderr.strip().splitlines()
    assert str(tmp_path) in line
