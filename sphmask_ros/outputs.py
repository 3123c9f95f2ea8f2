# SPDX-License-Identifier: Apache-2.0
"""What the node publishes for each cloud, and only to those who listen."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import nullcontext
from typing import Any

from rclpy.lifecycle import LifecycleNode
from rclpy.node import Node
from std_msgs.msg import Header
from visualization_msgs.msg import Marker, MarkerArray

from sphmask_core import Instances
from sphmask_core.placement import Placements
from sphmask_core.runtime.cancellation import Cancellation
from sphmask_core.runtime.units import MS_PER_SECOND
from sphmask_core.tracking import Tracks
from sphmask_ros.answer import Answer
from sphmask_ros.conversions import (
    CLASSES,
    InstanceMarkers,
    detection_array,
    instance_array,
    serialized_label_image,
    serialized_labelled_points,
    serialized_labels_only,
    timings_message,
)
from sphmask_ros.latency import latency_of

OUTPUTS = {
    "labelled_points": (
        "sensor_msgs/PointCloud2",
        "The input's points, organized as they are, float64 where they are; `rgb`: the object's color, or "
        "the input's; `label`: the object's id, 0 for none; `score`; `class_id`, -1 for none.",
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


class Outputs:
    """A camera's publishers; markers know what the frame before showed."""

    def __init__(self, node: LifecycleNode, camera: str = "") -> None:
        """`camera` is the camera's name, which stands before those of its topics."""
        self._node = node
        self._showing = threading.Lock()
        self._markers = InstanceMarkers()
        self._publishers = {}
        for name, (kind, _) in OUTPUTS.items():
            if kind in CLASSES:
                self._publishers[name] = node.create_lifecycle_publisher(
                    CLASSES[kind], topic(camera, name), 1
                )

    def wanted(self, selected: Iterable[str]) -> list[str]:
        """Returns those of the selected outputs that somebody listens to."""
        return [
            name
            for name, publisher in self._publishers.items()
            if name in selected and publisher.get_subscription_count()
        ]

    def publish(self, answer: Answer, selected: Iterable[str], cancellation: Cancellation) -> float:
        """Publish the selected outputs; returns the seconds from the cloud's stamp to the last.

        Raises CancelledError where the cloud is called off meanwhile.
        """
        begun = time.perf_counter()
        wanted = self.wanted(selected)
        for name in wanted:
            if name != "timings" and (message := self._message(name, answer)) is not None:
                # Markers that come after all were taken away would stay. Clouds would not, and may take long.
                with self._showing if name == "markers" else nullcontext():
                    cancellation.check()
                    self._publishers[name].publish(message)
        stages = answer.milliseconds | {"write": (time.perf_counter() - begun) * MS_PER_SECOND}
        latency = latency_of(answer.header.stamp, self._node, answer.arrival)
        if "timings" in wanted:
            message = timings_message(answer.header, stages, latency * MS_PER_SECOND)
            self._publishers["timings"].publish(message)
        return latency

    def clear(self) -> None:
        """Take away the markers that are shown, which stay with whoever shows them."""
        with self._showing:
            self._publishers["markers"].publish(MarkerArray(markers=[Marker(action=Marker.DELETEALL)]))
            self._markers = InstanceMarkers()

    def destroy(self) -> None:
        """Take the topics back."""
        for publisher in self._publishers.values():
            self._node.destroy_lifecycle_publisher(publisher)

    def _message(self, name: str, answer: Answer) -> Any:
        """Returns the output's message, None where it has nothing to say of such a cloud."""
        makers: dict[str, Callable[[], Any]] = {
            "labelled_points": lambda: serialized_labelled_points(
                answer.header, answer.cloud, answer.instances, answer.tracks
            ),
            "label_image": lambda: _label_image(answer),
            "labels": lambda: serialized_labels_only(answer.header, answer.ids),
            "markers": lambda: self._markers.update(*_in_target_frame(answer), answer.rays),
            "instances": lambda: instance_array(*_in_target_frame(answer), answer.rays),
            "detections": lambda: detection_array(*_in_target_frame(answer)),
        }
        return makers[name]()


def warn_of_missing(node: Node, selected: Iterable[str]) -> None:
    """Say once which of the selected outputs cannot be published, for want of a package of messages."""
    for name in selected:
        kind, _ = OUTPUTS[name]
        if kind not in CLASSES:
            package = kind.split("/")[0]
            hint = f"apt install ros-$ROS_DISTRO-{package.replace('_', '-')}"
            node.get_logger().warning(f"no {name}: {package} is not installed ({hint})", once=True)


def topic(camera: str, name: str) -> str:
    """Returns an output's or a service's name: the node's own, below the camera's name where there are
    several."""
    return f"~/{camera}/{name}" if camera else f"~/{name}"


def _in_target_frame(answer: Answer) -> tuple[Header, Instances, Tracks, Placements]:
    there = answer.in_target_frame
    return there.header, there.instances, there.tracks, there.placed


def _label_image(answer: Answer) -> Any:
    """Returns the label image of clouds that are images, and of one that could not be segmented, which is
    empty."""
    return None if answer.cloud.shape[0] == 1 else serialized_label_image(answer.header, answer.ids)
