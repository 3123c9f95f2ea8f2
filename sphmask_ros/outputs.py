# SPDX-License-Identifier: Apache-2.0
"""What the node publishes for each cloud, and only to those who listen."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from typing import Any

from rclpy.lifecycle import LifecycleNode
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from sphmask_core import Instances
from sphmask_core.placement import Placements
from sphmask_core.tracking import Tracks
from sphmask_ros.answer import Answer
from sphmask_ros.conversions import (
    CLASSES,
    InstanceMarkers,
    detection_array,
    instance_array,
    label_image,
    labelled_points,
    labels_only,
    timings_message,
)
from sphmask_ros.poses import stamp_seconds

OUTPUTS = {
    "labelled_points": (
        "sensor_msgs/PointCloud2",
        "The input's points, organized as they are; `rgb`: the object's color, or the input's; "
        "`label`: the object's id, 0 for none; `score`; `class_id`, -1 for none.",
    ),
    "label_image": (
        "sensor_msgs/Image",
        "16UC1, of organized clouds: each pixel's object id, 0 for none; a fifteenth of `labelled_points`.",
    ),
    "labels": (
        "sensor_msgs/PointCloud2",
        "Each point's object id in the one field `label`, 0 for none, for clouds that are no image.",
    ),
    "markers": (
        "visualization_msgs/MarkerArray",
        "Name and score, box, and the polygon that the rays span, under the objects' ids.",
    ),
    "instances": (
        "sphmask_ros/InstanceArray",
        "Id, class, score, center, box, upright box with a yaw, height, support, velocity, age, rays and "
        "points of each instance; which are new, lost, found again.",
    ),
    "detections": (
        "vision_msgs/Detection3DArray",
        "Id, class, score and upright box of each instance; where vision_msgs is installed.",
    ),
    "timings": ("sphmask_ros/Timings", "Milliseconds by stage, and latency from the cloud's stamp."),
}
"""Type and meaning of each topic, in the order of publishing."""
LONGEST_LATENCY = 60.0
"""Seconds; an older stamp is not of the node's clock."""


class Outputs:
    """The node's publishers; markers know what the frame before showed."""

    def __init__(self, node: LifecycleNode) -> None:
        self._node = node
        self._markers = InstanceMarkers()
        self._publishers = {}
        for name, (kind, _) in OUTPUTS.items():
            if kind in CLASSES:
                self._publishers[name] = node.create_lifecycle_publisher(CLASSES[kind], f"~/{name}", 1)
            else:
                package = kind.split("/")[0]
                hint = f"apt install ros-$ROS_DISTRO-{package.replace('_', '-')}"
                node.get_logger().warning(f"no {name}: {package} is not installed ({hint})", once=True)

    def wanted(self, selected: Iterable[str]) -> list[str]:
        """Those of the selected outputs that somebody listens to."""
        return [
            name
            for name, publisher in self._publishers.items()
            if name in selected and publisher.get_subscription_count()
        ]

    def publish(self, answer: Answer, selected: Iterable[str]) -> float:
        """Publish the selected outputs; seconds from the cloud's stamp to the last.

        From its arrival instead, where the stamp is of another clock than the node's: a bag's, or simulated
        time without /clock.
        """
        begun = time.perf_counter()
        wanted = self.wanted(selected)
        for name in wanted:
            if name != "timings" and (message := self._message(name, answer)) is not None:
                self._publishers[name].publish(message)
        stages = answer.milliseconds | {"write": (time.perf_counter() - begun) * 1e3}
        now = self._node.get_clock().now().nanoseconds / 1e9
        latency = now - stamp_seconds(answer.header.stamp)
        if not 0 <= latency <= LONGEST_LATENCY:
            latency = time.monotonic() - answer.arrival
        if "timings" in wanted:
            message = timings_message(answer.header, stages, latency * 1e3)
            self._publishers["timings"].publish(message)
        return latency

    def clear(self) -> None:
        """Take away the markers that are shown, which stay with whoever shows them."""
        self._publishers["markers"].publish(MarkerArray(markers=[Marker(action=Marker.DELETEALL)]))
        self._markers = InstanceMarkers()

    def destroy(self) -> None:
        """Take the topics back."""
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)

    def _message(self, name: str, answer: Answer) -> Any:
        """None where the output has nothing to say of such a cloud."""
        makers: dict[str, Callable[[], Any]] = {
            "labelled_points": lambda: labelled_points(
                answer.header, answer.cloud, answer.found, answer.tracks
            ),
            "label_image": lambda: _label_image(answer),
            "labels": lambda: labels_only(answer.header, answer.ids),
            "markers": lambda: self._markers.update(*_told(answer), answer.rays),
            "instances": lambda: instance_array(*_told(answer), answer.rays),
            "detections": lambda: detection_array(*_told(answer)),
        }
        return makers[name]()


def _told(answer: Answer) -> tuple[Header, Instances, Tracks, Placements]:
    told = answer.told
    return told.header, told.found, told.tracks, told.placed


def _label_image(answer: Answer) -> Any:
    """Of clouds that are images, and of one that could not be segmented, which is empty."""
    return None if answer.cloud.shape[0] == 1 else label_image(answer.header, answer.ids)
