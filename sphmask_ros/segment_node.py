# SPDX-License-Identifier: Apache-2.0
"""Node `segment`: a cloud in, its object instances out, always of the newest frame."""

from __future__ import annotations

import dataclasses
import math
import sys
import time
from functools import partial
from typing import Any

import rclpy
import torch
from diagnostic_msgs.msg import DiagnosticArray
from rcl_interfaces.msg import SetParametersResult
from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
from rclpy.exceptions import InvalidParameterTypeException, InvalidParameterValueException
from rclpy.executors import ExternalShutdownException
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.parameter import Parameter
from rclpy.signals import SignalHandlerOptions
from rclpy.task import Future
from std_srvs.srv import SetBool

from sphmask_core import Segmenter
from sphmask_core.runtime.cancellation import Cancellation, CancelledError, TooLateError
from sphmask_core.runtime.wording import quoted
from sphmask_ros.answer import Answer
from sphmask_ros.beside import Beside
from sphmask_ros.camera import Camera, Job
from sphmask_ros.cloud_input import STEADY
from sphmask_ros.diagnostics import Health, NodeHealth, status
from sphmask_ros.guard import guard_services, spin
from sphmask_ros.latency import latency_of
from sphmask_ros.outputs import warn_of_missing
from sphmask_ros.parameters import UNCONFIGURED, Parameters
from sphmask_ros.perception import Frame, Perception
from sphmask_ros.poses import listen
from sphmask_ros.srv import LoadModel
from sphmask_ros.tf2_poses import best_poses
from sphmask_ros.transitions import one_line, prepare_transitions, transition
from sphmask_ros.worker import NewestFirst

DIAGNOSTICS_PERIOD = 1.0
"""Seconds."""
PARTING = 0.5
"""Seconds that the worker has to finish what it publishes when the node ends."""
LOG_PERIOD = 5.0
"""Seconds in which clouds that cannot be segmented make one line of log."""
START_ERRORS = (InvalidParameterTypeException, InvalidParameterValueException, ValueError)
"""What parameters that cannot be used raise; once the node runs, nothing that is sent to it raises."""


