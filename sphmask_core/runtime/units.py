# SPDX-License-Identifier: Apache-2.0
"""Units of what is measured, and the stamps of ROS messages."""

from __future__ import annotations

from typing import Any

MS_PER_SECOND = 1e3
NS_PER_SECOND = 10**9
MM_PER_METER = 1e3
KIBI = 1024
MEGA, GIGA = 1e6, 1e9


def stamp_nanoseconds(stamp: Any) -> int:
    """Returns a builtin_interfaces/Time as nanoseconds; it may be negative."""
    return int(stamp.sec) * NS_PER_SECOND + int(stamp.nanosec)
