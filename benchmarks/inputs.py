# SPDX-License-Identifier: Apache-2.0
"""The node with clouds and with RGB-D images of the same scene: bytes, latency, rate, processor time.

python -m benchmarks.inputs [--frames 30] [--seconds 10] [--rate 30] [--width 640] [--model tabletop]

The time is from publishing to the arrival of the label image, to which alone somebody listens.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from rclpy.node import Node
from rclpy.publisher import Publisher
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header

from benchmarks.transport import PROFILE, VARIABLE
from sphmask_core.clouds.cloud import Cloud
from sphmask_core.messages.pointcloud2 import cloud_points
from sphmask_core.simulation.camera import FOCAL
from sphmask_core.simulation.scenes import simulate_cloud
from sphmask_ros.conversions import make, write_points
from sphmask_ros.demo import FRAME_TIMEOUT, START_TIMEOUT, start_node, stop_node

FRAME_ID = "camera_color_optical_frame"
FIRST = 3
"""Frames at the beginning that are not counted."""


class Sensor(Node):
    """Publishes a scene as a cloud or as images, and hears the label images."""

    def __init__(self, kind: str, cloud: Cloud) -> None:
        super().__init__("sensor")
        self._messages = {"points": _cloud(cloud)} if kind == "cloud" else _images(cloud)
        kinds: dict[str, type] = {
            "points": PointCloud2,
            "depth": Image,
            "color": Image,
            "camera_info": CameraInfo,
        }
        self._senders: dict[str, Publisher] = {
            name: self.create_publisher(kinds[name], name, 1) for name in self._messages
        }
        self.arrivals: dict[int, float] = {}
        """When the answer to each stamp came, seconds."""
        self.create_subscription(Image, "segment/label_image", self._keep, 10)

    @property
    def size(self) -> int:
        """Returns the bytes of a frame."""
        return sum(len(getattr(message, "data", b"")) for message in self._messages.values())

    def connected(self) -> bool:
        """Returns whether the node hears and is heard."""
        heard = all(publisher.get_subscription_count() for publisher in self._senders.values())
        return heard and self.count_publishers("segment/label_image") > 0

    def send(self) -> int:
        """Publishes a frame. Returns its stamp, nanoseconds."""
        now = self.get_clock().now()
        for name in ("camera_info", "color", "depth", "points"):
            if name in self._messages:
                message = self._messages[name]
                message.header = Header(frame_id=FRAME_ID, stamp=now.to_msg())
                self._senders[name].publish(message)
        return int(now.nanoseconds)

    def _keep(self, msg: Image) -> None:
        stamp = msg.header.stamp
        self.arrivals[stamp.sec * 10**9 + stamp.nanosec] = time.perf_counter()


def _cloud(cloud: Cloud) -> PointCloud2:
    return write_points(Header(), cloud_points(cloud))


def _images(cloud: Cloud) -> dict[str, Any]:
    """Returns depth in millimeters, colors, and the camera of the simulator."""
    height, width = cloud.shape
    depth = np.nan_to_num(cloud.xyz[:, 2] * 1000).round().astype("<u2").view(np.uint8)
    assert cloud.rgb is not None
    info = CameraInfo(height=height, width=width)
    info.k = [FOCAL * width, 0.0, (width - 1) / 2, 0.0, FOCAL * width, (height - 1) / 2, 0.0, 0.0, 1.0]
    images = {"depth": ("16UC1", 2, depth), "color": ("rgb8", 3, cloud.rgb.reshape(-1))}
    return {"camera_info": info} | {
        name: make(
            "sensor_msgs/Image", height=height, width=width, encoding=encoding, step=step * width, data=data
        )
        for name, (encoding, step, data) in images.items()
    }


def main() -> None:
    """Measure both inputs, one after the other."""
    arguments = _arguments()
    os.environ[VARIABLE] = str(PROFILE)
    cloud = simulate_cloud(1, arguments.width, arguments.width * 3 // 4)
    print("| input | MB a frame | latency, ms | longest | answers a second | CPU ms an answer |")
    print("| --- | --- | --- | --- | --- | --- |")
    for kind in ("cloud", "rgbd"):
        node = start_node(arguments.model, input=kind)
        rclpy.init()
        sensor = Sensor(kind, cloud)
        _wait(sensor, sensor.connected, START_TIMEOUT)
        latencies = [_ask(sensor) for _ in range(FIRST + arguments.frames)][FIRST:]
        rate, cpu = _stream(sensor, node, arguments.seconds, arguments.rate)
        values = [f"{np.median(latencies):.1f}", f"{max(latencies):.1f}", f"{rate:.1f}", f"{cpu:.1f}"]
        print(f"| {kind} | {sensor.size / 1e6:.2f} | {' | '.join(values)} |", flush=True)
        stop_node(node)
        rclpy.try_shutdown()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--frames", type=int, default=30, help="one after the other, for the latency")
    parser.add_argument("--seconds", type=float, default=10.0, help="of frames at a rate")
    parser.add_argument("--rate", type=float, default=30.0, help="of these, per second")
    parser.add_argument("--width", type=int, default=640, help="of the simulated image")
    parser.add_argument("--model", default="tabletop")
    return parser.parse_args()


def _wait(sensor: Sensor, done: Callable[[], bool], timeout: float) -> None:
    limit = time.monotonic() + timeout
    while not done():
        if time.monotonic() > limit:
            raise TimeoutError(f"nothing within {timeout:.0f} s")
        rclpy.spin_once(sensor, timeout_sec=0.01)


def _ask(sensor: Sensor) -> float:
    """Returns the milliseconds from publishing a frame to its label image; one that is lost is sent again."""
    while True:
        begun = time.perf_counter()
        stamp = sensor.send()
        try:
            _wait(sensor, lambda: stamp in sensor.arrivals, 5.0)  # noqa: B023 - called at once
        except TimeoutError:
            if time.perf_counter() - begun > FRAME_TIMEOUT:
                raise
            continue
        return (sensor.arrivals[stamp] - begun) * 1e3


def _stream(sensor: Sensor, node: subprocess.Popen, seconds: float, rate: float) -> tuple[float, float]:
    """Returns the answers a second, and the milliseconds of the node's processor time for each."""
    sensor.arrivals.clear()
    begun, before = time.monotonic(), _cpu_seconds(node)
    sent = 0
    while (now := time.monotonic() - begun) < seconds:
        if now * rate >= sent:
            sensor.send()
            sent += 1
        rclpy.spin_once(sensor, timeout_sec=0.001)
    answers = len(sensor.arrivals)
    return answers / seconds, (_cpu_seconds(node) - before) * 1e3 / max(answers, 1)


def _cpu_seconds(node: subprocess.Popen) -> float:
    """Returns the processor time of a process, its own and the kernel's."""
    fields = Path(f"/proc/{node.pid}/stat").read_text().rsplit(")", 1)[1].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


if __name__ == "__main__":
    main()
