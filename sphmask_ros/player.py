# SPDX-License-Identifier: Apache-2.0
"""The other side of the node: publishes clouds and waits for what comes back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import rclpy
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from sensor_msgs.msg import CameraInfo, Image, PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from sphmask_core.messages.rgbd import RgbdFrame
from sphmask_ros.msg import InstanceArray

LOOK = 0.1
"""Seconds of waiting for messages between looks at whether there is enough."""
RELIABLY = 10.0
"""Seconds that a node may take to see that the publishers are reliable and to subscribe as reliably."""
MATCHING = 0.5
"""Seconds more that the other side of a match may take to know of it."""


HEARD = {"labelled_points": PointCloud2, "markers": MarkerArray, "instances": InstanceArray}
"""Outputs of a node that are waited for, and their types."""


@dataclass(frozen=True)
class Answer:
    """Holds what the node published for one cloud."""

    points: PointCloud2
    markers: MarkerArray
    instances: InstanceArray
    latency: float
    """Seconds from publishing the cloud to the arrival of its labeled points."""


class Player(Node):
    """Publishes `points` and hears the outputs of a node `segment`, one cloud at a time."""

    def __init__(
        self,
        qos: QoSProfile | int = 1,
        namespace: str = "",
        topic: str = "",
        kind: type = PointCloud2,
        camera: str = "",
    ) -> None:
        """`topic` is that of the clouds, empty: `points`; `camera` is its name, where the node has
        several."""
        super().__init__("player", namespace=namespace)
        prefix = f"{camera}/" if camera else ""
        self._publisher: Any = self.create_publisher(kind, topic or f"{prefix}points", qos)
        self._asked = Header()
        self._arrived: dict[str, tuple[Any, float]] = {}
        self._outputs = [
            self.create_subscription(kind, f"segment/{prefix}{name}", self._keeper(name), 1)
            for name, kind in HEARD.items()
        ]

    def wait_until_heard(self, timeout: float, running: Callable[[], bool] = lambda: True) -> None:
        """Wait until the node listens and is heard; TimeoutError when that takes too long or it has ended."""
        limit = time.monotonic() + timeout
        while not self._connected():
            if not running():
                raise TimeoutError("the node ended before it listened; its last lines say why")
            if time.monotonic() > limit:
                raise TimeoutError(f"no node listened to the clouds within {timeout:.0f} s")
            rclpy.spin_once(self, timeout_sec=LOOK)
        limit = time.monotonic() + RELIABLY  # what is published while the node subscribes anew is lost
        while not self._heard_reliably() and running() and time.monotonic() < limit:
            time.sleep(LOOK)
        time.sleep(MATCHING)

    def publish(self, cloud: Any) -> None:
        """Publish and forget."""
        self._publisher.publish(cloud)

    def ask(self, cloud: Any, timeout: float) -> Answer:
        """Publish a cloud and wait for the outputs under its header; TimeoutError when they do not come."""
        self._arrived.clear()
        self._asked = cloud.header
        published = time.perf_counter()
        self.publish(cloud)
        limit = time.monotonic() + timeout
        while len(self._arrived) < len(self._outputs):
            if time.monotonic() > limit:
                came = ", ".join(self._arrived) or "nothing"
                raise TimeoutError(f"a cloud was not answered within {timeout:.0f} s; {came} came")
            rclpy.spin_once(self, timeout_sec=LOOK)
        points, arrival = self._arrived["labelled_points"]
        return Answer(points, self._arrived["markers"][0], self._arrived["instances"][0], arrival - published)

    def _keeper(self, name: str) -> Callable[[Any], None]:
        def keep(msg: Any) -> None:
            stamps = [part.header.stamp for part in getattr(msg, "markers", [msg])]
            if all(stamp == self._asked.stamp for stamp in stamps):  # else the answer to an earlier cloud
                self._arrived[name] = (msg, time.perf_counter())

        return keep

    def _connected(self) -> bool:
        heard = all(self.count_publishers(output.topic_name) for output in self._outputs)
        return heard and self._publisher.get_subscription_count() > 0

    def _heard_reliably(self) -> bool:
        """Returns whether reliable publishers are subscribed to, and by nobody less reliably."""
        topics = [
            publisher.topic_name
            for publisher in self._inputs()
            if publisher.qos_profile.reliability == ReliabilityPolicy.RELIABLE
        ]
        found = [self.get_subscriptions_info_by_topic(topic) for topic in topics]
        return all(
            {info.qos_profile.reliability for info in infos} == {ReliabilityPolicy.RELIABLE}
            for infos in found
        )

    def _inputs(self) -> list[Any]:
        return [self._publisher]


class RgbdPlayer(Player):
    """Publishes `depth`, `camera_info`, `color` and `color_info`, of a frame what it has."""

    def __init__(
        self, qos: QoSProfile | int = 1, namespace: str = "", depth: type = Image, color: type = Image
    ) -> None:
        super().__init__(qos, namespace, "depth", depth)
        self._others = {
            "info": self.create_publisher(CameraInfo, "camera_info", qos),
            "color_info": self.create_publisher(CameraInfo, "color_info", qos),
            "color": self.create_publisher(color, "color", qos),
        }

    def publish(self, cloud: RgbdFrame) -> None:
        """Publish and forget; the depth image comes last."""
        for name, publisher in self._others.items():
            message = getattr(cloud, name)
            if message is not None:
                publisher.publish(message)
        super().publish(cloud.depth)

    def _connected(self) -> bool:
        heard = all(publisher.get_subscription_count() for publisher in self._others.values())
        return heard and super()._connected()

    def _inputs(self) -> list[Any]:
        return [*super()._inputs(), *self._others.values()]
