# SPDX-License-Identifier: Apache-2.0
"""The node's parameters: one table that declares them, validates them and gives their defaults."""

from __future__ import annotations

import dataclasses
import re
from array import array
from dataclasses import dataclass
from difflib import get_close_matches
from functools import cached_property
from typing import Any

from rcl_interfaces.msg import FloatingPointRange, IntegerRange, ParameterDescriptor
from rclpy.node import Node
from rclpy.parameter import Parameter

from sphmask_core.clouds.coordinates import AXES
from sphmask_core.clouds.depth import SIMULTANEOUS
from sphmask_core.clouds.region import Region
from sphmask_core.config import MOST_TURNS
from sphmask_core.segmenter import read_class_scores
from sphmask_core.tracking import MEMORY, OVERLAP

OUTPUTS = ("labelled_points", "label_image", "labels", "markers", "instances", "detections", "timings")
LIVE, UNCONFIGURED, START = "at any time", "while unconfigured", "at start"
"""When a parameter may be set."""


def _parameter(default: Any, description: str, when: str = LIVE, **limits: Any) -> Any:
    """Returns a field and its limits: `choices`, `pattern` and `form`, which says it in words, `range` (low,
    high), or `numbers`: how many."""
    return dataclasses.field(
        default=default, metadata={"description": description, "when": when, "limits": limits}
    )


