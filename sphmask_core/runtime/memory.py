# SPDX-License-Identifier: Apache-2.0
"""How the process keeps memory between the clouds that it segments, and what says that there is none left."""

from __future__ import annotations

import ctypes
from contextlib import suppress

TRIM_THRESHOLD, MMAP_THRESHOLD = -1, -3
"""Parameters of glibc's mallopt, which numbers them so."""
KEPT = 1 << 27
"""Bytes that stay with the process after they are freed."""
LARGEST = 1 << 25
"""Arrays up to this many bytes come from what was freed; glibc allows no more."""

TORCH_HAS_NONE = ("can't allocate memory", "out of memory")
"""What torch says in a RuntimeError of the CPU's memory, and of the GPU's."""


def is_out_of_memory(error: Exception) -> bool:
    """Returns whether an error says that there is no memory."""
    by_torch = isinstance(error, RuntimeError) and any(words in str(error) for words in TORCH_HAS_NONE)
    return isinstance(error, MemoryError) or by_torch


def keep_freed_memory() -> None:
    """Keeps freed memory for use again, because the system clears what it gives page by page each time.

    A frame of a depth camera takes a sixth less time so. Nothing happens where the C library is not glibc.
    """
    with suppress(AttributeError, OSError):
        mallopt = ctypes.CDLL(None).mallopt
        mallopt(TRIM_THRESHOLD, KEPT)
        mallopt(MMAP_THRESHOLD, LARGEST)
