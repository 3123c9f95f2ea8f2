# SPDX-License-Identifier: Apache-2.0
"""Lifecycle transitions that tell what went wrong; rclpy would swallow it."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

from rclpy.lifecycle import LifecycleState, TransitionCallbackReturn

from sphmask_core.runtime import wording

Transition = Callable[[Any, LifecycleState], TransitionCallbackReturn]
RETRIED = ("on_configure", "on_activate")
"""Transitions after whose failure the node is as before; the others end in error processing."""


def transition(reached: str) -> Callable[[Transition], Transition]:
    """Returns a transition's callback that leads to that state, and that logs what it raises, and fails."""

    def decorate(callback: Transition) -> Transition:
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


def one_line(error: Exception) -> str:
    """Returns what an exception says, in one line, with its type where it is none that we raise for users."""
    text = wording.one_line(error)
    return text if isinstance(error, ValueError) else f"{type(error).__name__}: {text}"
