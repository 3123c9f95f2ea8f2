# SPDX-License-Identifier: Apache-2.0
"""The node's subscription, which follows the publishers' quality of service."""

from __future__ import annotations

from collections.abc import Callable

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import PointCloud2

STEADY = Clock(clock_type=ClockType.STEADY_TIME)
"""Of the node's timers: with use_sim_time and no /clock, ROS time stands still and so would they."""
REMATCH_PERIOD = 0.5
"""Seconds between looks at the publishers' reliability."""


class CloudInput:
    """Clouds of the topic `points`, the newest alone, however reliable their publishers are."""

    def __init__(
        self, node: Node, receive: Callable[[PointCloud2], None], reliability: Callable[[], str]
    ) -> None:
        self._node, self._receive, self._reliability = node, receive, reliability
        self.topic = node.resolve_topic_name("points")
        """Its full name after remapping, which looking at its publishers does not do."""
        self._subscription = self._subscribe(self._wanted())
        self._timer = node.create_timer(REMATCH_PERIOD, self.match, clock=STEADY)

    def match(self) -> None:
        """Subscribe again when the publishers' reliability asks for another one."""
        wanted = self._wanted()
        if self._subscription.qos_profile.reliability != wanted:
            self._node.destroy_subscription(self._subscription)
            self._subscription = self._subscribe(wanted)

    def close(self) -> None:
        """Listen no more."""
        self._node.destroy_timer(self._timer)
        self._node.destroy_subscription(self._subscription)

    def _subscribe(self, reliability: ReliabilityPolicy) -> Subscription:
        qos = QoSProfile(depth=1, reliability=reliability)
        return self._node.create_subscription(PointCloud2, "points", self._receive, qos)

    def _wanted(self) -> ReliabilityPolicy:
        """What the publishers offer, unless told otherwise; best effort when not all, or none, are reliable.

        Whoever comes is heard by a best-effort subscription. A reliable one would not hear a best-effort
        publisher, and DDS would complain of it on both sides.
        """
        if self._reliability() != "auto":
            return ReliabilityPolicy[self._reliability().upper()]
        offered = [
            info.qos_profile.reliability for info in self._node.get_publishers_info_by_topic(self.topic)
        ]
        reliable = offered and ReliabilityPolicy.BEST_EFFORT not in offered
        return ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT
