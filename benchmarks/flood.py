# SPDX-License-Identifier: Apache-2.0
"""How soon the node answers services while clouds come that are larger than it can take.

python -m benchmarks.flood [--points 1e7] [--rate 2] [--seconds 30]

Clouds are published by a process of their own, of one message that is serialized once; services are asked by
turns from another.
"""

from __future__ import annotations

import argparse
import gc
import os
import signal
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import rclpy
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import GetParameters, SetParameters
from rclpy.client import Client
from rclpy.node import Node
from rclpy.serialization import serialize_message
from rclpy.signals import SignalHandlerOptions
from sensor_msgs.msg import PointCloud2
from sphmask_ros.msg import InstanceArray
from sphmask_ros.srv import GetInstanceCloud, LoadModel
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from benchmarks.large_cloud import SPACING, table
from benchmarks.processes import memory, node, processor_seconds, running, set_environment
from sphmask_core.clouds.cloud import Cloud
from sphmask_core.messages.pointcloud2 import cloud_points
from sphmask_ros.conversions import write_points

PERIOD = 0.02
"""Seconds between requests."""
SETTLING = 1.0
"""Seconds in which clients become known to the node."""
PATIENCE = 120.0
"""Seconds for the node to start, and for an answer."""
SCORE = Parameter(name="min_score", value=ParameterValue(type=3, double_value=0.5))
OFF, ON = (
    Transition(id=number) for number in (Transition.TRANSITION_DEACTIVATE, Transition.TRANSITION_ACTIVATE)
)
REQUESTS: dict[str, tuple[str, type, Any]] = {
    "get_state": ("get_state", GetState, GetState.Request()),
    "get_parameters": ("get_parameters", GetParameters, GetParameters.Request(names=["min_score"])),
    "set_parameters": ("set_parameters", SetParameters, SetParameters.Request(parameters=[SCORE])),
    "get_instance_cloud": ("get_instance_cloud", GetInstanceCloud, GetInstanceCloud.Request(id=1)),
    "load_model, one that is none": ("load_model", LoadModel, LoadModel.Request(model="none")),
    "enable false": ("enable", SetBool, SetBool.Request(data=False)),
    "enable true": ("enable", SetBool, SetBool.Request(data=True)),
}
"""Service, type and request of what is asked by turns."""
SWITCHES: dict[str, tuple[str, type, Any]] = {
    "deactivate": ("change_state", ChangeState, ChangeState.Request(transition=OFF)),
    "activate": ("change_state", ChangeState, ChangeState.Request(transition=ON)),
    "load_model, tabletop": ("load_model", LoadModel, LoadModel.Request(model="tabletop")),
}
"""What is asked at the end, a few times, and another service meanwhile."""
REPETITIONS = 5


def main() -> None:
    """Flood a node and ask."""
    options = _arguments()
    set_environment()
    if options.publish:
        _publish(int(options.points), options.rate)
        return
    gc.freeze()  # whoever asks is not to wait for its own collector
    rclpy.init()
    _flood(User(), options)
    rclpy.try_shutdown()


def _flood(user: User, options: argparse.Namespace) -> None:
    """Print how long requests took, and what the node used meanwhile."""
    publisher = ["benchmarks.flood", "--publish", f"--points={options.points}", f"--rate={options.rate}"]
    with running(node(options.model)) as processes:
        user.wait_for(processes[0])
        with running(publisher) as others:
            user.wait_for_clouds(others[0])
            before = processor_seconds(processes)
            waits = user.ask_by_turns(REQUESTS, lambda asked, seconds: seconds < options.seconds)
            used = (processor_seconds(processes) - before) / options.seconds
            size = options.points * 16 / 1e6
            print(f"clouds of {size:.1f} MB at {options.rate:g} Hz; {user.received} received; ", end="")
            print(f"the node used {used:.2f} processors and {memory(processes):.0f} MB")
            _print(waits)
            _print(user.ask_meanwhile(SWITCHES, "get_state", REPETITIONS))


def _print(waits: dict[str, list[float]]) -> None:
    for name, values in waits.items():
        median, longest = np.median(values) * 1e3, max(values) * 1e3
        print(
            f"{name:<38} {len(values):4d} requests: median {median:5.0f} ms, longest {longest:5.0f}",
            flush=True,
        )


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=float, default=1e7, help="16 bytes each")
    parser.add_argument("--rate", type=float, default=2.0, help="clouds a second")
    parser.add_argument("--seconds", type=float, default=30.0)
    parser.add_argument("--model", default="tabletop")
    parser.add_argument("--publish", action="store_true", help=argparse.SUPPRESS)
    return parser.parse_args()


