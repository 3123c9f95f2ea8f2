# SPDX-License-Identifier: Apache-2.0
"""Node `segment`: a cloud in, its object instances out, always of the newest frame."""

from __future__ import annotations

import dataclasses
import sys
from typing import Any

import rclpy
import torch
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future
from sensor_msgs.msg import PointCloud2
from std_srvs.srv import SetBool

from sphmask_core import Segmenter
from sphmask_core.messages.pointcloud2 import cloud_points
from sphmask_ros.answer import Answer
from sphmask_ros.cloud_input import STEADY, MatchedInput
from sphmask_ros.conversions import write_points
from sphmask_ros.diagnostics import Health, report
from sphmask_ros.guard import guard_services, spin
from sphmask_ros.outputs import Outputs
from sphmask_ros.parameters import UNCONFIGURED, Parameters
from sphmask_ros.perception import Frame, Perception
from sphmask_ros.poses import Poses, listen
from sphmask_ros.rgbd_input import RgbdInput
from sphmask_ros.srv import GetInstanceCloud, LoadModel
from sphmask_ros.transitions import one_line, transition
from sphmask_ros.worker import NewestFirst

DIAGNOSTICS_PERIOD = 1.0
"""Seconds."""
LOG_PERIOD = 5.0
"""Seconds in which clouds that cannot be segmented make one line of log."""
CLOUDS = {"sensor_msgs/msg/PointCloud2": PointCloud2}
START_ERRORS = (InvalidParameterTypeException, InvalidParameterValueException, ValueError)
"""What parameters that cannot be used raise; once the node runs, nothing that is sent to it raises."""


