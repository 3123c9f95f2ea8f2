# SPDX-License-Identifier: Apache-2.0
"""One stream of clouds: its input, its outputs, and how it fares. A node has one, or several by name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass

from diagnostic_msgs.msg import DiagnosticStatus
from rclpy.lifecycle import LifecycleNode
from sensor_msgs.msg import PointCloud2

from sphmask_core.messages.pointcloud2 import cloud_points
from sphmask_core.runtime.cancellation import Cancellation
from sphmask_ros.answer import Answer
from sphmask_ros.cloud_input import MatchedInput
from sphmask_ros.conversions import write_points
from sphmask_ros.diagnostics import Health, NodeHealth, status
from sphmask_ros.guard import Refuse, guard
from sphmask_ros.outputs import Outputs, topic
from sphmask_ros.parameters import Parameters
from sphmask_ros.perception import Frame
from sphmask_ros.rgbd_input import RgbdInput
from sphmask_ros.srv import GetInstanceCloud


@dataclass(frozen=True)
class Job:
    """A cloud that is to be answered."""

    camera: Camera
    msg: Frame
    arrival: float
    """Seconds of the steady clock."""
    cancellation: Cancellation


Receive = Callable[["Camera", Frame], None]
CLOUDS = {"sensor_msgs/msg/PointCloud2": PointCloud2}


class Camera:
    """Takes a stream of clouds and answers it."""

    def __init__(self, node: LifecycleNode, name: str, node_health: NodeHealth, refuse: Refuse) -> None:
        """`name` is what stands before the camera's topics, empty where it is the only one."""
        self.name = name
        self.health = Health(node_health)
        self._node, self._refuse = node, refuse
        self._prefix = f"{name}/" if name else ""
        self._input: MatchedInput | RgbdInput | None = None
        self._outputs = Outputs(node, name)
        self._newest: Answer | None = None
        service = "get_instance_cloud"
        answer = guard(self._get_instance_cloud, service, refuse)
        self._service = node.create_service(GetInstanceCloud, topic(name, service), answer)

    @property
    def listening(self) -> bool:
        """Returns whether clouds are listened to."""
        return self._input is not None

    def listen(self, receive: Receive, settings: Callable[[], Parameters]) -> str:
        """Hands over clouds from now on. Returns the topic that they come from."""
        self.health.begin()
        if settings().input == "rgbd":
            self._input = RgbdInput(
                self._node, self._prefix, lambda frame: receive(self, frame), settings, self._refuse
            )
        else:
            self._input = MatchedInput(
                self._node,
                f"{self._prefix}points",
                CLOUDS,
                lambda cloud: receive(self, cloud),
                lambda: settings().reliability,
                self._refuse,
            )
        return self._input.topic

    def close(self) -> None:
        """Listens no more."""
        if self._input is not None:
            self._input.close()
            self._input = None

    def clear(self) -> None:
        """Take away what has been shown."""
        self._newest = None
        self._outputs.clear()

    def destroy(self) -> None:
        """Take the topics and the service back."""
        self.close()
        self._outputs.destroy()
        self._node.destroy_service(self._service)

    def heard(self, selected: Iterable[str]) -> bool:
        """Returns whether somebody listens to one of the selected outputs."""
        self.health.heard = bool(self._outputs.wanted(selected))
        return self.health.heard

    def show(self, answer: Answer, selected: Iterable[str], cancellation: Cancellation) -> None:
        """Publish an answer. Raises CancelledError once it is called off."""
        cancellation.check()
        self._newest = answer
        self.health.answer(self._outputs.publish(answer, selected, cancellation))

    def diagnose(self, about: dict[str, str], stale_after: float) -> DiagnosticStatus:
        """Returns the status of the camera; `about` tells what the node works with."""
        node = self._node.get_fully_qualified_name().lstrip("/")
        name = f"{node}: {self.name} clouds" if self.name else f"{node}: clouds"
        listens_to = self._input.topic if self._input else "none"
        return status(self.health, name, about | {"topic": listens_to}, stale_after)

    def _get_instance_cloud(
        self, request: GetInstanceCloud.Request, response: GetInstanceCloud.Response
    ) -> GetInstanceCloud.Response:
        """Answer with the points of an object in the newest answer."""
        answer = self._newest
        cloud = None if answer is None else answer.points_of(request.id)
        if answer is None or cloud is None:
            response.message = f"object {request.id} is not in the newest cloud"
            return response
        response.success, response.cloud = True, write_points(answer.header, cloud_points(cloud))
        return response
