# SPDX-License-Identifier: Apache-2.0
"""The ROS 2 node in a process of its own, over DDS: latency, its own share, memory, labels and ids.

python -m benchmarks.node                            one simulated cloud again and again
python -m benchmarks.node --frames 2000 --width 160  memory over many frames
python -m benchmarks.node --rounds 200               memory over rounds of deactivating and activating
python -m benchmarks.node --root DIR                 every cloud of a folder, each some times, at 2 Hz
"""

from __future__ import annotations

import argparse
import os
import subprocess
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import numpy as np
import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.client import Client
from sensor_msgs.msg import PointCloud2
from sphmask_ros.msg import Timings
from std_msgs.msg import Header

from sphmask_core.clouds.cloud import Cloud, read_cloud
from sphmask_core.commands import cli
from sphmask_core.messages.instances import read_instances, read_tracks
from sphmask_core.messages.pointcloud2 import cloud_points, read_labels
from sphmask_core.simulation.scenes import simulate_cloud
from sphmask_ros.conversions import write_points
from sphmask_ros.demo import FRAME_TIMEOUT, START_TIMEOUT, start_node, stop_node
from sphmask_ros.player import Answer, Player

OWN = ("read", "track", "write")
"""Stages that are the node's own, beside the model."""
PERIOD = 0.5
"""Seconds between clouds of a folder."""


def main() -> None:
    """Run the command line: start a node, play to it, end it."""
    arguments = _arguments()
    node = start_node(arguments.model)
    rclpy.init()
    player = Player()
    player.wait_until_heard(START_TIMEOUT, running=lambda: node.poll() is None)
    if arguments.root is not None:
        _scenes(player, sorted(arguments.root.glob("*.pcd")), arguments.repeats, arguments.model)
    elif arguments.rounds:
        _rounds(player, node, arguments.rounds)
    else:
        cloud = simulate_cloud(1, arguments.width, arguments.width * 3 // 4)
        _frames(player, node, cloud, arguments.frames)
    stop_node(node)
    rclpy.try_shutdown()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=30)
    parser.add_argument("--width", type=int, default=640, help="of the simulated image")
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--root", type=Path, help="folder of .pcd files")
    parser.add_argument("--repeats", type=int, default=3, help="of each cloud of the folder")
    parser.add_argument("--model", default="tabletop")
    return parser.parse_args()


def _frames(player: Player, node: subprocess.Popen, cloud: Cloud, frames: int) -> None:
    """Print latency, the node's own share of it, and memory."""
    stages: dict[str, list[float]] = defaultdict(list)

    def keep(msg: Timings) -> None:
        for stage, milliseconds in zip(msg.stages, msg.milliseconds, strict=True):
            stages[stage].append(milliseconds)

    player.create_subscription(Timings, "segment/timings", keep, 10)
    latencies, memory = [], []
    for _ in range(frames):
        latencies.append(player.ask(_message(player, cloud), FRAME_TIMEOUT).latency * 1e3)
        memory.append(_memory(node))
    print(f"{frames} clouds of {len(cloud.xyz)} points; the first took {latencies[0]:.0f} ms")
    median, longest = np.median(latencies), max(latencies[1:])
    print(f"publish to labeled cloud  {median:8.1f} ms median, {longest:.1f} longest")
    medians = {stage: float(np.median(times)) for stage, times in stages.items()}
    own = {stage: medians.pop(stage) for stage in OWN}
    parts = ", ".join(f"{stage} {ms:.1f}" for stage, ms in own.items())
    print(f"of that the model          {sum(medians.values()):8.1f} ms")
    print(f"the node's own             {sum(own.values()):8.1f} ms ({parts})")
    _report_memory(memory)


def _rounds(player: Player, node: subprocess.Popen, rounds: int) -> None:
    """Print memory while the node is deactivated and activated again and again; it has to answer in the
    end."""
    client: Client = player.create_client(ChangeState, "segment/change_state")
    client.wait_for_service(START_TIMEOUT)
    memory, seconds = [], time.perf_counter()
    for _ in range(rounds):
        for number in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVATE):
            asked = client.call_async(ChangeState.Request(transition=Transition(id=number)))
            rclpy.spin_until_future_complete(player, asked, timeout_sec=START_TIMEOUT)
            response = asked.result() if asked.done() else None
            if response is None or not response.success:
                raise RuntimeError(f"transition {number} failed")
        memory.append(_memory(node))
    seconds = time.perf_counter() - seconds
    player.wait_until_heard(START_TIMEOUT)
    player.ask(_message(player, simulate_cloud(1, 160, 120)), FRAME_TIMEOUT)
    print(f"{rounds} rounds of deactivating and activating, {seconds / rounds * 1e3:.0f} ms each; it answers")
    _report_memory(memory)


def _scenes(player: Player, files: list[Path], repeats: int, model: str) -> None:
    """Print whether every cloud is answered in time, labeled as the command line does, its ids kept."""
    answers: dict[Path, list[Answer]] = {}
    ask = _paced(player)
    for file in files:
        cloud = read_cloud(file)
        answers[file] = [ask(_message(player, cloud)) for _ in range(repeats)]
    latencies = [answer.latency for several in answers.values() for answer in several]
    print(f"{len(latencies)} clouds of {len(files)} files answered")
    late = sum(latency > PERIOD for latency in latencies)
    median, longest = np.median(latencies) * 1e3, max(latencies) * 1e3
    print(f"publish to labeled cloud  {median:8.1f} ms median, {longest:.1f} longest; {late} beyond a period")
    kept = [file for file, several in answers.items() if _keep_ids(several)]
    print(f"ids kept while it repeats  {len(kept):6d} files of {len(files)}")
    with tempfile.TemporaryDirectory() as folder:
        cli.main(["segment", *map(str, files), "-o", folder, "--model", model])
        equal = [file for file in files if _equals(answers[file], Path(folder, f"{file.stem}.npz"))]
    print(f"as `sphmask segment` does  {len(equal):6d} files of {len(files)}")


def _paced(player: Player) -> Callable[[PointCloud2], Answer]:
    """Returns a function that sends the player a cloud, at most one a period, and returns the answer."""
    due = time.monotonic()

    def ask(cloud: PointCloud2) -> Answer:
        nonlocal due
        time.sleep(max(due - time.monotonic(), 0))
        due = time.monotonic() + PERIOD
        return player.ask(cloud, FRAME_TIMEOUT)

    return ask


def _keep_ids(answers: list[Answer]) -> bool:
    return len({tuple(read_tracks(answer.instances).ids.tolist()) for answer in answers}) == 1


def _equals(answers: list[Answer], written: Path) -> bool:
    """Returns whether every answer has, bit for bit, what the command line wrote."""
    expected = np.load(written)
    results = [read_instances(answer.instances, read_labels(answer.points)) for answer in answers]
    names = ("labels", "masks", "scores", "class_ids", "boxes")
    return all(np.array_equal(getattr(result, name), expected[name]) for result in results for name in names)


def _message(player: Player, cloud: Cloud) -> PointCloud2:
    header = Header(frame_id="camera_color_optical_frame", stamp=player.get_clock().now().to_msg())
    return write_points(header, cloud_points(cloud))


def _memory(node: subprocess.Popen) -> float:
    """Returns the resident memory of the node, MB."""
    pages = Path(f"/proc/{node.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


def _report_memory(memory: list[float]) -> None:
    settled, most = memory[len(memory) // 10], max(memory)
    print(
        f"memory                     {settled:8.1f} MB after a tenth of it, {memory[-1]:.1f} at the end",
        end="",
    )
    print(f", {most:.1f} at most")


if __name__ == "__main__":
    main()