@dataclass(frozen=True)
class Parameters:
    """Parameters of the node `segment`."""

    model: str = _parameter(
        "tabletop", "Preset's name, or path to weights; the service `~/load_model` changes it.", UNCONFIGURED
    )
    device: str = _parameter(
        "auto",
        "Where the model runs: auto, cpu, cuda, or cuda:N.",
        UNCONFIGURED,
        pattern=r"auto|cpu|cuda(:\d+)?",
        form="auto, cpu, cuda or cuda:N",
    )
    cameras: tuple[str, ...] = _parameter(
        (),
        "Names of cameras that share the model: each has the topics `NAME/points` and `~/NAME/instances`. "
        "Empty: one camera, whose topics have no name before them.",
        UNCONFIGURED,
        pattern=r"[A-Za-z]\w*",
        form="a letter, then letters, digits and underscores",
    )
    input: str = _parameter(
        "cloud",
        "cloud: the topic `points`; rgbd: `depth`, `camera_info` and, where they come, `color` and "
        "`color_info`.",
        UNCONFIGURED,
        choices=("cloud", "rgbd"),
    )
    color_tolerance: float = _parameter(
        SIMULTANEOUS,
        "Seconds that a color image may be from its depth image; 0: they have one stamp.",
        range=(0.0, 1.0),
    )
    fixed_frame: str = _parameter(
        "",
        "A frame at rest whose z is up, such as odom or map: by TF or `odometry` clouds are turned upright "
        "and objects followed in it. Empty: the sensor stands still, and `up` is up.",
        UNCONFIGURED,
    )
    target_frame: str = _parameter(
        "",
        "The frame that instances, markers and detections are published in, by TF or `odometry`. Empty: the "
        "cloud's own, in which labels and labeled points always are.",
        UNCONFIGURED,
    )
    pose_timeout: float = _parameter(
        0.2,
        "Seconds that a cloud waits for a pose of its time; poses are interpolated, never extrapolated.",
        range=(0.0, 10.0),
    )
    up: str = _parameter(
        "auto",
        "The clouds' axis that points up; tables are found without it, rooms near it; auto: -y in a frame "
        "whose name ends in _optical_frame (a level camera), else z.",
        choices=("auto", *AXES),
    )
    reliability: str = _parameter(
        "auto",
        "QoS of the input: auto matches the publishers; a best-effort subscriber loses most big clouds.",
        choices=("auto", "reliable", "best_effort"),
    )
    min_score: float = _parameter(
        -1.0,
        "Instances below this score are not published; negative: the model's own threshold.",
        range=(-1.0, 1.0),
    )
    class_scores: tuple[str, ...] = _parameter(
        (), "The same for single classes, before `min_score`, as in ['car:0.4', 'person:0.3']."
    )
    min_range: float = _parameter(
        0.0, "Points nearer to the sensor, in meters, are not looked at and get no label.", range=(0.0, 1e4)
    )
    max_range: float = _parameter(
        0.0, "Points farther away, in meters, are not looked at; 0: however far.", range=(0.0, 1e4)
    )
    crop_box: tuple[float, ...] = _parameter(
        (),
        "Points outside are not looked at: least x, y, z, then greatest x, y, z, meters, along the axes of "
        "`box_frame`. Empty: no box.",
        numbers=6,
    )
    ego_box: tuple[float, ...] = _parameter(
        (), "Points inside are the robot's own body and are not looked at; as `crop_box`.", numbers=6
    )
    box_frame: str = _parameter(
        "",
        "The frame of `crop_box` and `ego_box`, by TF or `odometry`, such as base_link. Empty: the clouds' "
        "own.",
        UNCONFIGURED,
    )
    voxel_filter: float = _parameter(
        0.0,
        "Points closer together than this, in meters, are looked at as one, for dense clouds; answers stay "
        "per point. 0: every point.",
        range=(0.0, 10.0),
    )
    turns: int = _parameter(
        0,
        "How often the network sees a cloud, each time turned on by a quarter about the vertical: more finds "
        "more and takes longer. 0: as the model says, and once what one camera saw.",
        range=(0, MOST_TURNS),
    )
    outputs: tuple[str, ...] = _parameter(
        OUTPUTS, "Topics that are published, where somebody subscribes to them.", choices=OUTPUTS
    )
    track: bool = _parameter(True, "Objects keep their id from frame to frame.")
    track_overlap: float = _parameter(
        OVERLAP,
        "IoU, in coarse voxels, from which an instance is an object of the frame before.",
        range=(0.0, 1.0),
    )
    track_memory: float = _parameter(
        MEMORY, "Seconds for which an object that is out of sight keeps its id.", range=(0.0, 3600.0)
    )
    max_latency: float = _parameter(
        0.0,
        "Seconds from a cloud's stamp after which it is given up, and the next one looked at; 0: never.",
        range=(0.0, 3600.0),
    )
    stale_after: float = _parameter(
        5.0, "Seconds without a cloud after which diagnostics say STALE.", range=(0.1, 3600.0)
    )
    autostart: bool = _parameter(
        True, "Configure and activate at start; off: wait for a lifecycle manager.", START
    )

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value = _as_declared(field, getattr(self, field.name))
            object.__setattr__(self, field.name, value)
            _validate(field.name, value, field.metadata["limits"])
        if self.fixed_frame and self.up != "auto":
            raise ValueError(
                f"up is {self.up}, but z of fixed_frame {self.fixed_frame} is up; give one of them"
            )
        _ = self.region, self.least_scores  # whatever is wrong with them is said now
        if len(set(self.cameras)) < len(self.cameras):
            raise ValueError(f"cameras must have names of their own: {', '.join(self.cameras)}")

    @property
    def needs_poses(self) -> bool:
        """Returns whether it has to be known where frames are to each other."""
        return bool(self.fixed_frame or self.target_frame or self.box_frame or self.input == "rgbd")

    @cached_property
    def region(self) -> Region:
        """Returns the part of a cloud that is looked at."""
        boxes = {name: getattr(self, name) or None for name in ("crop_box", "ego_box")}
        return Region(self.min_range, self.max_range, voxel_filter=self.voxel_filter, **boxes)

    @cached_property
    def least_scores(self) -> dict[str, float]:
        """Returns the least score of the classes that have one of their own."""
        return read_class_scores(self.class_scores)

    @staticmethod
    def declare(node: Node) -> Parameters:
        """Declares every parameter on the node, with its descriptor. Returns the values that it starts
        with."""
        return Parameters(**{field.name: _declare(node, field) for field in dataclasses.fields(Parameters)})

    @staticmethod
    def unknown(node: Node) -> dict[str, str]:
        """Returns the parameters that the node was started with but has not, and which of ours each may be
        meant for."""
        given = getattr(node, "_parameter_overrides", {})  # rclpy does not tell them otherwise
        names = [field.name for field in dataclasses.fields(Parameters)]
        return {
            name: next(iter(get_close_matches(name, names, 1)), "")
            for name in given
            if not node.has_parameter(name)
        }

    @staticmethod
    def names(when: str) -> list[str]:
        """Returns the parameters that may be set then."""
        return [field.name for field in dataclasses.fields(Parameters) if field.metadata["when"] == when]


