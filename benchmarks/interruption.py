# SPDX-License-Identifier: Apache-2.0
"""How soon the node answers services while it computes a large cloud, and how soon it gives it up.

python -m benchmarks.interruption [--points 2e6] [--seconds 60]
"""

from __future__ import annotations

import argparse
import time
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import rclpy
from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState, GetState
from rcl_interfaces.srv import SetParameters
from rclpy.client import Client
from sensor_msgs.msg import PointCloud2
from sphmask_ros.msg import InstanceArray
from std_msgs.msg import Header
from std_srvs.srv import SetBool

from benchmarks.flood import PERIOD, SCORE, SETTLING
from benchmarks.large_cloud import hall
from sphmask_core.clouds.cloud import Cloud
from sphmask_core.messages.pointcloud2 import cloud_points
from sphmask_core.simulation.scenes import simulate_cloud
from sphmask_ros.conversions import write_points
from sphmask_ros.demo import FRAME_TIMEOUT, START_TIMEOUT, start_node, stop_node
from sphmask_ros.player import Player

ASKED = {
    "get_state": (GetState, GetState.Request()),
    "set_parameters": (SetParameters, SetParameters.Request(parameters=[SCORE])),
}
"""What is asked again and again while a cloud is computed."""
ENDS = ("enable false", "deactivate")
"""Ways to give a cloud up."""


def main() -> None:
    """Ask things while a cloud is computed, then give clouds up."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--points", type=float, default=2e6)
    parser.add_argument("--seconds", type=float, default=60, help="of asking, at most")
    parser.add_argument("--model", default="tabletop")
    options = parser.parse_args()
    node = start_node(options.model)
    rclpy.init()
    player = Player()
    player.wait_until_heard(START_TIMEOUT, running=lambda: node.poll() is None)
    xyz, rgb = hall(int(options.points))
    large = write_points(Header(frame_id="map"), cloud_points(Cloud(xyz, rgb, None, (1, len(xyz)))))
    _ask_until_answered(player, large, options.seconds)
    for name in ENDS:
        _give_up(player, large, name)
    peak = next(x for x in Path(f"/proc/{node.pid}/status").read_text().splitlines() if "VmHWM" in x)
    print(f"the node's memory {int(peak.split()[1]) / 2**20:.2f} GB at most")
    stop_node(node)
    rclpy.try_shutdown()


def _ask_until_answered(player: Player, large: PointCloud2, seconds: float) -> None:
    answers: list[InstanceArray] = []
    player.create_subscription(InstanceArray, "segment/instances", answers.append, 1)
    waits: dict[str, list[float]] = {name: [] for name in ASKED}
    for name, (kind, _) in ASKED.items():
        _client(player, name, kind)
    begun = time.perf_counter()
    _publish(player, large)
    while not answers and time.perf_counter() - begun < seconds:
        for name, (kind, request) in ASKED.items():
            waits[name].append(_ask(player, name, kind, request))
        time.sleep(PERIOD)
    took = f"{time.perf_counter() - begun:.1f} s"
    print(f"answered after {took}" if answers else f"not answered within {took}")
    for name, values in waits.items():
        median, longest = np.median(values) * 1e3, max(values) * 1e3
        print(f"{name:<16} {len(values)} requests meanwhile: median {median:.0f} ms, longest {longest:.0f}")


def _give_up(player: Player, large: PointCloud2, name: str) -> None:
    """Send a cloud, give it up after a second, and ask for the answer to a small one."""
    service, kind, _ = _switch(name, on=False)
    _client(player, service, kind)
    _publish(player, large)
    time.sleep(1.0)
    took = _ask(player, *_switch(name, on=False))
    _ask(player, *_switch(name, on=True))
    scene = simulate_cloud(1, 160, 120)
    header = Header(frame_id="map", stamp=player.get_clock().now().to_msg())
    begun = time.perf_counter()
    player.ask(write_points(header, cloud_points(scene)), FRAME_TIMEOUT)
    print(f"{name:<16} {took * 1e3:.0f} ms; the next cloud {time.perf_counter() - begun:.2f} s later")


def _switch(name: str, on: bool) -> tuple[str, type, Any]:
    """Returns service, type and request that give clouds up in one of ENDS or, `on`, let the node go on."""
    if name == "enable false":
        return "enable", SetBool, SetBool.Request(data=on)
    number = Transition.TRANSITION_ACTIVATE if on else Transition.TRANSITION_DEACTIVATE
    return "change_state", ChangeState, ChangeState.Request(transition=Transition(id=number))


def _publish(player: Player, large: PointCloud2) -> None:
    large.header.stamp = player.get_clock().now().to_msg()
    begun = time.perf_counter()
    player.publish(large)
    size = len(large.data) / 1e6
    print(f"{large.width} points, {size:.0f} MB, published in {time.perf_counter() - begun:.2f} s")


def _ask(player: Player, service: str, kind: type, request: Any) -> float:
    """Returns the seconds until a service of the node answers."""
    client = _client(player, service, kind)
    begun = time.perf_counter()
    asked = client.call_async(request)
    rclpy.spin_until_future_complete(player, asked, timeout_sec=FRAME_TIMEOUT)
    return time.perf_counter() - begun


@lru_cache
def _client(player: Player, service: str, kind: type) -> Client:
    """Returns a client that both sides know: an answer to a new one may be lost, and is sent again 3 s
    later."""
    client: Client = player.create_client(kind, f"segment/{service}")
    client.wait_for_service(START_TIMEOUT)
    time.sleep(SETTLING)
    return client


if __name__ == "__main__":
    main()
