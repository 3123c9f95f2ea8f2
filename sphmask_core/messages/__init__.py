# SPDX-License-Identifier: Apache-2.0
"""Clouds and instances as ROS messages, whoever has the message classes: rclpy, or a library of bags."""

from __future__ import annotations

from typing import Any, Protocol


class Make(Protocol):
    """Makes a message: `make("geometry_msgs/Point", x=1.0)`; what is not given has its default.

    Lists of numbers are given as numpy arrays of the field's type.
    """

    def __call__(self, name: str, /, **fields: Any) -> Any:
        """Returns a message of that type, `package/Name`."""
        ...
