# SPDX-License-Identifier: Apache-2.0
"""ROS 2 messages without ROS: classes, definitions and bytes, by the library `rosbags`."""

from __future__ import annotations

from importlib.resources import files
from typing import Any

import numpy as np
from rosbags.interfaces import Nodetype
from rosbags.typesys import Stores, get_types_from_msg, get_typestore

OURS = ("Instance", "InstanceArray", "Timings")
"""Our messages, those that others contain first."""
DETECTIONS = {
    "ObjectHypothesis": "string class_id\nfloat64 score\n",
    "ObjectHypothesisWithPose": "ObjectHypothesis hypothesis\ngeometry_msgs/PoseWithCovariance pose\n",
    "BoundingBox3D": "geometry_msgs/Pose center\ngeometry_msgs/Vector3 size\n",
    "Detection3D": "std_msgs/Header header\nObjectHypothesisWithPose[] results\n"
    "BoundingBox3D bbox\nstring id\n",
    "Detection3DArray": "std_msgs/Header header\nDetection3D[] detections\n",
}
"""The messages of vision_msgs that we write, with their fields since Humble; `rosbags` has none of them."""
PLAIN = {"bool": False, "string": "", "float32": 0.0, "float64": 0.0}
"""Defaults of what is no integer."""


class Definitions:
    """The common messages, ours, and detections; types are named as in `sensor_msgs/PointCloud2`."""

    def __init__(self) -> None:
        self._store = get_typestore(Stores.ROS2_HUMBLE)
        for name in OURS:
            text = (files("sphmask_core") / "msg" / f"{name}.msg").read_text()
            self._store.register(get_types_from_msg(text, f"sphmask_ros/msg/{name}"))
        for name, text in DETECTIONS.items():
            self._store.register(get_types_from_msg(text, f"vision_msgs/msg/{name}"))

    def make(self, name: str, /, **fields: Any) -> Any:
        """Returns a message; what is not given is zero, empty or false."""
        name = full_name(name)
        kinds = self._store.fielddefs[name][1]
        if len(fields) < len(kinds):
            fields |= {field: self._default(kind) for field, kind in kinds if field not in fields}
        return self._store.types[name](**fields)

    def read(self, name: str, data: bytes) -> Any:
        """Returns a message from its CDR bytes."""
        return self._store.deserialize_cdr(data, full_name(name))

    def write(self, name: str, message: Any) -> bytes:
        """Returns the CDR bytes of a message."""
        return bytes(self._store.serialize_cdr(message, full_name(name)))

    def describe(self, name: str) -> tuple[str, str]:
        """Returns the definition with all that it contains, as .msg text, and ROS 2's hash of it; empty when
        unknown."""
        name = full_name(name)
        if name not in self._store.fielddefs:
            return "", ""
        return self._store.generate_msgdef(name, ros_version=2)[0], self._store.hash_rihs01(name)

    def _default(self, kind: Any) -> Any:
        node, what = kind
        if node == Nodetype.NAME:
            return self.make(what)
        if node == Nodetype.BASE:
            return PLAIN.get(what[0], 0)
        inner, length = what
        count = length if node == Nodetype.ARRAY else 0
        if inner[0] == Nodetype.BASE and inner[1][0] != "string":
            return np.zeros(count, {"byte": "u1", "char": "u1"}.get(inner[1][0], inner[1][0]))
        return [self._default(inner) for _ in range(count)]


def full_name(name: str) -> str:
    """Returns `sensor_msgs/msg/PointCloud2` of `sensor_msgs/PointCloud2`."""
    package, message = name.split("/")[0], name.split("/")[-1]
    return f"{package}/msg/{message}"
