# SPDX-License-Identifier: Apache-2.0
"""Rate, latency, processor time and memory of the node for each output, beside a bare rclpy echo.

python -m benchmarks.rates                         10 and 30 Hz, 640 x 480 points, every row of the table
python -m benchmarks.rates --rates 10 --seconds 5  less of it
python -m benchmarks.rates --cameras 2             one node for two cameras

Clouds and answers go over Fast DDS with config/fastdds.xml between two processes: the node, or the echo,
and this one.
"""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.node import Node
from sensor_msgs.msg import Image, PointCloud2
from sphmask_ros.msg import InstanceArray, Timings
from std_msgs.msg import Header

from benchmarks.transport import FAST_DDS_2, PROFILE, VARIABLES
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
OWN = ("read", "track", "write")
"""Stages that are the node's own, beside the model."""
START_TIMEOUT = 120.0
"""Seconds for loading the model."""
WARM_UP = 2.0
"""Seconds before counting begins."""
STOP_TIMEOUT = 10.0
CAMERAS = ("front", "rear", "left", "right")


@dataclass
class Heard:
    """What came back while it counted."""

    latencies: list[float] = field(default_factory=list)
    """Seconds from a cloud's stamp to the arrival of its answer."""
    stages: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Milliseconds."""

    def model(self) -> float:
        """Milliseconds of the model, by the medians of its stages."""
        return sum(float(np.median(times)) for name, times in self.stages.items() if name not in OWN)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    rate: float
    name: str
    answers: float
    latency: float
    """Median, milliseconds."""
    late: float
    """Of nine in ten answers, the longest latency, milliseconds."""
    processor: float
    """Percent of one core."""
    memory: float
    """Resident, MB."""
    model: float
    """Milliseconds."""


def main() -> None:
    """Measure every row in a process of its own, and print the table."""
    arguments = _arguments()
    _environment()
    rclpy.init()
    if arguments.role:
        _echo(arguments.role)
        return
    points = cloud_points(simulate_cloud(1, arguments.width, arguments.width * 3 // 4))
    names = [*([] if arguments.cameras > 1 else ECHOES), *arguments.outputs]
    print(f"clouds of {points.size} points, {points.nbytes / 1e6:.1f} MB; {os.cpu_count()} cores,", end=" ")
    print(f"load {os.getloadavg()[0]:.1f} before the first cloud; {arguments.seconds:g} s a row")
    print("| Hz | answer | answers a second | latency, median / 9 in 10 | beyond model and floor | ", end="")
    print("processor, one core is 100 % | memory |\n| --- | --- | --- | --- | --- | --- | --- |")
    for rate in arguments.rates:
        rows: dict[str, Row] = {}
        for name in names:
            rows[name] = _measure(arguments, rate, name, points)
            print(_line(rows[name], rows.get(FLOORS.get(name, ""))), flush=True)
    rclpy.try_shutdown()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rates", type=float, nargs="+", default=[10.0, 30.0], help="clouds a second")
    parser.add_argument("--outputs", nargs="+", choices=OUTPUTS, default=list(OUTPUTS))
    parser.add_argument("--seconds", type=float, default=20.0, help="that are counted, for each row")
    parser.add_argument("--width", type=int, default=640, help="of the simulated image")
    parser.add_argument("--cameras", type=int, default=1, choices=range(1, len(CAMERAS) + 1))
    parser.add_argument("--model", default="tabletop")
    parser.add_argument("--role", choices=ECHOES, help=argparse.SUPPRESS)
    return parser.parse_args()


def _environment() -> None:
    """This process and those that it starts: on this computer alone, with the profile."""
    os.environ["ROS_AUTOMATIC_DISCOVERY_RANGE"] = "LOCALHOST"
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    old = os.environ.get("ROS_DISTRO", "") in FAST_DDS_2
    os.environ.setdefault(VARIABLES[old], str(PROFILE))


def _measure(arguments: argparse.Namespace, rate: float, name: str, points: np.ndarray) -> Row:
    """Play clouds to a fresh process at that rate; RuntimeError if nothing answers."""
    cameras = CAMERAS[: arguments.cameras] if arguments.cameras > 1 else ("",)
    with _answering(arguments.model, name, cameras) as process:
        node = rclpy.create_node("camera")
        heard = Heard()
        topics = [_listen(node, heard, name, camera) for camera in cameras]
        publishers = [node.create_publisher(PointCloud2, topic, 1) for topic in topics]
        _wait(node, process, heard, publishers, points)
        _play(node, publishers, points, rate, WARM_UP)
        heard.latencies.clear()
        heard.stages.clear()
        used, begun = _processor_seconds(process), time.monotonic()
        _play(node, publishers, points, rate, arguments.seconds)
        seconds = time.monotonic() - begun
        share = 100 * (_processor_seconds(process) - used) / seconds
        memory = _memory(process)
        node.destroy_node()
    times = np.array(heard.latencies or [np.nan]) * 1e3
    middle, late = np.percentile(times, [50, 90])
    return Row(rate, name, len(heard.latencies) / seconds, middle, late, share, memory, heard.model())


def _line(row: Row, floor: Row | None) -> str:
    beyond = f"{row.latency - row.model - floor.latency:.0f} ms" if floor else ""
    return (
        f"| {row.rate:g} | {row.name} | {row.answers:.1f} | {row.latency:.0f} / {row.late:.0f} ms | {beyond} "
        f"| {row.processor:.0f} % | {row.memory:.0f} MB |"
    )


@contextmanager
def _answering(model: str, name: str, cameras: tuple[str, ...]) -> Iterator[subprocess.Popen]:
    """The node, or an echo, in a process of its own."""
    if name in ECHOES:
        command = [sys.executable, "-m", "benchmarks.rates", "--role", name]
    else:
        command = [sys.executable, "-m", "sphmask_ros", "--ros-args", "-p", f"model:={model}"]
        command += ["--log-level", "segment:=error"]
        command += ["-p", f"cameras:=[{','.join(cameras)}]"] if cameras != ("",) else []
    process = subprocess.Popen(command)
    try:
        yield process
    finally:
        process.send_signal(signal.SIGINT)
        try:
            process.wait(STOP_TIMEOUT)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def _listen(node: Node, heard: Heard, name: str, camera: str) -> str:
    """Keep the latency of every answer; returns the topic on which its clouds are awaited."""

    def arrive(msg: Any) -> None:
        stamp = (msg if isinstance(msg, Header) else msg.header).stamp
        heard.latencies.append(node.get_clock().now().nanoseconds / 1e9 - stamp_seconds(stamp))

    def keep(msg: Timings) -> None:
        for stage, milliseconds in zip(msg.stages, msg.milliseconds, strict=True):
            heard.stages[stage].append(milliseconds)

    if name in ECHOES:
        node.create_subscription(ECHOES[name], "echo", arrive, 1)
        return "points"
    prefix = f"{camera}/" if camera else ""
    node.create_subscription(OUTPUTS[name], f"segment/{prefix}{name}", arrive, 1)
    node.create_subscription(Timings, f"segment/{prefix}timings", keep, 10)
    return f"{prefix}points"


def _wait(
    node: Node, process: subprocess.Popen, heard: Heard, publishers: list[Any], points: np.ndarray
) -> None:
    """Until the first answer has come."""
    limit = time.monotonic() + START_TIMEOUT
    while not heard.latencies:
        if process.poll() is not None or time.monotonic() > limit:
            raise RuntimeError("nothing answered; the lines above may say why")
        if all(publisher.get_subscription_count() for publisher in publishers):
            _play(node, publishers, points, rate=2.0, seconds=0.5)
        rclpy.spin_once(node, timeout_sec=0.1)


def _play(node: Node, publishers: list[Any], points: np.ndarray, rate: float, seconds: float) -> None:
    """Publish to all cameras, one after the other within a period, and take in what comes back."""
    period = 1 / rate / len(publishers)
    due = time.monotonic()
    for number in range(round(seconds / period)):
        header = Header(frame_id="camera_color_optical_frame", stamp=node.get_clock().now().to_msg())
        publishers[number % len(publishers)].publish(write_points(header, points))
        due += period
        while (left := due - time.monotonic()) > 0:
            rclpy.spin_once(node, timeout_sec=left)


def _echo(kind: str) -> None:
    """What rclpy alone takes for these clouds: take one in, and give it out, or its header."""
    node = rclpy.create_node("echo")
    publisher = node.create_publisher(ECHOES[kind], "echo", 1)
    whole = ECHOES[kind] is PointCloud2

    def answer(msg: PointCloud2) -> None:
        publisher.publish(msg if whole else msg.header)

    node.create_subscription(PointCloud2, "points", answer, 1)
    with suppress(KeyboardInterrupt, rclpy.executors.ExternalShutdownException):
        rclpy.spin(node)


def _processor_seconds(process: subprocess.Popen) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def _memory(process: subprocess.Popen) -> float:
    """Resident memory, MB."""
    pages = Path(f"/proc/{process.pid}/statm").read_text().split()[1]
    return int(pages) * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    main()
