# SPDX-License-Identifier: Apache-2.0
"""What is checked before a C function sees an array or a number, and what it raises.

A C function takes its arguments in the order of its entry in `kernels.py`; then, where it has a result, a
pointer to that; then every size that the entry names, as int64, in the order in which the names first appear;
then, where it has threads, their number. It returns null, or in one line what is wrong with the values.
"""

from __future__ import annotations

import ctypes
import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np
import torch

from sphmask_core.runtime.cancellation import CancelledError

FLOAT32_MAX = float(np.finfo(np.float32).max)
INT64_MAX = 2**63 - 1
NO_MEMORY = b"out of memory"
"""The message by which guard.h tells of a lack of memory."""
CALLED_OFF = b"called off"
"""The message by which watch.h tells that the flag was set."""
ERRORS: dict[bytes, type[Exception]] = {NO_MEMORY: MemoryError, CALLED_OFF: CancelledError}
"""What is raised for these messages; for all others a ValueError."""

UINT8, INT32, UINT32, INT64 = torch.uint8, torch.int32, torch.uint32, torch.int64
FLOAT32, FLOAT64, BOOL = torch.float32, torch.float64, torch.bool
NUMPY_TYPES = {
    dtype: np.dtype(str(dtype).removeprefix("torch."))
    for dtype in (UINT8, INT32, UINT32, INT64, FLOAT32, FLOAT64, BOOL)
}
"""Types of arrays, and what NumPy calls them."""


Sizes = dict[int | str, int]
"""Where each size of a function stands in the list of known ones: numbers, then names."""
Known = list[int | None]
"""The sizes of one call, None as long as no array has told."""


@dataclass(frozen=True)
class Array:
    """Checks an argument that is a contiguous array on the CPU, a tensor or an array of NumPy."""

    dtype: torch.dtype
    shape: tuple[int | str, ...]
    """Sizes; a name stands for any size, the same wherever the function names it."""
    optional: bool = False
    """Whether None may be passed."""
    written: bool = False
    """Whether the C function writes into it."""

    ctype = ctypes.c_void_p

    def taker(self, name: str, sizes: Sizes) -> Callable[[Any, Known], int | None]:
        """Returns the function that checks an array, notes its sizes and returns its address.

        It runs for every array of every call, so it looks up nothing that can be known before.
        """
        dtype, optional, rank = self.dtype, self.optional, len(self.shape)
        places = [sizes[size] for size in self.shape]

        def take(value: Any, known: Known) -> int | None:
            if isinstance(value, torch.Tensor):
                if value.dtype is not dtype or not value.is_cpu or not value.is_contiguous():
                    self._refuse_type(name, value)
                address = value.data_ptr()
            elif value is None and optional:
                return None
            else:
                address = self._address(name, value)
            shape = value.shape
            if len(shape) != rank:
                self._refuse_shape(name, shape, known, sizes)
            for place, size in zip(places, shape):  # noqa: B905 - of one length, and strict costs
                if known[place] != size:
                    if known[place] is not None:
                        self._refuse_shape(name, shape, known, sizes)
                    known[place] = size
            return address

        return take

    def _address(self, name: str, value: Any) -> int:
        """Returns the address of a NumPy array's memory."""
        if not isinstance(value, np.ndarray) or value.dtype != NUMPY_TYPES[self.dtype]:
            self._refuse_type(name, value)
        if not value.flags.c_contiguous or not value.flags.aligned:
            self._refuse_type(name, value)
        if self.written and not value.flags.writeable:
            raise TypeError(f"{name} is written to, but the array is read-only")
        return value.ctypes.data

    def _refuse_type(self, name: str, value: Any) -> NoReturn:
        raise TypeError(
            f"{name} must be a contiguous {_plain(self.dtype)} array on the CPU, not {_describe(value)}"
        )

    def _refuse_shape(self, name: str, shape: tuple[int, ...], known: Known, sizes: Sizes) -> NoReturn:
        wanted = ", ".join(map(str, self.shape))
        known_sizes = [f"{size} = {known[sizes[size]]}" for size in self.shape if isinstance(size, str)]
        known_sizes = [text for text in dict.fromkeys(known_sizes) if not text.endswith("None")]
        where = f" with {', '.join(known_sizes)}" if known_sizes else ""
        raise ValueError(f"{name} must have the shape ({wanted}){where}, not {tuple(shape)}")


@dataclass(frozen=True)
class Number:
    """A number within bounds; NaN is in none."""

    ctype: type
    types: tuple[type, ...]
    low: float
    high: float

    def taker(self, name: str, sizes: Sizes) -> Callable[[Any, Known], Any]:
        """Returns the function that checks a number and returns it."""
        types: Any = self.types
        low, high = self.low, self.high

        def take(value: Any, known: Known) -> Any:
            if not isinstance(value, types):
                raise TypeError(f"{name} must be {_KINDS[types]}, not {_describe(value)}")
            if not low <= value <= high:
                raise ValueError(f"{name} must be {self._bounds()}, not {_shorten(value)}")
            return value

        return take

    def _bounds(self) -> str:
        low = "" if self.low == -FLOAT32_MAX else f"at least {self.low:g}"
        high = "" if self.high in (FLOAT32_MAX, INT64_MAX, math.inf) else f"at most {self.high:g}"
        return " and ".join(filter(None, (low, high))) or "finite in single precision"


Argument = Array | Number


def array(dtype: torch.dtype, *shape: int | str) -> Array:
    """Returns the argument of a kernel that is an array to be read."""
    return Array(dtype, shape)


def out(kind: Array) -> Array:
    """Returns the same argument for an array that is written to."""
    return replace(kind, written=True)


def maybe(kind: Array) -> Array:
    """Returns the same argument where None may stand in its place."""
    return replace(kind, optional=True)


_WHOLE = (int, np.integer)
_REAL = (float, int, np.floating, np.integer)
_KINDS: dict[tuple[type, ...], str] = {_WHOLE: "a whole number", _REAL: "a number"}


def whole(low: int, high: int = INT64_MAX) -> Number:
    """Returns the argument of a kernel that is a whole number from `low` to `high`, int64 in C."""
    return Number(ctypes.c_int64, _WHOLE, low, high)


def real(low: float = -FLOAT32_MAX, high: float = FLOAT32_MAX, ctype: type = ctypes.c_float) -> Number:
    """Returns the argument of a kernel that is a finite number from `low` to `high`, float in C."""
    return Number(ctype, _REAL, low, high)


@dataclass(frozen=True)
class Signature:
    """What a C function takes and returns."""

    arguments: dict[str, Argument]
    result: type | None = None
    """Type of C of the number that it finds."""
    parallel: bool = False
    """Whether its last argument is the number of threads."""

    def sizes(self) -> Sizes:
        """Returns the places of all sizes: numbers first, then names in the order in which they appear."""
        shapes = [size for kind in self.arguments.values() if isinstance(kind, Array) for size in kind.shape]
        fixed = dict.fromkeys(size for size in shapes if isinstance(size, int))
        return {size: place for place, size in enumerate(fixed | dict.fromkeys(shapes))}

    def c_types(self) -> list[Any]:
        """Returns the types of the C function's arguments."""
        named = sum(isinstance(size, str) for size in self.sizes())
        result: list[Any] = [] if self.result is None else [ctypes.POINTER(self.result)]
        kinds = [kind.ctype for kind in self.arguments.values()]
        return [*kinds, *result, *[ctypes.c_int64] * (named + self.parallel)]

    def bind(self, library: ctypes.CDLL, function: str) -> Callable[..., Any]:
        """Returns the C function `sphmask_<function>` as one of Python: one value for each argument, in their
        order.

        It returns the number that the C function finds. A value of the wrong type raises a TypeError, one
        that the function cannot work with a ValueError, lack of memory a MemoryError, and the flag that
        `watch` named a CancelledError.
        """
        c_function = getattr(library, f"sphmask_{function}")
        c_function.argtypes, c_function.restype = self.c_types(), ctypes.c_char_p
        sizes = self.sizes()
        takers = [kind.taker(f"{function}: {name}", sizes) for name, kind in self.arguments.items()]
        known: Known = [size if isinstance(size, int) else None for size in sizes]
        return _checked(function, c_function, takers, known, self.result, self.parallel)


def _checked(
    function: str,
    c_function: Callable[..., bytes | None],
    takers: list[Callable[[Any, Known], Any]],
    start: Known,
    result: type | None,
    parallel: bool,
) -> Callable[..., Any]:
    """Returns `c_function` behind the checks of its arguments; start: its sizes, those known that are
    numbers."""
    fixed, count = sum(size is not None for size in start), len(takers)

    def call(*values: Any) -> Any:
        if len(values) != count:
            raise TypeError(f"{function} takes {count} arguments, not {len(values)}")
        known = start.copy()
        passed = [take(value, known) for take, value in zip(takers, values)]  # noqa: B905 - counted above
        answer: Any = None if result is None else result()
        if answer is not None:
            passed.append(ctypes.byref(answer))
        passed += known[fixed:]
        if parallel:
            passed.append(torch.get_num_threads())
        problem = c_function(*passed)
        if problem is not None:
            raise ERRORS.get(problem, ValueError)(f"{function}: {problem.decode()}")
        return None if answer is None else answer.value

    return call


def _plain(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _shorten(value: Any) -> str:
    """Returns a number as text; one of thousands of digits is not written out."""
    return "a number of over 64 bits" if isinstance(value, int) and abs(value) > INT64_MAX else str(value)


def _describe(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        plain = "" if value.is_contiguous() else ", not contiguous"
        return f"{_plain(value.dtype)} on {value.device.type}{plain}"
    if isinstance(value, np.ndarray):
        plain = "" if value.flags.c_contiguous else ", not contiguous"
        return f"{value.dtype}{plain}"
    return type(value).__name__
