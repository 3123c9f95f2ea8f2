# SPDX-License-Identifier: Apache-2.0
"""Serialized messages taken from DDS on a thread of their own, so that the executor's answers meanwhile.

rclpy takes a message on the executor's thread, copies it three times and keeps Python's lock all the while:
no service answers until a cloud of 160 MB is there. Here a thread calls rcl itself, by ctypes, which gives
the lock up. rcl copies twice; the message then stays where rcl put it.
"""

from __future__ import annotations

import ctypes
import threading
import weakref
from collections.abc import Callable
from types import TracebackType
from typing import Any

import numpy as np
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.subscription import Subscription
from rclpy.waitable import NumberOfEntities, Waitable

OK, BAD_ALLOC, NOTHING = 0, 10, 401
"""RCL_RET_OK, RCL_RET_BAD_ALLOC and RCL_RET_SUBSCRIPTION_TAKE_FAILED of rcl/types.h."""


class _Allocator(ctypes.Structure):
    """rcutils_allocator_t: four functions and what they are given."""

    _fields_ = [(name, ctypes.c_void_p) for name in ("allocate", "free", "reallocate", "zero", "state")]


class _Bytes(ctypes.Structure):
    """rcutils_uint8_array_t, which rcl_serialized_message_t is."""

    _fields_ = [
        ("buffer", ctypes.c_void_p),
        ("length", ctypes.c_size_t),
        ("capacity", ctypes.c_size_t),
        ("allocator", _Allocator),
    ]


_RCL, _RCUTILS = ctypes.CDLL("librcl.so"), ctypes.CDLL("librcutils.so")  # those that rclpy has loaded
_RCL.rcl_take_serialized_message.argtypes = (ctypes.c_void_p, ctypes.POINTER(_Bytes)) + (ctypes.c_void_p,) * 2
_RCUTILS.rcutils_get_default_allocator.restype = _Allocator
_RCUTILS.rcutils_uint8_array_fini.argtypes = (ctypes.POINTER(_Bytes),)


def take_serialized(handle: Any) -> memoryview | None:
    """Returns the next message of a subscription's handle, None where there is none. Other threads go on
    meanwhile.

    The view keeps rcl's memory for as long as it is used. Raises MemoryError and RuntimeError.
    """
    message = _Bytes(allocator=_RCUTILS.rcutils_get_default_allocator())
    with handle:
        code = _RCL.rcl_take_serialized_message(handle.pointer, message, None, None)
    if code == OK:
        return _view(message)
    _RCUTILS.rcutils_reset_error()
    _free(message)
    if code == NOTHING:
        return None
    raise MemoryError("no memory for a message") if code == BAD_ALLOC else RuntimeError(f"rcl returns {code}")


def _view(message: _Bytes) -> memoryview:
    if not message.length:
        _free(message)
        return memoryview(b"")
    place = (ctypes.c_uint8 * message.length).from_address(message.buffer)
    weakref.finalize(place, _free, message).atexit = False
    return np.frombuffer(place, np.uint8).data


def _free(message: _Bytes) -> None:
    _RCUTILS.rcutils_uint8_array_fini(message)


class NotByExecutor(CallbackGroup):
    """Group of subscriptions that the executor must not take from."""

    def can_execute(self, entity: Any) -> bool:
        """Returns False: it is never executed."""
        return False

    def beginning_execution(self, entity: Any) -> bool:
        """Returns False: its execution never begins."""
        return False

    def ending_execution(self, entity: Any) -> None:
        """Do nothing, for nothing has begun."""


class Taking(Waitable):  # type: ignore[type-arg]  # generic since Jazzy
    """Hands over the messages of a subscription in NotByExecutor, on the executor's thread.

    While one is being taken the subscription is not waited for; DDS keeps the newest of those that come.
    """

    def __init__(self, node: Node, subscription: Subscription, receive: Callable[[memoryview], None]) -> None:
        super().__init__(node.default_callback_group)
        self._node, self._handle, self._receive = node, subscription.handle, receive
        self.idle = True
        """Whether no message is being taken; of the executor's thread alone."""
        self._closed = False
        self._taken: memoryview | Exception | None = None
        self._asked, self._closing = threading.Semaphore(0), threading.Lock()
        self._ready = node.create_guard_condition(self._hand_over)
        node.add_waitable(self)
        threading.Thread(target=self._run, name="taking", daemon=True).start()

    def close(self) -> None:
        """Hand over no more; what is being taken is let go."""
        self._node.remove_waitable(self)
        with self._closing:
            self._closed = True
            self._node.destroy_guard_condition(self._ready)
        self._asked.release()

    def _run(self) -> None:
        """Take one message each time it is asked for."""
        while self._asked.acquire() and not self._closed:
            try:
                self._taken = take_serialized(self._handle)
            except Exception as error:
                self._taken = error
            with self._closing:
                if not self._closed:
                    self._ready.trigger()

    def _hand_over(self) -> None:
        """Hand over, on the executor's thread, what was taken, or what was wrong with it."""
        taken, self._taken = self._taken, None
        self.idle = True
        if isinstance(taken, Exception):
            raise taken
        if taken is not None:
            self._receive(taken)

    # What the executor asks of a Waitable, on its own thread.

    def __enter__(self) -> None:
        """Keep the subscription while it is waited for."""
        self._handle.__enter__()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let the subscription go."""
        self._handle.__exit__(kind, error, trace)

    def get_num_entities(self) -> NumberOfEntities:
        """Returns the number of what is waited for: the subscription, unless a message is being taken."""
        return NumberOfEntities(num_subs=int(self.idle))

    def add_to_wait_set(self, wait_set: Any) -> None:
        """Add the subscription, unless a message is being taken."""
        if self.idle:
            wait_set.add_subscription(self._handle)

    def is_ready(self, wait_set: Any) -> bool:
        """Returns whether a message has come."""
        return self.idle and self._handle.pointer in wait_set.get_ready_entities("subscription")

    def take_data(self) -> None:
        """Let the thread take it."""
        self.idle = False
        self._asked.release()

    async def execute(self, taken_data: None) -> None:
        """Nothing more is to be done on this thread."""