class SegmentNode(LifecycleNode):
    """`points` in; objects out, under the cloud's own header. The tables of docs/ros.md say what there is."""

    def __init__(self) -> None:
        super().__init__("segment")
        self._settings = Parameters.declare(self)
        self._in_use: dict[str, Any] = {}
        self._poses, self._listening = Poses(), False
        self._input: MatchedInput | RgbdInput | None = None
        self._newest: Answer | None = None
        self.health = Health()
        self.add_on_set_parameters_callback(self._change_settings)
        self.create_service(SetBool, "~/enable", self._enable)
        self.create_service(LoadModel, "~/load_model", self._load_model)
        self.create_service(GetInstanceCloud, "~/get_instance_cloud", self._get_instance_cloud)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 1)
        self.create_timer(DIAGNOSTICS_PERIOD, self._diagnose, clock=STEADY)
        guard_services(self, self.refuse)
        for name, near in self._settings.unknown(self).items():
            hint = f"; did you mean {near}?" if near else ""
            self.get_logger().warning(f"there is no parameter {name}{hint}")

    @transition("inactive")
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model; offer the outputs."""
        self._perception = self._perceive(self._settings.model)
        self._perception.sleep()
        self._outputs = Outputs(self)
        self._in_use = {name: getattr(self._settings, name) for name in Parameters.names(UNCONFIGURED)}
        if self._settings.needs_poses and not self._listening:
            listen(self, self._poses, self.refuse)
            self._listening = True
        return super().on_configure(state)

    @transition("active")
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run the model once, then listen for clouds."""
        self._perception.wake()
        super().on_activate(state)
        self._worker = NewestFirst(self.answer)
        self.health.begin()
        self._input = self._open_input()
        model, device = self._in_use["model"], self._perception.segmenter.device
        self.get_logger().info(f"segmenting {self._input.topic} with {model} on {device}")
        return TransitionCallbackReturn.SUCCESS

    @transition("inactive")
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening, finish the frame at hand, free the device's memory."""
        self.stop()
        self._perception.sleep()
        return super().on_deactivate(state)

    @transition("unconfigured")
    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of the model."""
        self._let_go()
        return TransitionCallbackReturn.SUCCESS

    @transition("finalized")
    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop, whatever the state."""
        self.stop()
        self._let_go()
        return TransitionCallbackReturn.SUCCESS

    @transition("unconfigured")
    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """After a transition that raised half-way: begin again."""
        self.stop()
        self._let_go()
        return TransitionCallbackReturn.SUCCESS

    def stop(self, timeout: float | None = None) -> None:
        """Stop listening and working, and show nothing any more; nothing to do unless active."""
        if self._input is not None:
            self._input.close()
            self._input = None
            self._clear(timeout)

    def _clear(self, timeout: float | None = None) -> None:
        """End the worker, after the frame at hand, and take away what it has shown."""
        self._worker.stop(timeout)
        self._newest = None
        if self.context.ok():
            self._outputs.clear()

    def _open_input(self) -> MatchedInput | RgbdInput:
        if self._settings.input == "rgbd":
            return RgbdInput(self, self._receive, lambda: self._settings)
        return MatchedInput(self, "points", CLOUDS, self._receive, lambda: self._settings.reliability)

    def _perceive(self, model: str) -> Perception:
        segmenter = Segmenter.load(model, self._settings.device)
        perception = Perception(segmenter, self._poses, self.get_logger().info)
        perception.check(self._settings)
        return perception

    def _let_go(self) -> None:
        if self._in_use:
            self._perception.sleep()
            self._outputs.destroy()
            del self._perception, self._outputs
            self._in_use = {}

    def _change_settings(self, changed: list[Parameter]) -> SetParametersResult:
        values = _known(changed)
        fixed = [name for name in values if self._in_use.get(name, values[name]) != values[name]]
        try:
            if fixed:
                raise ValueError(
                    f"{fixed[0]} is in use; clean up first, or for another model call ~/load_model"
                )
            settings = dataclasses.replace(self._settings, **values)
            if self._in_use:
                self._perception.check(settings)
            self._settings = settings
        except (ValueError, OverflowError) as error:
            return SetParametersResult(successful=False, reason=one_line(error))
        return SetParametersResult(successful=True)

    def _enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self.health.enabled = request.data
        if self._input is not None and not request.data:
            self._clear()
            self._worker = NewestFirst(self.answer)
        response.success = True
        return response

    def _load_model(self, request: LoadModel.Request, response: LoadModel.Response) -> LoadModel.Response:
        """Another model beside the one at hand, and in its place once it has run."""
        try:
            if not self._in_use:
                raise ValueError("not configured: set the parameter model, then configure")
            perception = self._perceive(request.model)
            if self._input is not None:
                perception.wake()
            perception.succeed(self._perception)
            self._perception, self._in_use["model"] = perception, request.model
            self.set_parameters([Parameter("model", value=request.model)])
            response.success = True
        except Exception as error:
            response.message = one_line(error)
            self.get_logger().error(f"model not changed: {response.message}")
        torch.cuda.empty_cache()
        return response

    def _get_instance_cloud(
        self, request: GetInstanceCloud.Request, response: GetInstanceCloud.Response
    ) -> GetInstanceCloud.Response:
        """The points of an object in the newest answer."""
        answer = self._newest
        cloud = None if answer is None else answer.points_of(request.id)
        if answer is None or cloud is None:
            response.message = f"object {request.id} is not in the newest cloud"
            return response
        response.success, response.cloud = True, write_points(answer.header, cloud_points(cloud))
        return response

    def _receive(self, msg: Frame) -> None:
        self.health.receive()
        self.health.heard = bool(self._outputs.wanted(self._settings.outputs))
        if self.health.enabled and self.health.heard:
            self.health.dropped += self._worker.offer(msg)

    def answer(self, msg: Frame) -> None:
        """Answer a cloud, on the worker's thread, which whatever a sensor sends must not end."""
        try:
            answer = self._newest = self._find_objects(msg)
            self.health.answer(self._outputs.publish(answer, self._settings.outputs))
        except torch.cuda.OutOfMemoryError as error:
            torch.cuda.empty_cache()
            self.health.out_of_memory += 1
            self._complain(msg, error)
        except Exception as error:
            if self.context.ok():  # else the node has been ended while the model ran
                self._complain(msg, error)

    def _find_objects(self, msg: Frame) -> Answer:
        """Nothing where the cloud is none."""
        try:
            answer = self._perception(msg, self._settings)
        except ValueError as error:
            self.health.unreadable += 1
            self._complain(msg, error)
            return self._perception.nothing(msg.header, self._settings)
        self.health.failing = False
        return answer

    def refuse(self, what: str, error: Exception) -> None:
        """Something was sent that cannot be used: count and tell it, and go on."""
        self.health.refuse(f"{what} is refused: {one_line(error)}")
        self.get_logger().warning(self.health.error, throttle_duration_sec=LOG_PERIOD)

    def _complain(self, msg: Frame, error: Exception) -> None:
        self.health.fail(one_line(error))
        text = f"no objects in a cloud of {msg.header.frame_id!r}: {self.health.error}"
        self.get_logger().warning(text, throttle_duration_sec=LOG_PERIOD)

    def _diagnose(self) -> None:
        model = self._in_use.get("model", "none")
        device = str(self._perception.segmenter.device) if self._in_use else "none"
        topic = "depth" if self._settings.input == "rgbd" else "points"
        about = {"model": model, "device": device, "topic": self.resolve_topic_name(topic)}
        about["input"] = self._remark()
        name = self.get_fully_qualified_name().lstrip("/")
        msg = report(self.health, f"{name}: clouds", about, self._settings.stale_after)
        msg.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(msg)

    def _remark(self) -> str:
        """How what comes is unlike what the model was trained on."""
        remarks = tuple(self._perception.remarks.values()) if self._in_use else ()
        return next((remark for remark in remarks if remark), "as the model was trained")


def _known(changed: list[Parameter]) -> dict[str, Any]:
    """Values of the parameters that are ours; ROS has others."""
    names = {field.name for field in dataclasses.fields(Parameters)}
    return {parameter.name: parameter.value for parameter in changed if parameter.name in names}


def main(ended: Future[None]) -> int:
    """Run the node until `ended` is done; 2 when it cannot start."""
    rclpy.init(signal_handler_options=SignalHandlerOptions.NO)
    node = None
    try:
        node = SegmentNode()
        if node.get_parameter("autostart").value and not autostart(node):
            return 2 if rclpy.ok() else 0
        spin(node, ended, node.refuse)
    except ExternalShutdownException:
        return 0
    except START_ERRORS as error:
        print(f"segment: {one_line(error)}", file=sys.stderr)
        return 2
    finally:
        if node is not None:
            node.stop(timeout=0.5)
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


def autostart(node: SegmentNode) -> bool:
    """Configure and activate without waiting for a lifecycle manager; the node logs why it could not."""
    transitions = (node.trigger_configure, node.trigger_activate)
    return all(transition() == TransitionCallbackReturn.SUCCESS for transition in transitions)
