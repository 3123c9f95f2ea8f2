#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""Node `segment`: a cloud in, its object instances out, always of the newest frame."""

from __future__ import annotations

import dataclasses
import functools
import sys
from collections.abc import Callable

import numpy as np
import rclpy
from rcl_interfaces.msg import SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.executors import ExternalShutdownException
from rclpy.impl.implementation_singleton import rclpy_implementation
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.qos import QoSProfile, ReliabilityPolicy
from rclpy.subscription import Subscription
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header
from visualization_msgs.msg import MarkerArray

from sphmask_core import Instances, Segmenter
from sphmask_core.cloud import Cloud
from sphmask_core.messages.pointcloud2 import read_cloud_message
from sphmask_ros.conversions import InstanceMarkers, instance_array, labelled_points
from sphmask_ros.msg import InstanceArray
from sphmask_ros.parameters import Parameters
from sphmask_ros.worker import NewestFirst

NO_POINTS = Cloud(np.empty((0, 3), np.float32), None, None, (0, 0))
REMATCH_PERIOD = 1.0
"""Seconds between looks at the publishers' reliability."""
LOG_PERIOD = 5.0
"""Seconds in which clouds that cannot be segmented make one line of log."""

Transition = Callable[["SegmentNode", LifecycleState], TransitionCallbackReturn]


def reported(transition: Transition) -> Transition:
    """Log what a transition raises and let it fail; rclpy would swallow it."""

    @functools.wraps(transition)
    def attempt(node: SegmentNode, state: LifecycleState) -> TransitionCallbackReturn:
        try:
            return transition(node, state)
        except Exception as error:
            node.get_logger().error(f"{transition.__name__[3:]} failed: {one_line(error)}")
            return TransitionCallbackReturn.FAILURE

    return attempt


