# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 node from publishing a cloud to hearing the answer, and its memory: python -m benchmarks.node"""

from __future__ import annotations

import argparse
import os
from collections import defaultdict
from pathlib import Path

import numpy as np
import rclpy
from sphmask_ros.msg import Timings
from std_msgs.msg import Header

from sphmask_core.cloud import read_cloud
from sphmask_core.messages.pointcloud2 import cloud_points
from sphmask_core.simulate import simulate_cloud
from sphmask_ros.conversions import write_points
from sphmask_ros.demo import FRAME_TIMEOUT, START_TIMEOUT, start_node, stop_node
from sphmask_ros.player import Player

OWN = ("read", "track", "write")
"""Stages that are the node's own, beside the model."""


def main() -> None:
    """Play one cloud again and again."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--cloud", type=Path, help="file; none: a simulated table")
    parser.add_argument("--width", type=int, default=640, help="of the simulated image")
    parser.add_argument("--model", default="tabletop")
    arguments = parser.parse_args()
    cloud = (
        simulate_cloud(1, arguments.width, arguments.width * 3 // 4)
        if arguments.cloud is None
        else read_cloud(arguments.cloud)
    )
    node = start_node(arguments.model)
    rclpy.init()
    player = Player()
    stages: dict[str, list[float]] = defaultdict(list)

    def keep(msg: Timings) -> None:
        for stage, milliseconds in zip(msg.stages, msg.milliseconds, strict=True):
            stages[stage].append(milliseconds)

    player.create_subscription(Timings, "segment/timings", keep, 10)
    player.wait_until_heard(START_TIMEOUT, running=lambda: node.poll() is None)
    latencies, memory = [], []
    for _ in range(arguments.frames):
        header = Header(frame_id="camera", stamp=player.get_clock().now().to_msg())
        answer = player.ask(write_points(header, cloud_points(cloud)), FRAME_TIMEOUT)
        latencies.append(answer.latency * 1e3)
        memory.append(_memory(node.pid))
    _report(len(cloud.xyz), latencies, stages, memory)
    stop_node(node)
    rclpy.try_shutdown()


def _memory(pid: int) -> float:
    """Resident memory of a process, MB."""
    pages = Path(f"/proc/{pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _report(points: int, latencies: list[float], stages: dict[str, list[float]], memory: list[float]) -> None:
    print(f"{len(latencies)} clouds of {points} points; the first took {latencies[0]:.0f} ms")
    print(
        f"publish to labelled cloud  {np.median(latencies):8.1f} ms median, {max(latencies[1:]):.1f} longest"
    )
    medians = {stage: float(np.median(times)) for stage, times in stages.items()}
    own = {stage: medians.pop(stage) for stage in OWN}
    print(f"of that the model          {sum(medians.values()):8.1f} ms")
    parts = ", ".join(f"{stage} {ms:.1f}" for stage, ms in own.items())
    print(f"the node's own             {sum(own.values()):8.1f} ms ({parts})")
    settled = memory[len(memory) // 10]
    print(f"memory                     {settled:8.1f} MB after a tenth, {memory[-1]:.1f} at the end")


if __name__ == "__main__":
    main()
