# SPDX-License-Identifier: Apache-2.0
"""Numbers of a configuration with the range that each must lie in."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

COUNT = 1_000_000_000
"""Largest count that any setting takes: far beyond every use, and safe in 32 bits."""


class ConfigError(ValueError):
    """A configuration that cannot be used; the message is one line that names the key and what would do."""


@dataclass(frozen=True)
class Range:
    """All numbers from `low` to `high`; without `low` itself where it is `above`."""

    low: float
    high: float
    above: bool = False

    def __contains__(self, value: float) -> bool:
        return (value > self.low if self.above else value >= self.low) and value <= self.high

    def __str__(self) -> str:
        least = f"more than {self.low:g}" if self.above else f"at least {self.low:g}"
        return least if self.high >= COUNT else f"{least} and at most {self.high:g}"


def number(default: Any, low: float, high: float = math.inf, *, above: bool = False) -> Any:
    """Returns a dataclass field whose number, or every number of whose tuple, lies from `low` to `high`.

    With `above`, `low` itself is outside. NaN and infinity are always outside.
    """
    return field(default=default, metadata={"range": Range(low, high, above)})


def count(default: Any, low: int = 1, high: int = COUNT) -> Any:
    """Returns a dataclass field that counts something, `low` to `high`."""
    return number(default, low, high)


def check_ranges(section: Any, prefix: str) -> None:
    """Raise ConfigError for the first number of a dataclass that lies outside its range.

    prefix: what stands before the field's name in the message, such as `train.`.
    """
    for item in dataclasses.fields(section):
        allowed = item.metadata.get("range")
        if allowed is None:
            continue
        for value in _numbers(getattr(section, item.name)):
            if not math.isfinite(value) or value not in allowed:
                raise ConfigError(f"{prefix}{item.name}: must be {allowed}, not {value}")


def _numbers(value: Any) -> Iterator[float]:
    """Gives the number itself, or all numbers of nested tuples."""
    if isinstance(value, tuple):
        for item in value:
            yield from _numbers(item)
    else:
        yield value