class SegmentNode(LifecycleNode):
    """`points` in; `~/labelled_points`, `~/markers`, `~/instances` out, under the cloud's own header."""

    def __init__(self) -> None:
        super().__init__("segment")
        self._settings = Parameters.declare(self)
        self.add_on_set_parameters_callback(self._change_settings)
        self._subscription: Subscription | None = None

    @reported
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model and run it once; offer the outputs."""
        self._segmenter = Segmenter.load(self._settings.model, self._settings.device)
        self._segmenter.warm_up()
        self._own_min_score = self._segmenter.min_score
        self._rays = self._segmenter.config.model.rays
        self._instance_markers = InstanceMarkers(self._rays)
        self._points = self.create_lifecycle_publisher(PointCloud2, "~/labelled_points", 1)
        self._markers = self.create_lifecycle_publisher(MarkerArray, "~/markers", 1)
        self._instances = self.create_lifecycle_publisher(InstanceArray, "~/instances", 1)
        return super().on_configure(state)

    @reported
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Listen for clouds."""
        super().on_activate(state)
        self._worker = NewestFirst(self._answer)
        self._match_reliability()
        self._rematch = self.create_timer(REMATCH_PERIOD, self._match_reliability)
        topic = self.resolve_topic_name("points")
        self.get_logger().info(f"segmenting {topic} with {self._settings.model} on {self._segmenter.device}")
        return TransitionCallbackReturn.SUCCESS

    @reported
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening; the frame at hand is still answered."""
        self.stop()
        return super().on_deactivate(state)

    @reported
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the model."""
        for publisher in (self._points, self._markers, self._instances):
            self.destroy_lifecycle_publisher(publisher)
        del self._segmenter
        return TransitionCallbackReturn.SUCCESS

    @reported
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop, whatever the state."""
        self.stop()
        return super().on_shutdown(state)

    def stop(self) -> None:
        """Stop listening and working; nothing to do unless active."""
        if self._subscription is not None:
            self.destroy_timer(self._rematch)
            self.destroy_subscription(self._subscription)
            self._subscription = None
            self._worker.stop()

    def _change_settings(self, changed: list[Parameter]) -> SetParametersResult:
        known = {field.name for field in dataclasses.fields(Parameters)}
        values = {parameter.name: parameter.value for parameter in changed if parameter.name in known}
        try:
            self._settings = dataclasses.replace(self._settings, **values)
        except ValueError as error:
            return SetParametersResult(successful=False, reason=str(error))
        return SetParametersResult(successful=True)

    def _match_reliability(self) -> None:
        """Subscribe, again when the publishers' reliability asks for another one."""
        wanted = self._wanted_reliability()
        if self._subscription is not None:
            if self._subscription.qos_profile.reliability == wanted:
                return
            self.destroy_subscription(self._subscription)
        qos = QoSProfile(depth=1, reliability=wanted)
        self._subscription = self.create_subscription(PointCloud2, "points", self._receive, qos)

    def _wanted_reliability(self) -> ReliabilityPolicy:
        """Reliable, unless told otherwise or a publisher is only best effort: it would not be heard."""
        if self._settings.reliability != "auto":
            return ReliabilityPolicy[self._settings.reliability.upper()]
        offered = [info.qos_profile.reliability for info in self.get_publishers_info_by_topic("points")]
        best_effort = ReliabilityPolicy.BEST_EFFORT in offered
        return ReliabilityPolicy.BEST_EFFORT if best_effort else ReliabilityPolicy.RELIABLE

    def _receive(self, msg: PointCloud2) -> None:
        outputs = (self._points, self._markers, self._instances)
        if any(publisher.get_subscription_count() for publisher in outputs):
            self._worker.offer(msg)

    def _answer(self, msg: PointCloud2) -> None:
        cloud, found = self._find_instances(msg)
        try:
            self._publish(msg.header, cloud, found)
        except rclpy_implementation.RCLError:
            if self.context.ok():  # else a signal has ended the context while the model ran
                raise

    def _find_instances(self, msg: PointCloud2) -> tuple[Cloud, Instances]:
        try:
            cloud = read_cloud_message(msg)
            wanted = self._settings.min_score
            self._segmenter.min_score = wanted if wanted >= 0 else self._own_min_score
            found = self._segmenter(cloud.xyz, cloud.rgb)
        except Exception as error:  # whatever a sensor sends, the node goes on
            text = f"no instances in a cloud of {msg.header.frame_id!r}: {one_line(error)}"
            self.get_logger().warning(text, throttle_duration_sec=LOG_PERIOD)
            return NO_POINTS, self._segmenter(NO_POINTS.xyz)
        return cloud, found

    def _publish(self, header: Header, cloud: Cloud, found: Instances) -> None:
        if self._points.get_subscription_count():
            self._points.publish(labelled_points(header, cloud, found.labels))
        if self._markers.get_subscription_count():
            self._markers.publish(self._instance_markers.update(header, found))
        if self._instances.get_subscription_count():
            self._instances.publish(instance_array(header, found, self._rays))


def one_line(error: Exception) -> str:
    """What an exception says, in one line, with its type where it is none that we raise for users."""
    text = " ".join(str(error).split())[:300]
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"


def main() -> int:
    """Run the node until a signal; 2 when it cannot start."""
    rclpy.init()
    try:
        node = SegmentNode()
        if node.get_parameter("autostart").value and not autostart(node):
            return 2
        try:
            rclpy.spin(node)
        finally:
            node.stop()
    except (InvalidParameterTypeException, InvalidParameterValueException, ValueError) as error:
        print(f"segment: {one_line(error)}", file=sys.stderr)
        return 2
    except (KeyboardInterrupt, ExternalShutdownException):
        return 0
    finally:
        rclpy.try_shutdown()
    return 0


def autostart(node: SegmentNode) -> bool:
    """Configure and activate without waiting for a lifecycle manager; the node logs why it could not."""
    transitions = (node.trigger_configure, node.trigger_activate)
    return all(transition() == TransitionCallbackReturn.SUCCESS for transition in transitions)


if __name__ == "__main__":
    sys.exit(main())
