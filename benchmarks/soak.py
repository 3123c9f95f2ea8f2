# SPDX-License-Identifier: Apache-2.0
"""The node under all that a robot may do to it for hours, with faults; what became of clouds and memory.

python -m benchmarks.soak [--minutes 60] [--seed 0]

A node with two cameras runs in a process of its own, where the model now and then raises, runs out of memory
or loads from a slow disk. Publishers die, subscribers come and go, parameters, models and transitions change
at random. At the end the node has to answer a cloud, and to end as it should.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import rclpy
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.msg import Parameter, ParameterValue
from rcl_interfaces.srv import SetParameters
from rclpy.logging import LoggingSeverity
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import PointCloud2
from sphmask_ros.msg import InstanceArray, Timings
from sphmask_ros.srv import GetInstanceCloud, LoadModel
from std_msgs.msg import Header
from std_srvs.srv import SetBool
from visualization_msgs.msg import MarkerArray

from benchmarks.faults import faulty_node
from sphmask_core.messages.pointcloud2 import cloud_points
from sphmask_core.simulation.scenes import simulate_cloud
from sphmask_ros.conversions import write_points

CAMERAS = ("left", "right")
RATE = 10.0
"""Clouds a second of each camera."""
EVENTS = 4.0
"""Random events a second."""
PATIENCE = 60.0
"""Seconds for an answer of the node, on a machine that does other things."""
ACQUAINTANCE = 1.0
"""Seconds in which a new client becomes known to the node."""
SETTLING = 15.0
"""Seconds after which the first figures are taken."""
COUNTS = ("received", "answered", "dropped", "late", "called off", "unreadable", "failed")
OUTPUTS = {
    "labelled_points": PointCloud2,
    "labels": PointCloud2,
    "markers": MarkerArray,
    "instances": InstanceArray,
    "timings": Timings,
}
DOUBLE, STRING = 3, 4
"""Types of a ParameterValue."""
VALUES: dict[str, Sequence[float | str]] = {
    "min_score": [0.0, 0.5, -1.0, 7.0],
    "max_latency": [0.0, 0.0, 0.3, 5.0],
    "track_memory": [0.0, 10.0],
    "pose_timeout": [0.0, 0.1],
    "reliability": ["auto", "best_effort", "reliable", "no"],
    "up": ["auto", "z", "sideways"],
}
"""Values that parameters are set to; some are refused."""


class Robot(Node):
    """Cameras and users of the node, and who manages it."""

    def __init__(self, seed: int, process: subprocess.Popen) -> None:
        super().__init__("robot")
        self.get_logger().set_level(LoggingSeverity.ERROR)  # best-effort publishers are meant to mismatch
        self.counts: Counter[str] = Counter()
        self.waits: list[tuple[float, str]] = []
        """How long services took, seconds, and which; without those that run or load a model."""
        self._random = random.Random(seed)
        self._process = process
        self._seen: dict[str, Counter[str]] = {}
        self._clouds = [cloud_points(simulate_cloud(i, 160, 120)) for i in range(4)]
        self._cameras = {name: self._camera(name) for name in CAMERAS}
        self._subscriptions_by_topic: dict[str, Any] = {}
        self._clients_by_service: dict[str, Any] = {}
        self.create_subscription(DiagnosticArray, "/diagnostics", self._count, 10)
        self.create_timer(1 / RATE, self._publish)
        self._events: list[Callable[[], None]] = [
            self._replace_publisher, self._subscribe, self._subscribe, self._subscribe, self._set_parameter,
            self._set_parameter, self._load_model, self._enable, self._restart, self._wrong_transition,
            self._send_garbage, self._ask_for_points,
        ]  # fmt: skip

    def step(self) -> None:
        """Do one random event."""
        event = self._random.choice(self._events)
        self.counts[f"event {event.__name__.strip('_').replace('_', ' ')}"] += 1
        event()

    def ask(self, kind: Any, service: str, **fields: Any) -> Any:
        """Returns the node's response."""
        client = self._clients_by_service.get(service) or self._client(kind, service)
        begun = time.monotonic()
        asked = client.call_async(kind.Request(**fields))
        rclpy.spin_until_future_complete(self, asked, timeout_sec=PATIENCE)
        if not asked.done() or self._process.poll() is not None:
            raise TimeoutError(f"{service} was not answered within {PATIENCE:.0f} s")
        if kind not in (ChangeState, LoadModel):  # those run or load a model
            self.waits.append((time.monotonic() - begun, service))
        return asked.result()

    def transition(self, name: str) -> bool:
        """Returns whether a transition succeeded."""
        number = getattr(Transition, f"TRANSITION_{name.upper()}")
        return bool(self.ask(ChangeState, "change_state", transition=Transition(id=number)).success)

    def state(self) -> str:
        """Returns the state of the node's lifecycle."""
        return str(self.ask(GetState, "get_state").current_state.label)

    def recover(self) -> None:
        """Bring the node to where it answers all clouds, whatever it was left in."""
        for name, value in (
            ("min_score", 0.0),
            ("max_latency", 0.0),
            ("reliability", "auto"),
            ("up", "auto"),
        ):
            self._set(name, value)
        for _ in range(20):
            state = self.state()
            if state == "active":
                break
            self.transition({"unconfigured": "configure", "inactive": "activate"}[state])
        self.ask(SetBool, "enable", data=True)

    def wait_for_answer(self) -> float:
        """Returns the seconds until each camera has an answer."""
        heard: set[str] = set()
        for camera in CAMERAS:
            topic = f"segment/{camera}/instances"
            self._unsubscribe(topic)
            self._subscriptions_by_topic[topic] = self.create_subscription(
                InstanceArray, topic, lambda _, camera=camera: heard.add(camera), 1
            )
        begun = time.monotonic()
        while len(heard) < len(CAMERAS):
            if time.monotonic() - begun > PATIENCE:
                raise TimeoutError(f"no answer to {set(CAMERAS) - heard}")
            rclpy.spin_once(self, timeout_sec=0.1)
        return time.monotonic() - begun

    def _client(self, kind: type, service: str) -> Any:
        """Returns a client that both sides know: an answer to a new one may be lost, and is sent again 3 s
        later."""
        client = self._clients_by_service[service] = self.create_client(kind, f"segment/{service}")
        if not client.wait_for_service(PATIENCE):
            raise TimeoutError(f"no service {service}")
        known = time.monotonic() + ACQUAINTANCE
        while time.monotonic() < known:
            rclpy.spin_once(self, timeout_sec=known - time.monotonic())
        return client

    def _camera(self, name: str) -> Any:
        reliability = self._random.choice([ReliabilityPolicy.RELIABLE, ReliabilityPolicy.BEST_EFFORT])
        return self.create_publisher(
            PointCloud2, f"{name}/points", QoSProfile(depth=1, reliability=reliability)
        )

    def _publish(self) -> None:
        now = self.get_clock().now().to_msg()
        for publisher in self._cameras.values():
            header = Header(frame_id="tilted_camera", stamp=now)
            publisher.publish(write_points(header, self._random.choice(self._clouds)))

    def _replace_publisher(self) -> None:
        name = self._random.choice(CAMERAS)
        self.destroy_publisher(self._cameras[name])
        self._cameras[name] = self._camera(name)

    def _subscribe(self) -> None:
        """Let somebody come to an output, or go."""
        name = self._random.choice(list(OUTPUTS))
        topic = f"segment/{self._random.choice(CAMERAS)}/{name}"
        if not self._unsubscribe(topic):
            self._subscriptions_by_topic[topic] = self.create_subscription(
                OUTPUTS[name], topic, lambda _: None, 1
            )

    def _unsubscribe(self, topic: str) -> bool:
        subscription = self._subscriptions_by_topic.pop(topic, None)
        return subscription is not None and self.destroy_subscription(subscription)

    def _set_parameter(self) -> None:
        name = self._random.choice(list(VALUES))
        self._set(name, self._random.choice(VALUES[name]))

    def _set(self, name: str, value: Any) -> None:
        typed = (
            ParameterValue(type=STRING, string_value=value)
            if isinstance(value, str)
            else ParameterValue(type=DOUBLE, double_value=value)
        )
        self.ask(SetParameters, "set_parameters", parameters=[Parameter(name=name, value=typed)])

    def _load_model(self) -> None:
        model = self._random.choice(["tabletop", "tabletop", "no-such-model"])
        self.counts["model changed"] += self.ask(LoadModel, "load_model", model=model).success

    def _enable(self) -> None:
        self.ask(SetBool, "enable", data=self._random.random() < 0.7)

    def _restart(self) -> None:
        """Deactivate, sometimes clean up, and all the way back; the model may raise on the way."""
        names = ["deactivate", "cleanup", "configure", "activate"]
        for name in names if self._random.random() < 0.3 else ["deactivate", "activate"]:
            self.counts["transitions"] += self.transition(name)
        for _ in range(5):
            if (state := self.state()) in ("active", "finalized"):
                return
            self.transition({"unconfigured": "configure", "inactive": "activate"}[state])

    def _wrong_transition(self) -> None:
        self.counts["wrong transitions refused"] += not self.transition(
            self._random.choice(["configure", "activate", "cleanup"])
        )

    def _send_garbage(self) -> None:
        """Send a cloud whose bytes are not those that it announces."""
        rubbish = PointCloud2(height=3, width=1000, point_step=7, row_step=1, data=self._random.randbytes(99))
        rubbish.header = Header(frame_id="tilted_camera", stamp=Time(sec=1))
        self._cameras[self._random.choice(CAMERAS)].publish(rubbish)

    def _ask_for_points(self) -> None:
        self.ask(GetInstanceCloud, f"{self._random.choice(CAMERAS)}/get_instance_cloud", id=1)

    def _count(self, msg: DiagnosticArray) -> None:
        """Add what was counted since the last diagnostics; counts begin anew when the node is configured."""
        for status in msg.status:
            values = {pair.key: pair.value for pair in status.values}
            now = Counter({name: int(values[f"clouds {name}"]) for name in COUNTS})
            now["out of memory"] = int(values["out of memory"])
            before = self._seen.get(status.name, Counter())
            anew = any(now[name] < before[name] for name in now)
            self.counts.update(now if anew else now - before)
            self._seen[status.name] = now


