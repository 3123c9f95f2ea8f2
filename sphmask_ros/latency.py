# SPDX-License-Identifier: Apache-2.0
"""How old a cloud is, by whichever clock its stamp is of."""

from __future__ import annotations

import time

from builtin_interfaces.msg import Time
from rclpy.node import Node

from sphmask_core.runtime.units import NS_PER_SECOND
from sphmask_ros.poses import stamp_seconds

LONGEST_LATENCY = 60.0
"""Seconds; an older stamp is not of the node's clock."""


def latency_of(stamp: Time, node: Node, arrival: float) -> float:
    """Returns the seconds since a stamp, or since the arrival (seconds of the steady clock).

    Since the arrival where the stamp is of another clock than the node's: a bag's, or simulated time without
    /clock.
    """
    latency = node.get_clock().now().nanoseconds / NS_PER_SECOND - stamp_seconds(stamp)
    return latency if 0 <= latency <= LONGEST_LATENCY else time.monotonic() - arrival
