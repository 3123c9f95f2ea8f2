# SPDX-License-Identifier: Apache-2.0
"""The node's subscriptions, which follow the publishers' types and quality of service."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from typing import Any, TypeAlias

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
FIRST_SILENCE, LONGEST_SILENCE = 5.0, 60.0
"""Seconds that publishers are there without a first message, after which one subscribes again; twice as long
each time, for what is published at that very moment is lost, and a camera may be waiting for its trigger."""
Offer: TypeAlias = "tuple[str, ReliabilityPolicy, DurabilityPolicy]"
"""A type's name, and how messages of it are sent."""


class Silence:
    """Tells when publishers have been there without a message so long that DDS may not have joined them."""

    def __init__(self) -> None:
        self._publishers: set[tuple[int, ...]] = set()
        self._heard = False
        self._since, self._patience = 0.0, FIRST_SILENCE

    def end(self) -> None:
        """Take note of a message; those publishers' later silence is their own."""
        self._heard = True

    def is_long(self, publishers: set[tuple[int, ...]], now: float) -> bool:
        """Returns whether these publishers, by their ids, have been silent for too long; then it begins anew.

        now: seconds of the steady clock.
        """
        if publishers != self._publishers:
            self._publishers, self._heard = publishers, False
            self._since, self._patience = now, FIRST_SILENCE
        if self._heard or not publishers or now - self._since < self._patience:
            return False
        self._since, self._patience = now, min(2 * self._patience, LONGEST_SILENCE)
        return True


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
        self._open: tuple[Subscription, Taking] | None = None
        self._as: Offer | None = None
        """What is subscribed as; None: nothing is."""
        self._silence = Silence()
        self._subscribe(self._wanted(self._offers()))
        self._timer = node.create_timer(REMATCH_PERIOD, self.match, clock=STEADY)

    def match(self) -> None:
        """Subscribe again when the publishers' type or quality of service asks for another one, or when DDS
        seems not to have joined them to this one."""
        offers = self._offers()
        wanted = self._wanted(offers)
        publishers = {tuple(info.endpoint_gid) for info in offers}
        silent = self._silence.is_long(publishers, time.monotonic())
        if silent:
            text = f"{self.topic} is published, but nothing has come of it: subscribing again"
            self._node.get_logger().info(text, throttle_duration_sec=LONGEST_SILENCE)
        if silent or self._as != wanted:
            self._subscribe(wanted)

    def close(self) -> None:
        """Listens no more."""
        self._node.destroy_timer(self._timer)
        self._unsubscribe()

    def _subscribe(self, wanted: Offer) -> None:
        """Subscribe, anew where one has; where that raises, the next look at the publishers tries again."""
        self._unsubscribe()
        name, reliability, durability = wanted
        kind = self._kinds[name]
        qos = QoSProfile(depth=1, reliability=reliability, durability=durability)
        subscription = self._node.create_subscription(
            kind, self._name, self._receive, qos, callback_group=NotByExecutor(), raw=True
        )
        taking = Taking(self._node, subscription, lambda message: self._hand_over(kind, message))
        self._open, self._as = (subscription, taking), wanted

    def _unsubscribe(self) -> None:
        if self._open is not None:
            subscription, taking = self._open
            self._open = self._as = None
            taking.close()
            self._node.destroy_subscription(subscription)

    def _hand_over(self, kind: type, message: memoryview) -> None:
        self._silence.end()
        try:
            read = read_serialized(kind, message)
        except Exception as error:  # rclpy's own, for what it cannot read
            self._refuse(f"a message of {self.topic}", error)
        else:
            self._receive(read)

    def _offers(self) -> list[Any]:
        """Returns what DDS tells of each publisher of one of the types."""
        told = self._node.get_publishers_info_by_topic(self.topic)
        return [info for info in told if info.topic_type in self._kinds]

    def _wanted(self, offers: list[Any]) -> Offer:
        """Returns the type that is published most, and what the publishers offer, unless told otherwise.

        Best effort when not all, or none, are reliable: whoever comes is heard by a best-effort subscription.
        A reliable one would not hear a best-effort publisher, and DDS would complain of it on both sides. The
        same holds of what publishers keep for those who come late.
        """
        types = Counter(info.topic_type for info in offers)
        kind = max(self._kinds, key=lambda name: types[name])
        kept = {info.qos_profile.durability for info in offers} == {DurabilityPolicy.TRANSIENT_LOCAL}
        durability = DurabilityPolicy.TRANSIENT_LOCAL if kept else DurabilityPolicy.VOLATILE
        if self._reliability() != "auto":
            return kind, ReliabilityPolicy[self._reliability().upper()], durability
        reliable = {info.qos_profile.reliability for info in offers} == {ReliabilityPolicy.RELIABLE}
        return kind, ReliabilityPolicy.RELIABLE if reliable else ReliabilityPolicy.BEST_EFFORT, durability
