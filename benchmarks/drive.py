# SPDX-License-Identifier: Apache-2.0
"""A drive: a LiDAR's sweeps and odometry, played in real time to a node with the model `street`.

python -m benchmarks.drive                       15 s at 5 m/s along a simulated street, 10 sweeps a second
python -m benchmarks.drive --rates 10 5          at several rates, one after the other
python -m benchmarks.drive --beams os32          another sensor
python -m benchmarks.drive --launched            the node was started by hand: ros2 launch sphmask_ros \\
    segment.launch.py model:=street points:=/lidar/points, with fixed_frame: odom in its params_file

Prints how many sweeps were answered and after what time; of the things that were found, the share that kept
their most common id, and how often an id changed. A thing is found where an instance covers it by IoU 0.25.
Sweeps are simulated before the node starts, and kept in out/ for the next time.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import rclpy
from nav_msgs.msg import Odometry
from rclpy.node import Node
from scipy.spatial.transform import Rotation
from sensor_msgs.msg import PointCloud2
from sphmask_ros.msg import InstanceArray, Timings
from std_msgs.msg import Header

from benchmarks.processes import node, processor_seconds, running, set_environment
from sphmask_core.clouds.cloud import Cloud
from sphmask_core.messages.pointcloud2 import cloud_points
from sphmask_core.runtime.units import stamp_nanoseconds
from sphmask_core.simulation.streets.drive import Drive, DriveSweep
from sphmask_core.simulation.streets.lidars import ROTATING, Beams, rotating
from sphmask_ros.conversions import write_points
from sphmask_ros.poses import stamp_of

POINTS, ODOMETRY, ANSWERS = "/lidar/points", "/odometry", "/segment/instances"
COLUMNS, NOISE, REACH = 1800, 0.02, 100.0
"""Directions of a turn of the sensor, meters of its noise, meters of its reach."""
MOST_RATE = 10.0
"""Sweeps a second that are simulated; other rates play some of them."""
ODOMETRY_RATE = 50.0
"""Messages a second."""
START_TIMEOUT, PATIENCE = 120.0, 3.0
"""Seconds for loading the model, and for the last answer."""
COVERED = 0.25
"""IoU of an instance with a thing that it is."""
FEWEST = 30
"""Points of a thing that is counted in a sweep: about what the model was asked to find in its training."""


@dataclass
class Answers:
    """What came back, by the number of the sweep."""

    latencies: dict[int, float] = field(default_factory=dict)
    """Seconds from the stamp to the arrival."""
    instances: dict[int, list[tuple[int, np.ndarray]]] = field(default_factory=dict)
    """Id and points of each instance."""
    stages: dict[str, list[float]] = field(default_factory=lambda: defaultdict(list))
    """Milliseconds."""


def main() -> None:
    """Run the command line: simulate a drive, play it at each rate, print what came back."""
    arguments = _arguments()
    set_environment()
    drive, sweeps = _simulated(arguments)
    things = {thing for sweep in sweeps for thing in np.unique(sweep.thing[sweep.thing >= 0])}
    moving = sum(drive.moves(int(thing)) for thing in things)
    points = np.mean([len(sweep.xyz) for sweep in sweeps])
    print(
        f"{arguments.beams}, {points:.0f} points a sweep; {arguments.seconds:g} s at {arguments.speed:g} m/s,"
    )
    print(f"past {len(things)} things of which {moving} move; {os.cpu_count()} cores")
    rclpy.init()
    for rate in arguments.rates:
        step = round(MOST_RATE / rate)
        modules = [] if arguments.launched else [_node(arguments)]
        with running(*modules) as processes:
            player = Player(drive)
            player.wait(sweeps[0])
            used = processor_seconds(processes)
            answers = player.play(sweeps[::step])
            used = processor_seconds(processes) - used
            player.destroy_node()
        print(f"\n{MOST_RATE / step:g} sweeps a second")
        _print_speed(answers, sweeps[::step], used)
        _print_ids(answers, sweeps[::step], drive)
    rclpy.try_shutdown()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--rates", type=float, nargs="+", default=[MOST_RATE], help="sweeps a second")
    parser.add_argument("--seconds", type=float, default=15.0)
    parser.add_argument("--speed", type=float, default=5.0, help="meters a second")
    parser.add_argument("--seed", type=int, default=0, help="of the street")
    parser.add_argument("--beams", choices=ROTATING, default="hdl64")
    parser.add_argument("--model", default="street")
    parser.add_argument("--set", nargs="+", default=[], metavar="NAME=VALUE", help="the node's parameters")
    parser.add_argument("--launched", action="store_true", help="play to a node that runs")
    return parser.parse_args()


def _node(arguments: argparse.Namespace) -> list[str]:
    others = dict(item.split("=", 1) for item in arguments.set)
    return [*node(arguments.model, fixed_frame="odom", **others), "-r", f"points:={POINTS}"]


def _simulated(arguments: argparse.Namespace) -> tuple[Drive, list[DriveSweep]]:
    """Returns the drive and its sweeps, from a file of an earlier run where there is one."""
    rng = np.random.default_rng(0)
    beams = Beams(*rotating(rng, ROTATING[arguments.beams], COLUMNS), NOISE, REACH)
    drive = Drive.along(arguments.seed, beams, arguments.speed, arguments.seconds)
    asked = f"{arguments.seed}_{arguments.beams}_{arguments.speed:g}_{arguments.seconds:g}"
    path = Path("out") / f"drive_{asked}.npz"
    if path.is_file():
        kept = np.load(path)
        bounds = kept["ends"][:-1]
        parts = zip(
            kept["seconds"], np.split(kept["xyz"], bounds), np.split(kept["thing"], bounds), strict=True
        )
        return drive, [DriveSweep(float(seconds), xyz, thing) for seconds, xyz, thing in parts]
    sweeps = list(drive.sweeps(MOST_RATE))
    path.parent.mkdir(exist_ok=True)
    np.savez(
        path,
        seconds=[sweep.seconds for sweep in sweeps],
        ends=np.cumsum([len(sweep.xyz) for sweep in sweeps]),
        xyz=np.concatenate([sweep.xyz for sweep in sweeps]),
        thing=np.concatenate([sweep.thing for sweep in sweeps]),
    )
    return drive, sweeps


class Player(Node):
    """Publishes sweeps and odometry as a vehicle does, and keeps the answers."""

    def __init__(self, drive: Drive) -> None:
        super().__init__("vehicle")
        self._drive = drive
        self._clouds = self.create_publisher(PointCloud2, POINTS, 1)
        self._odometry = self.create_publisher(Odometry, ODOMETRY, 100)
        self.create_subscription(InstanceArray, ANSWERS, self._keep, 10)
        self.create_subscription(Timings, "/segment/timings", self._time, 10)
        self._sent: dict[int, int] = {}
        """Number of the sweep of each stamp, nanoseconds."""
        self._answers = Answers()

    def wait(self, sweep: DriveSweep) -> None:
        """Wait until a first sweep is answered. Raises RuntimeError where none ever is."""
        limit, message = time.monotonic() + START_TIMEOUT, _message(sweep)
        while not self._answers.latencies:
            if time.monotonic() > limit:
                raise RuntimeError("nothing answered; the lines above may say why")
            now = self.get_clock().now().nanoseconds
            if self._clouds.get_subscription_count() and self._odometry.get_subscription_count():
                self._move(now - 10**9, 0.0)
                self._send(now - 10**9, -1, message)
            self._spin(time.monotonic() + 1.0)
        self._spin(time.monotonic() + 1.0)

    def play(self, sweeps: Sequence[DriveSweep]) -> Answers:
        """Plays the sweeps in real time. Returns what came back meanwhile and soon after."""
        self._answers = Answers()
        messages = [_message(sweep) for sweep in sweeps]
        begun, start = time.monotonic(), self.get_clock().now().nanoseconds
        self._move(start, 0.0)
        step, moved = 1 / ODOMETRY_RATE, 0.0
        for number, (sweep, message) in enumerate(zip(sweeps, messages, strict=True)):
            while moved < sweep.seconds:
                moved += step
                self._spin(begun + moved)
                self._move(start + round(moved * 1e9), moved)
            self._send(start + round(sweep.seconds * 1e9), number, message)
        end = time.monotonic() + PATIENCE
        while time.monotonic() < end:
            moved += step
            self._move(start + round(moved * 1e9), moved)
            self._spin(begun + moved)
        return self._answers

    def _spin(self, until: float) -> None:
        while (left := until - time.monotonic()) > 0:
            rclpy.spin_once(self, timeout_sec=left)

    def _send(self, stamp: int, number: int, message: PointCloud2) -> None:
        message.header = Header(frame_id="lidar", stamp=stamp_of(stamp))
        self._sent[stamp] = number
        self._clouds.publish(message)

    def _move(self, stamp: int, seconds: float) -> None:
        """Tell where the sensor is."""
        pose = self._drive.pose(seconds)
        odometry = Odometry(child_frame_id="lidar", header=Header(frame_id="odom", stamp=stamp_of(stamp)))
        body = odometry.pose.pose
        body.position.x, body.position.y, body.position.z = pose[:3, 3].tolist()
        turn = body.orientation
        turn.x, turn.y, turn.z, turn.w = Rotation.from_matrix(pose[:3, :3]).as_quat().tolist()
        self._odometry.publish(odometry)

    def _keep(self, msg: InstanceArray) -> None:
        stamp = stamp_nanoseconds(msg.header.stamp)
        number = self._sent[stamp]
        self._answers.latencies[number] = (self.get_clock().now().nanoseconds - stamp) / 1e9
        indices = np.array(msg.point_indices, np.int64)
        self._answers.instances[number] = [
            (instance.id, indices[instance.first_point :][: instance.point_count])
            for instance in msg.instances
        ]

    def _time(self, msg: Timings) -> None:
        for stage, milliseconds in zip(msg.stages, msg.milliseconds, strict=True):
            self._answers.stages[stage].append(milliseconds)


def _message(sweep: DriveSweep) -> PointCloud2:
    return write_points(Header(), cloud_points(Cloud(sweep.xyz, None, None, (1, len(sweep.xyz)))))


def _print_speed(answers: Answers, sweeps: Sequence[DriveSweep], used: float) -> None:
    count = len(answers.latencies)
    rate = count / (sweeps[-1].seconds - sweeps[0].seconds) if count else 0.0
    print(f"answered       {count} of {len(sweeps)}, {rate:.1f} a second", end="")
    if not count:
        print()
        return
    middle, late = np.percentile([1e3 * time for time in answers.latencies.values()], [50, 90])
    print(f"; after {middle:.0f} ms (median), {late:.0f} ms (nine in ten)")
    stages = {stage: float(np.median(times)) for stage, times in answers.stages.items()}
    parts = ", ".join(f"{stage} {ms:.0f}" for stage, ms in sorted(stages.items(), key=lambda item: -item[1]))
    print(f"stages, ms     {parts}; {used / count * 1e3:.0f} ms of processor time an answer")


def _print_ids(answers: Answers, sweeps: Sequence[DriveSweep], drive: Drive) -> None:
    """Print a line for each class; things that move are told apart from those at rest."""
    seen: dict[int, int] = Counter()
    ids: dict[int, list[int]] = defaultdict(list)
    for number, instances in sorted(answers.instances.items()):
        things, counts = np.unique(sweeps[number].thing, return_counts=True)
        for thing in things[(things >= 0) & (counts >= FEWEST)].tolist():
            seen[thing] += 1
            identity = _identity(sweeps[number].thing == thing, instances)
            if identity is not None:
                ids[thing].append(identity)
    rows: dict[tuple[str, bool], list[int]] = defaultdict(list)
    for thing in seen:
        rows[drive.name(thing), drive.moves(thing)].append(thing)
    print(
        "| things | sweeps | found in | with their most common id | changes of id |\n"
        "| --- | --- | --- | --- | --- |"
    )
    for (name, moves), members in sorted(rows.items()):
        print(_row(f"{len(members)} {name}, {'moving' if moves else 'at rest'}", members, seen, ids))
    print(_row(f"all {len(seen)}", list(seen), seen, ids), flush=True)


def _identity(points: np.ndarray, instances: list[tuple[int, np.ndarray]]) -> int | None:
    """Returns the id of the instance that covers a thing's points (P,) bool best, or None if none does well
    enough."""
    best, identity, size = COVERED, None, int(points.sum())
    for number, indices in instances:
        common = int(points[indices].sum())
        overlap = common / max(size + len(indices) - common, 1)
        if overlap >= best:
            best, identity = overlap, number
    return identity


def _row(name: str, members: list[int], seen: dict[int, int], ids: dict[int, list[int]]) -> str:
    total = sum(seen[thing] for thing in members)
    answered = sum(len(ids[thing]) for thing in members)
    common = sum(Counter(ids[thing]).most_common(1)[0][1] for thing in members if ids[thing])
    changes = sum(int((np.diff(ids[thing]) != 0).sum()) for thing in members)
    return (
        f"| {name} | {total} | {answered / max(total, 1):.0%} | {common / max(answered, 1):.0%} | {changes} |"
    )


if __name__ == "__main__":
    main()
