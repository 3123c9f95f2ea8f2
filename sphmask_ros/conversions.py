# SPDX-License-Identifier: Apache-2.0
"""Clouds and instances as messages of this ROS 2; what is in them stands in sphmask_core.messages."""

from __future__ import annotations

import array
from functools import partial
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Quaternion, Vector3
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from sphmask_core.messages import instances, markers, pointcloud2
from sphmask_ros.msg import Instance, InstanceArray, Timings

try:  # not on every ROS
    from vision_msgs import msg as vision
except ImportError:
    vision = None

CLASSES = {
    "geometry_msgs/Point": Point,
    "geometry_msgs/Quaternion": Quaternion,
    "geometry_msgs/Vector3": Vector3,
    "sensor_msgs/PointCloud2": PointCloud2,
    "sensor_msgs/PointField": PointField,
    "sphmask_ros/Instance": Instance,
    "sphmask_ros/InstanceArray": InstanceArray,
    "sphmask_ros/Timings": Timings,
    "std_msgs/ColorRGBA": ColorRGBA,
    "visualization_msgs/Marker": Marker,
    "visualization_msgs/MarkerArray": MarkerArray,
}
if vision is not None:
    CLASSES |= {
        f"vision_msgs/{kind}": getattr(vision, kind)
        for kind in ("Detection3D", "Detection3DArray", "ObjectHypothesisWithPose")
    }


def make(name: str, /, **fields: Any) -> Any:
    """A message of that type; rclpy takes lists of numbers as array.array without looking at each."""
    return CLASSES[name](
        **{key: _array(value) if isinstance(value, np.ndarray) else value for key, value in fields.items()}
    )


def _array(values: np.ndarray) -> array.array:
    numbers: array.array = array.array(values.dtype.char)
    numbers.frombytes(np.ascontiguousarray(values).view(np.uint8).data)
    return numbers


write_points = partial(pointcloud2.write_points, make)
labelled_points = partial(pointcloud2.labelled_points, make)
instance_array = partial(instances.instance_array, make)
InstanceMarkers = partial(markers.InstanceMarkers, make)
