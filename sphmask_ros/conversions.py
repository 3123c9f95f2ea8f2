# SPDX-License-Identifier: Apache-2.0
"""Clouds and instances as messages of this ROS 2; what is in them stands in sphmask_core.messages."""

from __future__ import annotations

import array
from functools import partial
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Quaternion
from sensor_msgs.msg import PointCloud2, PointField
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from sphmask_core.messages import instances, markers, pointcloud2
from sphmask_ros.msg import Instance, InstanceArray

CLASSES = {
    "geometry_msgs/Point": Point,
    "geometry_msgs/Quaternion": Quaternion,
    "sensor_msgs/PointCloud2": PointCloud2,
    "sensor_msgs/PointField": PointField,
    "sphmask_ros/Instance": Instance,
    "sphmask_ros/InstanceArray": InstanceArray,
    "std_msgs/ColorRGBA": ColorRGBA,
    "visualization_msgs/Marker": Marker,
    "visualization_msgs/MarkerArray": MarkerArray,
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
