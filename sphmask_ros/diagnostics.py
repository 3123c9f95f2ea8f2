# SPDX-License-Identifier: Apache-2.0
"""How the node is, on /diagnostics: state, rate, latency, losses, the last error."""

from __future__ import annotations

import math
import time
from collections import deque
from dataclasses import dataclass, field

import numpy as np
from diagnostic_msgs.msg import DiagnosticStatus, KeyValue

from sphmask_core.runtime.units import MS_PER_SECOND

WINDOW = 10.0
"""Seconds over which rate and latency are measured."""
MOST_ANSWERS = 1000
"""Answers that are remembered for it: those of a hundred a second."""


@dataclass
class NodeHealth:
    """What holds for all cameras of the node."""

    state: str = "unconfigured"
    """State of the lifecycle."""
    enabled: bool = True
    refused: int = 0
    """Messages and requests that were none: a quaternion that is no rotation, a parameter without a type."""
    refused_at: float = -math.inf
    """When the last of them came."""
    error: str = ""
    """Why it was refused."""

    def refuse(self, error: str) -> None:
        """Counts a message or a request that could not be used."""
        self.refused += 1
        self.error, self.refused_at = error, time.monotonic()


@dataclass
class Health:
    """Counts what happened to the clouds of a camera; one thread receives them, another answers."""

    node: NodeHealth
    heard: bool = False
    """Whether somebody listens to the outputs."""
    since: float = field(default_factory=time.monotonic)
    """When the last cloud came, or when the node became active."""
    received: int = 0
    answered: int = 0
    dropped: int = 0
    """Clouds that a newer one replaced before they were looked at."""
    late: int = 0
    """Clouds that were given up at `max_latency`."""
    late_at: float = -math.inf
    """When the last of them was."""
    cancelled: int = 0
    """Clouds that were given up because the node was disabled or deactivated."""
    unreadable: int = 0
    failed: int = 0
    out_of_memory: int = 0
    error: str = ""
    """The last one; it stays after the next good frame."""
    failed_at: float = -math.inf
    """When that was."""
    failing: bool = False
    """Whether the last cloud could not be segmented."""
    _answers: deque[tuple[float, float]] = field(default_factory=lambda: deque(maxlen=MOST_ANSWERS))

    def begin(self) -> None:
        """Note that the node is active from now on."""
        self.since, self.failing = time.monotonic(), False

    def receive(self) -> None:
        """Note that a cloud has come."""
        self.received += 1
        self.since = time.monotonic()

    def answer(self, latency: float) -> None:
        """Note that the objects of a cloud were published, that many seconds after its stamp."""
        self.answered += 1
        self._answers.append((time.monotonic(), latency))

    def fail(self, error: str) -> None:
        """Counts a cloud that could not be segmented."""
        self.error, self.failed_at, self.failing = error, time.monotonic(), True

    def give_up(self) -> None:
        """Note that a cloud's answer would have come too late."""
        self.late += 1
        self.late_at = time.monotonic()

    @property
    def last_error(self) -> str:
        """Returns the last error of this camera's clouds, or of a message that was refused."""
        return self.error if self.failed_at > self.node.refused_at else self.node.error

    def rate_and_latency(self) -> tuple[float, float, float]:
        """Returns answers in a second, mean and longest latency (seconds); NaN without an answer in the
        window."""
        now = time.monotonic()
        recent = [(moment, latency) for moment, latency in tuple(self._answers) if now - moment <= WINDOW]
        if not recent:
            return 0.0, np.nan, np.nan
        latencies = [latency for _, latency in recent]
        span = max(now - recent[0][0], 1.0)
        return len(recent) / span, float(np.mean(latencies)), max(latencies)

    def verdict(self, stale_after: float) -> tuple[bytes, str]:
        """Returns the level and one line of a DiagnosticStatus."""
        silence = time.monotonic() - self.since
        if self.node.state != "active":
            return DiagnosticStatus.OK, self.node.state
        if not self.node.enabled:
            return DiagnosticStatus.OK, "disabled by ~/enable"
        if silence > stale_after:
            return DiagnosticStatus.STALE, f"no cloud for {silence:.0f} s"
        if self.failing:
            return DiagnosticStatus.WARN, self.error
        if time.monotonic() - self.node.refused_at <= WINDOW:
            return DiagnosticStatus.WARN, self.node.error
        if time.monotonic() - self.late_at <= WINDOW:
            return DiagnosticStatus.WARN, "clouds are given up at max_latency"
        if not self.heard:
            return DiagnosticStatus.OK, "nobody listens"
        return DiagnosticStatus.OK, f"{self.rate_and_latency()[0]:.1f} clouds a second"


def status(health: Health, name: str, about: dict[str, str], stale_after: float) -> DiagnosticStatus:
    """Returns how a camera's clouds fare; `about` tells what the node works with."""
    rate, mean, longest = health.rate_and_latency()
    values = {
        "state": health.node.state,
        **about,
        "rate (1/s)": f"{rate:.2f}",
        "latency (ms)": f"{mean * MS_PER_SECOND:.1f}",
        "longest latency (ms)": f"{longest * MS_PER_SECOND:.1f}",
        "clouds received": str(health.received),
        "clouds answered": str(health.answered),
        "clouds dropped": str(health.dropped),
        "clouds late": str(health.late),
        "clouds called off": str(health.cancelled),
        "clouds unreadable": str(health.unreadable),
        "clouds failed": str(health.failed),
        "messages refused": str(health.node.refused),
        "out of memory": str(health.out_of_memory),
        "last error": health.last_error or "none",
    }
    level, message = health.verdict(stale_after)
    pairs = [KeyValue(key=key, value=value) for key, value in values.items()]
    return DiagnosticStatus(level=level, name=name, message=message, values=pairs)
