# SPDX-License-Identifier: Apache-2.0
"""The C++ extension: plain arrays in and out, called through ctypes (which releases the GIL).

Every C function takes pointers to contiguous arrays that the caller has made, sizes as int64, and a
number of threads; none allocates what it returns. `function` types them once; `pointer` checks an array.
"""

from __future__ import annotations

import ctypes
import importlib.machinery
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch  # loaded first, so that the extension shares its OpenMP runtime and threads

INT = ctypes.c_int64
FLOAT = ctypes.c_float
DOUBLE = ctypes.c_double
PTR = ctypes.c_void_p


def _open() -> ctypes.CDLL:
    folder = Path(__file__).parent
    for suffix in importlib.machinery.EXTENSION_SUFFIXES:
        path = folder / f"_native{suffix}"
        if path.exists():
            return ctypes.CDLL(str(path))
    raise ImportError(f"{folder}: the C++ extension is not built; run `pip install -e .`")


_library = _open()


def function(name: str, *argtypes: Any, restype: Any = None) -> Callable[..., Any]:
    """The C function `name`, typed."""
    found = getattr(_library, name)
    found.argtypes = list(argtypes)
    found.restype = restype
    return found  # type: ignore[no-any-return]


def pointer(array: torch.Tensor | np.ndarray, dtype: torch.dtype | type) -> int:
    """Address of a contiguous CPU array, its type checked."""
    if isinstance(array, np.ndarray):
        if array.dtype != dtype or not array.flags.c_contiguous:
            raise TypeError(f"expected a contiguous array of {dtype}, got {array.dtype}")
        return array.ctypes.data
    if array.device.type != "cpu" or array.dtype != dtype or not array.is_contiguous():
        raise TypeError(f"expected a contiguous CPU tensor of {dtype}, got {array.dtype} on {array.device}")
    return array.data_ptr()


def threads() -> int:
    """Threads of a kernel: as many as torch's."""
    return torch.get_num_threads()
