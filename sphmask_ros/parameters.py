# SPDX-License-Identifier: Apache-2.0
"""The node's parameters: one table that declares them, validates them and gives their defaults."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, ParameterDescriptor
from rclpy.node import Node


def _parameter(default: Any, description: str, **limits: Any) -> Any:
    """A field and its limits: `choices`, `range` (low, high), `live` (may change while running)."""
    return dataclasses.field(default=default, metadata={"description": description, **limits})


@dataclass(frozen=True)
class Parameters:
    """Parameters of the node `segment`."""

    model: str = _parameter("tabletop", "Preset's name, or path to weights.")
    device: str = _parameter("auto", "Where the model runs.", choices=("auto", "cpu", "cuda"))
    reliability: str = _parameter(
        "auto",
        "QoS of the input: auto matches the publishers; a best-effort subscriber loses most big clouds.",
        choices=("auto", "reliable", "best_effort"),
        live=True,
    )
    min_score: float = _parameter(
        -1.0,
        "Instances below this score are not published; negative: the model's own threshold.",
        range=(-1.0, 1.0),
        live=True,
    )
    autostart: bool = _parameter(True, "Configure and activate at start; off: wait for a lifecycle manager.")

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            _validate(field.name, getattr(self, field.name), field.metadata)

    @staticmethod
    def declare(node: Node) -> Parameters:
        """Declare every parameter on the node, with its descriptor, and return the values it starts with."""
        fields = dataclasses.fields(Parameters)
        values = {
            field.name: node.declare_parameter(field.name, field.default, _descriptor(field.metadata)).value
            for field in fields
        }
        return Parameters(**values)


def _validate(name: str, value: Any, limits: Any) -> None:
    if "choices" in limits and value not in limits["choices"]:
        raise ValueError(f"{name} must be one of {', '.join(limits['choices'])}, not {value!r}")
    if "range" in limits:
        low, high = limits["range"]
        if math.isnan(value) or not low <= value <= high:
            raise ValueError(f"{name} must be from {low} to {high}, not {value}")


def _descriptor(limits: Any) -> ParameterDescriptor:
    descriptor = ParameterDescriptor(
        description=limits["description"], read_only=not limits.get("live", False)
    )
    if "choices" in limits:
        descriptor.additional_constraints = "one of " + ", ".join(limits["choices"])
    if "range" in limits:
        low, high = limits["range"]
        descriptor.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return descriptor