def _declare(node: Node, field: dataclasses.Field) -> Any:
    """Declare a parameter; returns the value that it starts with."""
    value = node.declare_parameter(field.name, field.default, descriptor(field)).value
    empty = value is None or (isinstance(value, list | tuple | array | bytes) and not value)
    if isinstance(field.default, tuple) and empty:  # `outputs: []` has no type for ROS, or that of bytes
        value = []
        numbers = "numbers" in field.metadata["limits"]
        kind = Parameter.Type.DOUBLE_ARRAY if numbers else Parameter.Type.STRING_ARRAY
        node.set_parameters([Parameter(field.name, kind, value)])
    return value


def descriptor(field: dataclasses.Field) -> ParameterDescriptor:
    """Returns what `ros2 param describe` tells of a parameter."""
    limits = field.metadata["limits"]
    made = ParameterDescriptor(
        description=field.metadata["description"],
        # An integer does for a number, and an empty list, whose type ROS does not know, for a list of texts.
        dynamic_typing=isinstance(field.default, float | tuple),
        read_only=field.metadata["when"] == START,
        additional_constraints=_constraints(field),
    )
    if "range" in limits:
        low, high = limits["range"]
        if isinstance(field.default, int):
            made.integer_range = [IntegerRange(from_value=low, to_value=high, step=1)]
        else:
            made.floating_point_range = [FloatingPointRange(from_value=low, to_value=high)]
    return made


def _as_declared(field: dataclasses.Field, value: Any) -> Any:
    """Returns a value in its field's type.

    ROS gives lists as lists or arrays, and 1 for what is meant as 1.0.
    """
    kind = type(field.default)
    if kind is float and type(value) is int:
        return float(value)
    if kind is tuple and isinstance(value, list | tuple | array):
        numbers = "numbers" in field.metadata["limits"]
        return tuple(float(item) if numbers and type(item) is int else item for item in value)
    if type(value) is not kind:
        name = {float: "number", int: "whole number", tuple: "list", str: "text", bool: "true or false"}[kind]
        raise ValueError(f"{field.name} must be a {name}, not {value!r}")
    return value


def _constraints(field: dataclasses.Field) -> str:
    limits = field.metadata["limits"]
    parts = [f"set {field.metadata['when']}"] if field.metadata["when"] != LIVE else []
    if "choices" in limits:
        parts.append(f"of {', '.join(limits['choices'])}")
    return "; ".join(parts)


def _validate(name: str, value: Any, limits: Any) -> None:
    of_type = float if "numbers" in limits else str
    if isinstance(value, tuple) and not all(type(item) is of_type for item in value):
        raise ValueError(
            f"{name} must be a list of {'numbers' if of_type is float else 'texts'}, not {value}"
        )
    for item in value if isinstance(value, tuple) else (value,):
        if "choices" in limits and item not in limits["choices"]:
            raise ValueError(f"{name} must be of {', '.join(limits['choices'])}, not {item!r}")
        if "pattern" in limits and not re.fullmatch(limits["pattern"], item, re.ASCII):
            raise ValueError(f"{name} must be {limits['form']}, not {item!r}")
    if "range" in limits:
        low, high = limits["range"]
        if not low <= value <= high:  # NaN is not
            raise ValueError(f"{name} must be from {low} to {high}, not {value}")