def main() -> int:
    """Soaks a node and prints the table. Returns the exit status: 1 where the node ended otherwise than it
    should."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=60)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--role", choices=("node",), help=argparse.SUPPRESS)
    options, others = parser.parse_known_args()
    if options.role:
        return faulty_node(options.seed)
    if others:
        parser.error(f"unrecognized arguments: {' '.join(others)}")
    process = _start(options.seed)
    rclpy.init()
    robot = Robot(options.seed, process)
    try:
        figures = _soak(robot, process, options.minutes)
    finally:
        process.send_signal(signal.SIGINT)
        code = process.wait(PATIENCE)
    _print(robot, figures, code)
    rclpy.try_shutdown()
    return int(code != 0)


def _start(seed: int) -> subprocess.Popen:
    os.environ.setdefault("ROS_AUTOMATIC_DISCOVERY_RANGE", "LOCALHOST")
    os.environ.setdefault("ROS_DOMAIN_ID", str(1 + os.getpid() % 100))
    command = [sys.executable, "-m", "benchmarks.soak", "--role", "node", "--seed", str(seed), "--ros-args"]
    return subprocess.Popen([*command, "-p", f"cameras:=[{','.join(CAMERAS)}]", "--log-level", "fatal"])


def _soak(robot: Robot, process: subprocess.Popen, minutes: float) -> list[dict[str, float]]:
    """Returns figures of the process at the start, in the middle and at the end, each while it answers."""
    robot.recover()
    robot.wait_for_answer()
    begun = time.monotonic()
    while time.monotonic() - begun < SETTLING:
        rclpy.spin_once(robot, timeout_sec=0.1)
    figures = [_figures(process)]
    for end in (begun + 30 * minutes, begun + 60 * minutes):
        while time.monotonic() < end:
            robot.step()
            due = time.monotonic() + 1 / EVENTS
            while time.monotonic() < due:
                rclpy.spin_once(robot, timeout_sec=due - time.monotonic())
        robot.recover()
        robot.wait_for_answer()
        figures.append(_figures(process))
    return figures


def _figures(process: subprocess.Popen) -> dict[str, float]:
    proc = Path(f"/proc/{process.pid}")
    fields = dict(line.split(":", 1) for line in (proc / "status").read_text().splitlines())
    return {
        "memory, MB": int(fields["VmRSS"].split()[0]) / 1024,
        "threads": int(fields["Threads"]),
        "descriptors": len(list((proc / "fd").iterdir())),
    }


def _print(robot: Robot, figures: list[dict[str, float]], code: int) -> None:
    for name, count in sorted(robot.counts.items()):
        print(f"{name:<32} {count:8d}")
    waits = sorted(robot.waits)
    for share in (0.5, 0.99, 1.0):
        seconds, service = waits[int(share * (len(waits) - 1))]
        print(f"{f'wait for a service, {share:.0%}, ms':<32} {seconds * 1e3:8.0f}   ({service})")
    for name in figures[0]:
        values = " ".join(f"{figure[name]:8.0f}" for figure in figures)
        print(f"{name:<32} {values}   at the start, in the middle, at the end")
    print(f"exit code {code}")


if __name__ == "__main__":
    sys.exit(main())
