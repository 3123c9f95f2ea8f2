# SPDX-License-Identifier: Apache-2.0
"""What is special about CUDA: kernels that need Triton."""

from __future__ import annotations

import functools
from importlib import import_module
from importlib.util import find_spec
from types import ModuleType

import torch


@functools.cache
def kernels(module: str, device: torch.device) -> ModuleType | None:
    """Our module of Triton kernels, loaded when first wanted; None off CUDA or where there is no Triton."""
    return import_module(module) if device.type == "cuda" and find_spec("triton") else None
