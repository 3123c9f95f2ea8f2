# SPDX-License-Identifier: Apache-2.0
"""Lifecycle transitions that tell what went wrong; rclpy would swallow it."""

from __future__ import annotations

import functools
from collections.abc import Awaitable, Callable
from typing import Any

from lifecycle_msgs.msg import Transition
from lifecycle_msgs.srv import ChangeState
from rclpy.callback_groups import CallbackGroup
from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn
from rclpy.node import Node

from sphmask_core.runtime import wording

OnTransition = Callable[[Any, LifecycleState], TransitionCallbackReturn]
RETRIED = ("on_configure", "on_activate")
"""Transitions after whose failure the node is as before; the others end in error processing."""
PREPARED = {Transition.TRANSITION_CONFIGURE: "configure", Transition.TRANSITION_ACTIVATE: "activate"}
"""Transitions of which a part takes long."""


def transition(reached: str) -> Callable[[OnTransition], OnTransition]:
    """Returns a transition's callback that leads to that state, and that logs what it raises, and fails."""

    def decorate(callback: OnTransition) -> OnTransition:
        @functools.wraps(callback)
        def attempt(node: Any, state: LifecycleState) -> TransitionCallbackReturn:
            try:
                result = callback(node, state)
            except Exception as error:
                name = callback.__name__
                node.get_logger().error(f"{name[3:]} failed: {one_line(error)}")
                return TransitionCallbackReturn.FAILURE if name in RETRIED else TransitionCallbackReturn.ERROR
            if result == TransitionCallbackReturn.SUCCESS:
                node.health.state = reached
            return result

        return attempt

    return decorate


def prepare_transitions(node: Node, group: CallbackGroup, prepare: Callable[[str], Awaitable[None]]) -> None:
    """Let the node's service of transitions await `prepare`, which is given the transition's name, before.

    rclpy itself answers only once the transition's callback has returned, and nobody else meanwhile.
    """
    (service,) = (service for service in node.services if service.srv_type is ChangeState)
    change = service.callback

    async def prepare_and_change(
        request: ChangeState.Request, response: ChangeState.Response
    ) -> ChangeState.Response:
        await prepare(request.transition.label or PREPARED.get(request.transition.id, ""))
        return change(request, response)

    service.callback = prepare_and_change
    service.callback_group = group
    group.add_entity(service)


def one_line(error: Exception) -> str:
    """Returns what an exception says, in one line, with its type where it is none that we raise for users."""
    text = wording.one_line(error)
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"