class SegmentNode(LifecycleNode):
    """Segments what comes on `points`. The tables of docs/ros.md say what it publishes and understands.

    The executor's thread never waits for a cloud that is being computed: what ends the work calls it off,
    and what it leaves behind is put away on the worker's thread. Nor does it wait for a model that is loaded
    or run for the first time, which `_beside` does; meanwhile only requests of another model or of a
    transition wait, each for the one before it.
    """

    def __init__(self) -> None:
        super().__init__("segment")
        self.cameras: list[Camera] = []
        self._worker = NewestFirst(self.answer)
        self._settings = Parameters.declare(self)  # may raise, and then the node is destroyed as it is
        self._in_use: dict[str, Any] = {}
        self._poses, self._listening = best_poses(), False
        self.health = NodeHealth()
        self.add_on_set_parameters_callback(self._change_settings)
        self.create_service(SetBool, "~/enable", self._enable)
        self._beside, one_by_one = Beside(self), MutuallyExclusiveCallbackGroup()
        self.create_service(LoadModel, "~/load_model", self._load_model, callback_group=one_by_one)
        self._diagnostics = self.create_publisher(DiagnosticArray, "/diagnostics", 1)
        self.create_timer(DIAGNOSTICS_PERIOD, self._diagnose, clock=STEADY)
        prepare_transitions(self, one_by_one, self._prepare)
        guard_services(self, self.refuse)
        for name, near in self._settings.unknown(self).items():
            hint = f"; did you mean {near}?" if near else ""
            self.get_logger().warning(f"there is no parameter {name}{hint}")

    @transition("inactive")
    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Load the model; offer the outputs."""
        self._perception = self._beside.take(self._perceive, *self._chosen, False)
        self._perception.check(self._settings)
        warn_of_missing(self, self._settings.outputs)
        names = self._settings.cameras or ("",)
        self.cameras = [Camera(self, name, self.health, self.refuse) for name in names]
        self._in_use = {name: getattr(self._settings, name) for name in Parameters.names(UNCONFIGURED)}
        if self._settings.needs_poses and not self._listening:
            self.get_logger().info(f"poses are kept by {self._poses.keeper}")
            listen(self, self._poses, self.refuse)
            self._listening = True
        return super().on_configure(state)

    @transition("active")
    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Run the model once, then listen for clouds."""
        self._beside.take(self._perception.wake)
        super().on_activate(state)
        topics = [camera.listen(self._receive, lambda: self._settings) for camera in self.cameras]
        model, device = self._in_use["model"], self._perception.segmenter.device
        self.get_logger().info(f"segmenting {', '.join(topics)} with {model} on {device}")
        return TransitionCallbackReturn.SUCCESS

    @transition("inactive")
    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Stop listening, give up the frame at hand, then free the device's memory."""
        self.stop()
        self._put_away(self._perception)
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
        """Begins again after a transition that raised half-way."""
        self.stop()
        self._let_go()
        return TransitionCallbackReturn.SUCCESS

    def stop(self) -> None:
        """Stop listening and working, and show nothing any more; nothing to do unless active."""
        if self._active:
            self._call_off()
            for camera in self.cameras:
                camera.close()

    def destroy_node(self) -> None:
        """End the worker, too; it has a moment to finish what it publishes."""
        self.stop()
        self._worker.end(PARTING)
        super().destroy_node()
        self._state_machine.destroy_when_not_in_use()  # rclpy forgets it, and it would keep all of DDS alive

    @property
    def _active(self) -> bool:
        return any(camera.listening for camera in self.cameras)

    def _call_off(self) -> None:
        """Give up the clouds that wait and the one at hand, and take away what has been shown."""
        waiting, current = self._worker.clear()
        for job in waiting:
            job.camera.health.dropped += 1
        if current is not None:
            current.cancellation.cancel()
        for camera in self.cameras if self.context.ok() else ():
            camera.clear()

    def _put_away(self, perception: Perception) -> None:
        """Free the device's memory once the cloud at hand is done, or has been given up."""
        perception.sleep()
        self._worker.then(partial(self._rest, perception))

    def _rest(self, perception: Perception) -> None:
        try:
            perception.rest()
        except Exception as error:
            self.get_logger().error(f"the model stays on its device: {one_line(error)}")

    @property
    def _chosen(self) -> tuple[str, str]:
        """Returns the model and the device that parameters name."""
        return self._settings.model, self._settings.device

    def _perceive(self, model: str, device: str, awake: bool) -> Perception:
        """Load a model, on whichever thread; awake: run it once, and leave it on its device."""
        segmenter = Segmenter.load(model, device)
        perception = Perception(segmenter, self._poses, self.get_logger().info)
        perception.check(self._settings)
        if awake:
            perception.wake()
        else:
            perception.sleep()
            perception.rest()
        return perception

    async def _prepare(self, transition: str) -> None:
        """Do beside the executor what takes long of a transition that a service is asked for."""
        if transition == "configure" and not self._in_use:
            await self._beside.prepare(self._perceive, *self._chosen, False)
        elif transition == "activate" and self._in_use and not self._active:
            await self._beside.prepare(self._perception.wake)

    def _let_go(self) -> None:
        if self._in_use:
            self._put_away(self._perception)
            for camera in self.cameras:
                camera.destroy()
            self.cameras = []
            del self._perception
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
            warn_of_missing(self, settings.outputs)
        except (ValueError, OverflowError) as error:
            return SetParametersResult(successful=False, reason=one_line(error))
        return SetParametersResult(successful=True)

    def _enable(self, request: SetBool.Request, response: SetBool.Response) -> SetBool.Response:
        self.health.enabled = request.data
        if self._active and not request.data:
            self._call_off()
        response.success = True
        return response

    async def _load_model(
        self, request: LoadModel.Request, response: LoadModel.Response
    ) -> LoadModel.Response:
        """Load another model beside the one at hand, and put it in its place once it has run."""
        try:
            if not self._in_use:
                raise ValueError("not configured: set the parameter model, then configure")
            device = self._settings.device
            self._exchange(
                request.model,
                await self._beside.call(self._perceive, request.model, device, self._active),
            )
            response.success = True
        except Exception as error:
            response.message = one_line(error)
            self.get_logger().error(f"model not changed: {response.message}")
        return response

    def _exchange(self, model: str, perception: Perception) -> None:
        """Put a loaded model in the place of the one at hand."""
        perception.check(self._settings)  # which may have changed while it was loaded
        perception.succeed(self._perception)
        before, self._perception = self._perception, perception
        self._put_away(before)
        self._in_use["model"] = model
        self.set_parameters([Parameter("model", value=model)])

    def _receive(self, camera: Camera, msg: Frame) -> None:
        """Hand a cloud to the worker, on the executor's thread, which does nothing else with it."""
        arrival = time.monotonic()
        camera.health.receive()
        if camera.heard(self._settings.outputs) and self.health.enabled:
            job = Job(camera, msg, arrival, Cancellation(self._limit(msg, arrival)))
            camera.health.dropped += self._worker.offer(camera.name, job)

    def _limit(self, msg: Frame, arrival: float) -> float:
        """Returns when a cloud's answer is wanted at the latest, seconds of the steady clock."""
        if not self._settings.max_latency:
            return math.inf
        return arrival + self._settings.max_latency - latency_of(msg.header.stamp, self, arrival)

    def answer(self, job: Job) -> None:
        """Answer a cloud, on the worker's thread, which whatever a sensor sends must not end."""
        health = job.camera.health
        try:
            job.cancellation.check()
            job.camera.show(self._find_objects(job), self._settings.outputs, job.cancellation)
        except TooLateError:
            health.give_up()
        except CancelledError:
            health.cancelled += 1
        except (torch.cuda.OutOfMemoryError, MemoryError) as error:
            torch.cuda.empty_cache()
            health.out_of_memory += 1
            self._complain(job, error)
        except Exception as error:
            # Publishers that have been taken back meanwhile are no fault of the cloud.
            if self.context.ok() and not job.cancellation.cancelled:
                health.failed += 1
                self._complain(job, error)

    def _find_objects(self, job: Job) -> Answer:
        """Returns the objects of a cloud; nothing where the message is no cloud."""
        perception, settings = self._perception, self._settings
        try:
            answer = perception(job.msg, settings, job.camera.name, job.arrival, job.cancellation)
        except ValueError as error:
            job.camera.health.unreadable += 1
            self._complain(job, error)
            return perception.nothing(job.msg.header, settings)
        job.camera.health.failing = False
        return answer

    def refuse(self, what: str, error: Exception) -> None:
        """Count and tell that something was sent that cannot be used, and go on."""
        self.health.refuse(f"{what} is refused: {one_line(error)}")
        self.get_logger().warning(self.health.error, throttle_duration_sec=LOG_PERIOD)

    def _complain(self, job: Job, error: Exception) -> None:
        text = one_line(error)
        job.camera.health.fail(text)
        text = f"no objects in a cloud of {quoted(job.msg.header.frame_id)}: {text}"
        self.get_logger().warning(text, throttle_duration_sec=LOG_PERIOD)

    def _diagnose(self) -> None:
        model = self._in_use.get("model", "none")
        device = str(self._perception.segmenter.device) if self._in_use else "none"
        about = {"model": model, "device": device, "input": self._remark()}
        stale_after = self._settings.stale_after
        told = [camera.diagnose(about, stale_after) for camera in self.cameras]
        if not told:
            name = f"{self.get_fully_qualified_name().lstrip('/')}: clouds"
            told = [status(Health(self.health), name, about, stale_after)]
        msg = DiagnosticArray(status=told)
        msg.header.stamp = self.get_clock().now().to_msg()
        self._diagnostics.publish(msg)

    def _remark(self) -> str:
        """Returns how what comes is unlike what the model was trained on."""
        remarks = tuple(self._perception.remarks.values()) if self._in_use else ()
        return next((remark for remark in remarks if remark), "as the model was trained")


def _known(changed: list[Parameter]) -> dict[str, Any]:
    """Returns the values of the parameters that are ours; ROS has others."""
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
            node.destroy_node()
        rclpy.try_shutdown()
    return 0


def autostart(node: SegmentNode) -> bool:
    """Configure and activate without waiting for a lifecycle manager; the node logs why it could not."""
    transitions = (node.trigger_configure, node.trigger_activate)
    return all(transition() == TransitionCallbackReturn.SUCCESS for transition in transitions)