class User(Node):
    """Asks the node for everything that it answers."""

    def __init__(self) -> None:
        super().__init__("user")
        self.received = 0
        self._clients_by_service: dict[str, Client] = {}
        self.create_subscription(DiagnosticArray, "/diagnostics", self._count, 10)
        self.create_subscription(InstanceArray, "segment/instances", lambda _: None, 1)

    def wait_for(self, process: Any) -> None:
        """Wait until the node offers its services, and some more for both sides to know each other."""
        for service, kind, _ in (REQUESTS | SWITCHES).values():
            if service not in self._clients_by_service:
                self._clients_by_service[service] = self.create_client(kind, f"segment/{service}")
        for client in self._clients_by_service.values():
            if not client.wait_for_service(PATIENCE) or process.poll() is not None:
                raise TimeoutError(f"no service {client.srv_name}")
        self._spin(SETTLING)

    def wait_for_clouds(self, publisher: Any) -> None:
        """Wait until the node has received a cloud."""
        limit = time.monotonic() + PATIENCE
        while not self.received:
            if time.monotonic() > limit or publisher.poll() is not None:
                raise TimeoutError("no cloud arrives")
            self._spin(0.1)

    def ask_by_turns(
        self, requests: dict[str, tuple[str, type, Any]], more: Callable[[int, float], bool]
    ) -> dict[str, list[float]]:
        """Returns how long each request took, seconds; `more` is told how often they were asked and for how
        long."""
        waits: dict[str, list[float]] = {name: [] for name in requests}
        begun, asked = time.monotonic(), 0
        while more(asked, time.monotonic() - begun):
            for name, (service, _, request) in requests.items():
                waits[name].append(self._ask(service, request))
                self._spin(PERIOD)
            asked += 1
        return waits

    def ask_meanwhile(
        self, requests: dict[str, tuple[str, type, Any]], other: str, repetitions: int
    ) -> dict[str, list[float]]:
        """Returns how many seconds each request took, and the `other` one, sent until that was answered."""
        waits: dict[str, list[float]] = {}
        for name, (service, _, request) in list(requests.items()) * repetitions:
            begun = time.monotonic()
            asked = self._clients_by_service[service].call_async(request)
            while not asked.done():
                waits.setdefault(f"{other} during {name}", []).append(self._ask(other, REQUESTS[other][2]))
            waits.setdefault(name, []).append(time.monotonic() - begun)
            self._spin(PERIOD)
        return waits

    def _ask(self, service: str, request: Any) -> float:
        begun = time.monotonic()
        asked = self._clients_by_service[service].call_async(request)
        rclpy.spin_until_future_complete(self, asked, timeout_sec=PATIENCE)
        if not asked.done():
            raise TimeoutError(f"{service} was not answered within {PATIENCE:.0f} s")
        return time.monotonic() - begun

    def _spin(self, seconds: float) -> None:
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            rclpy.spin_once(self, timeout_sec=left)

    def _count(self, msg: DiagnosticArray) -> None:
        values = {pair.key: pair.value for status in msg.status for pair in status.values}
        self.received = int(values["clouds received"])


def _publish(points: int, rate: float) -> None:
    """Publish one cloud again and again, until the parent ends."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    publisher_node = rclpy.create_node("publisher")
    publisher = publisher_node.create_publisher(PointCloud2, "points", 1)
    message = serialize_message(write_points(Header(frame_id="map"), cloud_points(_row_of_tables(points))))
    parent, due = os.getppid(), time.monotonic()
    while os.getppid() == parent:
        publisher.publish(message)
        due = max(due + 1 / rate, time.monotonic())
        time.sleep(due - time.monotonic() if due > time.monotonic() else 0)


def _row_of_tables(points: int) -> Cloud:
    """Returns one simulated table again and again, side by side, which is made sooner than a hall."""
    xyz, rgb = table(0)
    shifts = np.arange(-(-points // len(xyz)), dtype=np.float32)[:, None, None] * (SPACING, 0, 0)
    xyz = (xyz + shifts.astype(np.float32)).reshape(-1, 3)[:points]
    return Cloud(xyz, np.resize(rgb, xyz.shape), None, (1, len(xyz)))


if __name__ == "__main__":
    main()
