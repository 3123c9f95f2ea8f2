# SPDX-License-Identifier: Apache-2.0
"""What the kernels read of a module's weights, kept for as long as these stay as they are."""

from __future__ import annotations

from operator import attrgetter
from typing import Generic, TypeVar

from torch import Tensor, nn

Packed = TypeVar("Packed")

WRITES = attrgetter("_version")
"""Torch's count of the writes to a tensor."""


class Kept(Generic[Packed]):
    """Holds what was made of a module's parameters and statistics, and tells whether these have changed.

    Every call of a model asks, for hundreds of tensors: where these are found is looked up once. Noticed are
    parameters, statistics and modules that were replaced, and tensors that were written or moved.
    """

    def __init__(self, module: nn.Module, packed: Packed) -> None:
        parts = list(module.modules())
        self._children = [part._modules for part in parts if part._modules]  # noqa: SLF001  the dicts themselves
        self._tensors = [
            named
            for part in parts
            for named in (part._parameters, part._buffers)  # noqa: SLF001
            if named
        ]
        self._state = self._now()
        self.packed = packed

    def changed(self) -> bool:
        """Returns whether the module is another one than that which `packed` was made of."""
        return self._now() != self._state

    def _now(self) -> list[object]:
        """Returns the modules inside, the address of each tensor, and how often each was written."""
        tensors = [tensor for named in self._tensors for tensor in named.values() if tensor is not None]
        state: list[object] = [*map(Tensor.data_ptr, tensors)]
        try:
            state += map(WRITES, tensors)
        except RuntimeError:  # some were made in inference mode
            state += map(writes, tensors)
        for named in self._children:
            state += named.values()
        return state


def writes(tensor: Tensor) -> int:
    """Returns how often a tensor was written in place, as far as torch counts."""
    return 0 if tensor.is_inference() else WRITES(tensor)  # type: ignore[no-any-return]
