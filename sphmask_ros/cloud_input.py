# SPDX-License-Identifier: Apache-2.0
"""The node's subscriptions, which follow the publishers' types and quality of service."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from rclpy.clock import Clock, ClockType
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription

from sphmask_ros.guard import Refuse
from sphmask_ros.serialized import read_serialized
from sphmask_ros.taking import NotByExecutor, Taking

STEADY = Clock(clock_type=ClockType.STEADY_TIME)
"""Clock of the node's timers: with use_sim_time and no /clock, ROS time stands still and so would they."""
REMATCH_PERIOD = 0.5
"""Seconds between looks at the publishers."""


class MatchedInput:
    """Receives the messages of a topic, the newest alone, of whichever of some types and however reliable."""

    def __init__(
        self,
        node: Node,
        topic: str,
        kinds: dict[str, type],
        receive: Callable[[Any], None],
        reliability: Callable[[], str],
        refuse: Refuse,
    ) -> None:
        """`kinds` are the topic's types by name, as in sensor_msgs/msg/PointCloud2, the usual one first."""
        self._node, self._name, self._kinds = node, topic, kinds
        self._receive, self._reliability, self._refuse = receive, reliability, refuse
        self.topic = node.resolve_topic_name(topic)
        """Its full name after remapping, which looking at its publishers does not do."""
        self._as = self._wanted()
        self._subscription, self._taking = self._subscribe()
        self._timer = node.create_timer(REMATCH_PERIOD, self.match, clock=STEADY)

    def match(self) -> None:
        """Subscribe again when the publishers' type or quality of service asks for another one."""
        wanted = self._wanted()
        if self._as != wanted:
            self._as = wanted
            self._unsubscribe()
            self._subscription, self._taking = self._subscribe()

    def close(self) -> None:
        """Listens no more."""
        self._node.destroy_timer(self._timer)
        self._unsubscribe()

    def _subscribe(self) -> tuple[Subscription, Taking]:
        name, reliability, durability = self._as
        kind = self._kinds[name]
        qos = QoSProfile(depth=1, reliability=reliability, durability=durability)
        subscription = self._node.create_subscription(
            kind, self._name, self._receive, qos, callback_group=NotByExecutor(), raw=True
        )
        return subscription, Taking(self._node, subscription, lambda message: self._hand_over(kind, message))

    def _unsubscribe(self) -> None:
        self._taking.close()
        self._node.destroy_subscription(self._subscription)

    def _hand_over(self, kind: type, message: memoryview) -> None:
        try:
            read = read_serialized(kind, message)
        except Exception as error:  # rclpy's own, for what it cannot read
            self._refuse(f"a message of {self.topic}", error)
        else:
            self._receive(read)

    def _wanted(self) -> tuple[str, ReliabilityPolicy, DurabilityPolicy]:
        """Returns the type that is published most, and what the publishers offer, unless told otherwise.

        Best effort when not all, or none, are reliable: whoever comes is heard by a best-effort subscription.
        A reliable one would not hear a best-effort publisher, and DDS would complain of it on both sides. The
        same holds of what publishers keep for those who come late.
        """
        offers = [
            info
            for info in self._node.get_publishers_info_by_topic(self.topic)
            if info.topic_type in self._kinds
        ]
        types = Counter(info.topic_type for info in offers)
        kind = max(self._kinds, key=lambda name: types[name])
        kept = {info.qos_profile.durability for info in offers} == {DurabilityPolicy.TRANSIENT_LOCAL}
        durability = DurabilityPolicy.TRANSIENT_LOCAL if kept else DurabilityPolicy.VOLATILE
        if self._reliability() != "auto":
            return kind, ReliabilityPolicy[self._reliability().upper()], durability
        reliable = {info.qos_profile.reliability for info in offers} == {ReliabilityPolicy.RELIABLE}
        return kind, ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT, durability
