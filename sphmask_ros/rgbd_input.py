# SPDX-License-Identifier: Apache-2.0
"""The topics of an RGB-D camera, put together by time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from rclpy.node import Node
from sensor_msgs.msg import CameraInfo, CompressedImage, Image

from sphmask_core.messages.rgbd import RgbdFrame
from sphmask_core.runtime.units import NS_PER_SECOND, stamp_nanoseconds
from sphmask_ros.cloud_input import MatchedInput
from sphmask_ros.guard import Refuse
from sphmask_ros.parameters import Parameters

IMAGES = {"sensor_msgs/msg/Image": Image, "sensor_msgs/msg/CompressedImage": CompressedImage}
INFOS = {"sensor_msgs/msg/CameraInfo": CameraInfo}
PATIENCE = 1.0
"""Seconds that depth images wait for colors of their time, and for camera_info, before they go alone."""
WAITING = 10
"""Images of either kind that wait for the other, as the usual queue of message_filters."""

First = TypeVar("First")
Second = TypeVar("Second")


class Pairs(Generic[First, Second]):
    """Puts two streams together by their stamps, by the rule of ROS's ApproximateTimeSynchronizer.

    What comes is paired at once with the nearest that waits of the other stream, if that is near enough;
    else it waits itself. What is older than a pair is dropped, so that pairs are in the order of time, and so
    is all that waits when the clock goes back.
    """

    def __init__(self) -> None:
        self._firsts: dict[int, First] = {}
        self._seconds: dict[int, Second] = {}

    def add_first(self, stamp: int, item: First, tolerance: int) -> tuple[First, Second] | None:
        """Returns a pair with this item of the first stream, if there is one; all times are nanoseconds."""
        partner = self._add(self._firsts, item, self._seconds, stamp, tolerance)
        return None if partner is None else (item, partner)

    def add_second(self, stamp: int, item: Second, tolerance: int) -> tuple[First, Second] | None:
        """Returns the same for an item of the second stream."""
        partner = self._add(self._seconds, item, self._firsts, stamp, tolerance)
        return None if partner is None else (partner, item)

    def _add(self, own: dict[int, Any], item: Any, other: dict[int, Any], stamp: int, tolerance: int) -> Any:
        if own and stamp < max(own):
            own.clear()
            other.clear()
        nearest = min(other, key=lambda there: abs(there - stamp), default=None)
        if nearest is None or abs(nearest - stamp) > tolerance:
            own[stamp] = item
            while len(own) > WAITING:
                del own[min(own)]
            return None
        partner = other[nearest]
        own.clear()
        for older in [there for there in other if there <= nearest]:
            del other[older]
        return partner


class RgbdInput:
    """Depth images, each with the color image of its time and what their cameras are."""

    def __init__(
        self,
        node: Node,
        prefix: str,
        receive: Callable[[RgbdFrame], None],
        settings: Callable[[], Parameters],
        refuse: Refuse,
    ) -> None:
        """prefix: what stands before the names of the topics."""
        self._receive, self._settings = receive, settings
        self._pairs: Pairs[Any, Any] = Pairs()
        self._infos: dict[str, CameraInfo] = {}
        self._begun = time.monotonic()
        self._alone_since: float | None = None
        """When the first depth image since the last pair came that had no color yet, if one did."""
        topics = {
            "depth": (IMAGES, self._receive_depth),
            "color": (IMAGES, self._receive_color),
            "camera_info": (INFOS, lambda msg: self._infos.update(depth=msg)),
            "color_info": (INFOS, lambda msg: self._infos.update(color=msg)),
        }
        self._inputs = [
            MatchedInput(node, f"{prefix}{topic}", kinds, callback, lambda: settings().reliability, refuse)
            for topic, (kinds, callback) in topics.items()
        ]
        self.topic = self._inputs[0].topic
        """Full name of the depth images'."""

    def close(self) -> None:
        """Listens no more."""
        for item in self._inputs:
            item.close()

    def _receive_depth(self, msg: Any) -> None:
        pair = self._pairs.add_first(_nanoseconds(msg), msg, self._tolerance())
        now = time.monotonic()
        if pair is not None:
            self._put_together(*pair)
        elif self._alone_since is None:
            self._alone_since = now
        elif now - self._alone_since > PATIENCE:  # there is no color, or by another clock
            self._put_together(msg, None)

    def _receive_color(self, msg: Any) -> None:
        pair = self._pairs.add_second(_nanoseconds(msg), msg, self._tolerance())
        if pair is not None:
            self._put_together(*pair)

    def _put_together(self, depth: Any, color: Any) -> None:
        if color is not None:
            self._alone_since = None
        info = self._infos.get("depth")
        if info is not None or time.monotonic() - self._begun > PATIENCE:
            self._receive(RgbdFrame(depth, info, color, self._infos.get("color")))

    def _tolerance(self) -> int:
        return int(self._settings().color_tolerance * NS_PER_SECOND)


def _nanoseconds(msg: Any) -> int:
    return stamp_nanoseconds(msg.header.stamp)
