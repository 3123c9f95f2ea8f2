# SPDX-License-Identifier: Apache-2.0
"""One bad message never ends the node: what its callbacks raise is counted, told, and the node goes on."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable
from typing import Any

import rclpy
from rcl_interfaces.msg import SetParametersResult
from rcl_interfaces.srv import SetParameters, SetParametersAtomically
from rclpy.executors import ExternalShutdownException
from rclpy.node import Node
from rclpy.task import Future

from sphmask_ros.transitions import one_line

Refuse = Callable[[str, Exception], None]
"""Told what a message was and why it was refused."""


def guard_services(node: Node, refuse: Refuse) -> None:
    """Let every service of the node answer, with success false, where its callback raises.

    rclpy's own do: a parameter of a type that does not exist, and before Kilted a transition that the
    lifecycle has not from its present state.
    """
    for service in node.services:
        service.callback = guard(service.callback, service.srv_name.rsplit("/", 1)[-1], refuse)


def guard(callback: Callable[[Any, Any], Any], name: str, refuse: Refuse) -> Callable[[Any, Any], Any]:
    """Returns a service's callback that answers, with success false, where it raises.

    It is a coroutine where the callback is one.
    """

    def refused(request: Any, response: Any, error: Exception) -> Any:
        refuse(f"a request of {name}", error)
        return _refusal(request, response, one_line(error))

    if inspect.iscoroutinefunction(callback):

        @functools.wraps(callback)
        async def answer_later(request: Any, response: Any) -> Any:
            try:
                return await callback(request, response)
            except Exception as error:
                return refused(request, response, error)

        return answer_later

    @functools.wraps(callback)
    def answer(request: Any, response: Any) -> Any:
        try:
            return callback(request, response)
        except Exception as error:
            return refused(request, response, error)

    return answer


def _refusal(request: Any, response: Any, reason: str) -> Any:
    """Returns the response filled with what says that nothing, or nothing more, was done."""
    refused = SetParametersResult(successful=False, reason=reason)
    if isinstance(response, SetParameters.Response):
        response.results += [refused] * (len(request.parameters) - len(response.results))
    elif isinstance(response, SetParametersAtomically.Response):
        response.result = refused
    return response


def spin(node: Node, ended: Future[None], refuse: Refuse) -> None:
    """Run the node's callbacks until `ended` is done or ROS is shut down, whatever they raise."""
    while rclpy.ok() and not ended.done():
        try:
            rclpy.spin_until_future_complete(node, ended)
        except ExternalShutdownException:
            return
        except Exception as error:
            refuse("a callback", error)
