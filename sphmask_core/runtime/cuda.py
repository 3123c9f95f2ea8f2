# SPDX-License-Identifier: Apache-2.0
"""What is special about CUDA: names of devices, kernels that need Triton, and streams."""

from __future__ import annotations

import functools
import re
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType
from typing import TypeVar

import torch

A = TypeVar("A")
B = TypeVar("B")


def find_device(name: str) -> str:
    """Returns the device of that name (auto, cpu, cuda, cuda:N); `auto` is cuda where there is one, else cpu.

    Raises ValueError for other names, and for a device that this machine does not have.
    """
    match = re.fullmatch(r"auto|cpu|cuda(?::(\d+))?", name)
    if not match:
        raise ValueError(f"device {name}: give auto, cpu, cuda or cuda:N")
    if name == "auto":
        return "cuda" if torch.cuda.is_available() else "cpu"
    if name != "cpu" and not torch.cuda.is_available():
        raise ValueError(f"device {name}: no CUDA device was found; use cpu or auto")
    if match[1] and int(match[1]) >= torch.cuda.device_count():
        raise ValueError(f"device {name}: there are {torch.cuda.device_count()} CUDA devices, from cuda:0 on")
    return name


@functools.cache
def kernels(module: str, device: torch.device) -> ModuleType | None:
    """Returns our module of Triton kernels, loaded when first wanted; None off CUDA or without Triton."""
    return import_module(module) if device.type == "cuda" and find_spec("triton") else None


def side_by_side(device: torch.device, first: Callable[[], A], second: Callable[[], B]) -> tuple[A, B]:
    """Returns what both branches return; in inference on CUDA the second has a stream of its own.

    Memory that the second stream has made is used again by that stream alone, which waits for the main one
    before it begins: nothing can be overwritten that is still read there.
    """
    if device.type != "cuda" or torch.is_grad_enabled():
        return first(), second()
    main = torch.cuda.current_stream(device)
    side = _side_stream(main)
    side.wait_stream(main)
    with torch.cuda.stream(side):
        later = second()
    now = first()
    main.wait_stream(side)
    return now, later


@functools.cache
def _side_stream(main: torch.cuda.Stream) -> torch.cuda.Stream:
    """Returns the stream that goes with another one: its memory is then always the same."""
    return torch.cuda.Stream(main.device)
