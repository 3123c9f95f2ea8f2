# SPDX-License-Identifier: Apache-2.0
"""How many clouds arrive from process to process over Fast DDS, with and without the profile that we ship.

python -m benchmarks.transport [--clouds 80] [--rate 10] [--points 307200]
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import rclpy
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from sphmask_ros.conversions import write_points
from sphmask_ros.transport import PROFILE_NAME, VARIABLE, VARIABLES

PROFILE = Path(__file__).parents[1] / "config" / PROFILE_NAME
PATIENCE = 3.0
"""Seconds after the last cloud in which one may still arrive."""


def main() -> None:
    """Measure every combination, each in two fresh processes."""
    arguments = _arguments()
    if arguments.role:
        rclpy.init()
        {"publish": _publish, "hear": _hear}[arguments.role](arguments)
        rclpy.try_shutdown()
        return
    size = arguments.points * 16 / 1e6
    print(f"{arguments.clouds} clouds of {size:.1f} MB at {arguments.rate:g} Hz between two processes")
    for reliability in ("reliable", "best_effort"):
        for name, profile in (("Fast DDS as it comes", None), (f"with config/{PROFILE.name}", PROFILE)):
            print(f"{reliability:<12} {name:<24} {_measure(arguments, reliability, profile)}", flush=True)


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--clouds", type=int, default=80)
    parser.add_argument("--rate", type=float, default=10.0, help="clouds a second")
    parser.add_argument("--points", type=int, default=640 * 480)
    parser.add_argument("--role", choices=("publish", "hear"), help=argparse.SUPPRESS)
    parser.add_argument("--reliability", default="reliable", help=argparse.SUPPRESS)
    return parser.parse_args()


def _measure(arguments: argparse.Namespace, reliability: str, profile: Path | None) -> str:
    environment = {name: value for name, value in os.environ.items() if name not in VARIABLES}
    environment |= {VARIABLE: str(profile)} if profile else {}
    environment |= {
        "ROS_DOMAIN_ID": str(1 + os.getpid() % 100),
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
    }
    command = [sys.executable, "-m", "benchmarks.transport", "--reliability", reliability]
    for name in ("clouds", "rate", "points"):
        command += [f"--{name}", str(getattr(arguments, name))]
    hearer = subprocess.Popen(
        [*command, "--role", "hear"], env=environment, stdout=subprocess.PIPE, text=True
    )
    publisher = subprocess.Popen([*command, "--role", "publish"], env=environment)
    text, _ = hearer.communicate()
    publisher.wait()
    return text.strip()


def _qos(arguments: argparse.Namespace) -> QoSProfile:
    return QoSProfile(depth=1, reliability=ReliabilityPolicy[arguments.reliability.upper()])


def _publish(arguments: argparse.Namespace) -> None:
    node = rclpy.create_node("camera")
    publisher = node.create_publisher(PointCloud2, "points", _qos(arguments))
    points = np.zeros((1, arguments.points), [("x", "<f4"), ("y", "<f4"), ("z", "<f4"), ("rgb", "<f4")])
    while not publisher.get_subscription_count():
        time.sleep(0.1)
    time.sleep(1.0)
    due = time.monotonic()
    for _ in range(arguments.clouds):
        header = Header(stamp=node.get_clock().now().to_msg())
        publisher.publish(write_points(header, points))
        due += 1 / arguments.rate
        time.sleep(max(due - time.monotonic(), 0))
    time.sleep(PATIENCE)


def _hear(arguments: argparse.Namespace) -> None:
    node = rclpy.create_node("hearer")
    latencies: list[float] = []

    def hear(msg: PointCloud2) -> None:
        stamp = msg.header.stamp.sec + msg.header.stamp.nanosec / 1e9
        latencies.append(node.get_clock().now().nanoseconds / 1e9 - stamp)

    node.create_subscription(PointCloud2, "points", hear, _qos(arguments))
    while not node.count_publishers("points"):
        rclpy.spin_once(node, timeout_sec=0.1)
    last = time.monotonic()
    limit = last + arguments.clouds / arguments.rate + 2 * PATIENCE
    while time.monotonic() < limit and len(latencies) < arguments.clouds:
        rclpy.spin_once(node, timeout_sec=0.1)
    median = f", median {np.median(latencies) * 1e3:.0f} ms" if latencies else ""
    print(f"{len(latencies)} of {arguments.clouds} arrive{median}")


if __name__ == "__main__":
    main()
