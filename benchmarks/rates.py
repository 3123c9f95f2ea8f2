# SPDX-License-Identifier: Apache-2.0
"""Rate, latency, processor time and memory of the node for each output, beside a bare rclpy echo.

python -m benchmarks.rates                         10 and 30 Hz, 640 x 480 points, every row of the table
python -m benchmarks.rates --rates 10 --seconds 5  less of it
python -m benchmarks.rates --cloud frame.pcd       a real frame in place of a simulated, crowded one
python -m benchmarks.rates --cameras 2             two cameras: one node for both, then a node for each

Clouds and answers go over Fast DDS with config/fastdds.xml between two processes: the node, or the echo,
and this one.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from collections import defaultdict
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image, PointCloud2
from sphmask_ros.msg import InstanceArray, Timings
from std_msgs.msg import Header

from benchmarks.node import OWN
from benchmarks.processes import memory, node, own_memory, processor_seconds, running, set_environment
from sphmask_core.clouds.cloud import read_cloud
from sphmask_core.messages.pointcloud2 import cloud_points
from sphmask_core.simulation.scenes import simulate_cloud
from sphmask_ros.conversions import write_points
from sphmask_ros.poses import stamp_seconds

ECHOES = {"echo of the header": Header, "echo of the cloud": PointCloud2}
OUTPUTS = {"instances": InstanceArray, "label_image": Image, "labelled_points": PointCloud2}
FLOORS = {
    "instances": "echo of the header",
    "label_image": "echo of the header",
    "labelled_points": "echo of the cloud",
}
"""The echo that takes in and gives out about as many bytes as the node does for that output."""
START_TIMEOUT = 120.0
"""Seconds for loading the model."""
WARM_UP = 2.0
"""Seconds before counting begins."""
CAMERAS = ("front", "rear", "left", "right")


@dataclass
class Heard:
    """What came back while it counted."""

    latencies: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Seconds from a cloud's stamp to the arrival of its answer, by camera."""
    stages: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Milliseconds."""

    def model(self) -> float:
        """Returns the milliseconds of the model, by the medians of its stages."""
        return sum(float(np.median(times)) for name, times in self.stages.items() if name not in OWN)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    rate: float
    name: str
    answers: tuple[float, ...]
    """A second, of each camera."""
    latency: float
    """Median, milliseconds."""
    late: float
    """Longest latency of nine in ten answers, milliseconds."""
    processor: float
    """Percent of one core."""
    memory: float
    """Resident, MB."""
    own_memory: float
    """MB; what several processes share counts once."""
    model: float
    """Milliseconds."""


def main() -> None:
    """Run the command line: measure every row in processes of its own, and print the table."""
    arguments = _arguments()
    set_environment()
    rclpy.init()
    if arguments.role:
        _echo(arguments.role)
        return
    cloud = (
        read_cloud(arguments.cloud)
        if arguments.cloud
        else simulate_cloud(1, arguments.width, arguments.width * 3 // 4)
    )
    points = cloud_points(cloud)
    print(f"clouds of {points.size} points, {points.nbytes / 1e6:.1f} MB; {os.cpu_count()} cores,", end=" ")
    print(f"load {os.getloadavg()[0]:.1f} before the first cloud; {arguments.seconds:g} s a row")
    print("| Hz | answer | answers a second | latency, median / 9 in 10 | beyond model and floor | ", end="")
    print(
        "processor, one core is 100 % | memory, resident / own |\n| --- | --- | --- | --- | --- | --- | --- |"
    )
    for rate in arguments.rates:
        rows: dict[str, Row] = {}
        for name, kind, cameras, separate in _kinds(arguments):
            rows[name] = _measure(arguments, rate, name, kind, cameras, separate, points)
            print(_line(rows[name], rows.get(FLOORS.get(name, ""))), flush=True)
    rclpy.try_shutdown()


def _kinds(arguments: argparse.Namespace) -> list[tuple[str, str, tuple[str, ...], bool]]:
    """Returns the name of each row, what answers, its cameras, and whether each camera has a process of its
    own."""
    if arguments.cameras == 1:
        return [(name, name, ("",), False) for name in (*ECHOES, *arguments.outputs)]
    cameras = CAMERAS[: arguments.cameras]
    return [
        (f"{name}, {'a process for each' if separate else 'one process'}", name, cameras, separate)
        for name in arguments.outputs
        for separate in (False, True)
    ]


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rates", type=float, nargs="+", default=[10.0, 30.0], help="clouds a second")
    parser.add_argument("--outputs", nargs="+", choices=OUTPUTS, default=list(OUTPUTS))
    parser.add_argument("--seconds", type=float, default=20.0, help="that are counted, for each row")
    parser.add_argument("--width", type=int, default=640, help="of the simulated image")
    parser.add_argument("--cloud", type=Path, help="a file: what is sent in place of a simulated image")
    parser.add_argument("--cameras", type=int, default=1, choices=range(1, len(CAMERAS) + 1))
    parser.add_argument("--model", default="tabletop")
    parser.add_argument("--role", choices=ECHOES, help=argparse.SUPPRESS)
    return parser.parse_args()


def _measure(
    arguments: argparse.Namespace,
    rate: float,
    name: str,
    kind: str,
    cameras: tuple[str, ...],
    separate: bool,
    points: np.ndarray,
) -> Row:
    """Plays clouds to fresh processes at that rate. Returns the row; raises RuntimeError if none answers."""
    with running(*_modules(arguments.model, kind, cameras, separate)) as processes:
        player = rclpy.create_node("camera")
        heard = Heard()
        topics = [_listen(player, heard, kind, camera, separate) for camera in cameras]
        publishers = [player.create_publisher(PointCloud2, topic, 1) for topic in topics]
        _wait(player, processes, heard, publishers, points)
        _play(player, publishers, points, rate, WARM_UP)
        heard.latencies.clear()
        heard.stages.clear()
        used, begun = processor_seconds(processes), time.monotonic()
        _play(player, publishers, points, rate, arguments.seconds)
        seconds = time.monotonic() - begun
        share = 100 * (processor_seconds(processes) - used) / seconds
        sizes = memory(processes), own_memory(processes)
        player.destroy_node()
    each = [heard.latencies[camera] for camera in cameras]
    times = np.array([time for camera in each for time in camera] or [np.nan]) * 1e3
    middle, late = np.percentile(times, [50, 90])
    answers = tuple(len(camera) / seconds for camera in each)
    return Row(rate, name, answers, middle, late, share, *sizes, heard.model())


def _line(row: Row, floor: Row | None) -> str:
    beyond = f"{row.latency - row.model - floor.latency:.0f} ms" if floor else ""
    answers = " and ".join(f"{count:.1f}" for count in row.answers)
    return (
        f"| {row.rate:g} | {row.name} | {answers} | {row.latency:.0f} / {row.late:.0f} ms | {beyond} "
        f"| {row.processor:.0f} % | {row.memory:.0f} / {row.own_memory:.0f} MB |"
    )


def _modules(model: str, kind: str, cameras: tuple[str, ...], separate: bool) -> list[list[str]]:
    """Returns the processes that answer: an echo, a node, or a node for each camera."""
    if kind in ECHOES:
        return [["benchmarks.rates", "--role", kind]]
    if separate:
        return [node(model, ns=camera) for camera in cameras]
    return [node(model, **({} if cameras == ("",) else {"cameras": f"[{','.join(cameras)}]"}))]


def _listen(player: Node, heard: Heard, kind: str, camera: str, separate: bool) -> str:
    """Keeps the latency of every answer. Returns the topic on which its clouds are awaited."""

    def arrive(msg: Any) -> None:
        stamp = (msg if isinstance(msg, Header) else msg.header).stamp
        now = player.get_clock().now().nanoseconds / 1e9
        heard.latencies[camera].append(now - stamp_seconds(stamp))

    def keep(msg: Timings) -> None:
        for stage, milliseconds in zip(msg.stages, msg.milliseconds, strict=True):
            heard.stages[stage].append(milliseconds)

    if kind in ECHOES:
        player.create_subscription(ECHOES[kind], "echo", arrive, 1)
        return "points"
    prefix = f"{camera}/segment" if separate else f"segment/{camera}".rstrip("/")
    player.create_subscription(OUTPUTS[kind], f"{prefix}/{kind}", arrive, 1)
    player.create_subscription(Timings, f"{prefix}/timings", keep, 10)
    return f"{camera}/points".lstrip("/")


def _wait(
    player: Node,
    processes: Sequence[subprocess.Popen],
    heard: Heard,
    publishers: list[Any],
    points: np.ndarray,
) -> None:
    """Wait until the first answer to each camera has come."""
    limit = time.monotonic() + START_TIMEOUT
    while len(heard.latencies) < len(publishers):
        if any(process.poll() is not None for process in processes) or time.monotonic() > limit:
            raise RuntimeError("nothing answered; the lines above may say why")
        if all(publisher.get_subscription_count() for publisher in publishers):
            _play(player, publishers, points, rate=2.0, seconds=0.5)
        rclpy.spin_once(player, timeout_sec=0.1)


def _play(player: Node, publishers: list[Any], points: np.ndarray, rate: float, seconds: float) -> None:
    """Publish to all cameras, one after the other within a period, and take in what comes back."""
    period = 1 / rate / len(publishers)
    due = time.monotonic()
    for number in range(round(seconds / period)):
        header = Header(frame_id="camera_color_optical_frame", stamp=player.get_clock().now().to_msg())
        publishers[number % len(publishers)].publish(write_points(header, points))
        due += period
        while (left := due - time.monotonic()) > 0:
            rclpy.spin_once(player, timeout_sec=left)


def _echo(kind: str) -> None:
    """Answer with what rclpy alone takes for these clouds: take one in, and give it out, or its header."""
    echo = rclpy.create_node("echo")
    publisher = echo.create_publisher(ECHOES[kind], "echo", 1)
    whole = ECHOES[kind] is PointCloud2

    def answer(msg: PointCloud2) -> None:
        publisher.publish(msg if whole else msg.header)

    echo.create_subscription(PointCloud2, "points", answer, 1)
    with suppress(KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        rclpy.spin(echo)


if __name__ == "__main__":
    main()
