# SPDX-License-Identifier: Apache-2.0
"""Milliseconds by stage."""

from __future__ import annotations

import time

import torch


class Timer:
    """A stage lasts from its `start` to the next one's, or to `stop`; on CUDA the device is waited for."""

    def __init__(self, device: torch.device) -> None:
        self.device = device
        self.milliseconds: dict[str, float] = {}
        self._stage, self._since = "", 0.0

    def start(self, stage: str) -> None:
        """End the running stage and begin another."""
        self.stop()
        self._stage = stage

    def stop(self) -> None:
        """End the running stage."""
        if self.device.type == "cuda":
            torch.cuda.synchronize(self.device)
        now = time.perf_counter()
        if self._stage:
            passed = (now - self._since) * 1e3
            self.milliseconds[self._stage] = self.milliseconds.get(self._stage, 0.0) + passed
        self._stage, self._since = "", now
