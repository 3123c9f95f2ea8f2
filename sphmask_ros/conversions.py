# SPDX-License-Identifier: Apache-2.0
"""Clouds and instances as messages of this ROS 2; what is in them stands in sphmask_core.messages."""

from __future__ import annotations

from functools import partial
from typing import Any

import numpy as np
from geometry_msgs.msg import Point, Pose, Quaternion, Vector3
from sensor_msgs.msg import CameraInfo, CompressedImage, Image, PointCloud2, PointField
from std_msgs.msg import ColorRGBA
from visualization_msgs.msg import Marker, MarkerArray

from sphmask_core.messages import detections, instances, markers, pointcloud2, timings
from sphmask_ros.msg import Instance, InstanceArray, Timings
from sphmask_ros.published import serialize_with

try:  # not on every ROS
    from vision_msgs import msg as vision
except ImportError:
    vision = None

CLASSES = {
    "geometry_msgs/Point": Point,
    "geometry_msgs/Pose": Pose,
    "geometry_msgs/Quaternion": Quaternion,
    "geometry_msgs/Vector3": Vector3,
    "sensor_msgs/CameraInfo": CameraInfo,
    "sensor_msgs/CompressedImage": CompressedImage,
    "sensor_msgs/Image": Image,
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


BULKY = ("sensor_msgs/Image", "sensor_msgs/PointCloud2")


def make(name: str, /, **fields: Any) -> Any:
    """Returns a message of that type; lists of numbers go straight into its own, rclpy would copy them twice
    more."""
    arrays = [key for key, value in fields.items() if isinstance(value, np.ndarray)]
    numbers = {key: fields.pop(key) for key in arrays}
    message = CLASSES[name](**fields)
    for key, values in numbers.items():
        getattr(message, key).frombytes(np.ascontiguousarray(values).view(np.uint8).data)
    return message


def make_serialized(name: str, /, **fields: Any) -> Any:
    """Returns the same, but what is nearly all data comes as the bytes that a publisher takes in its
    place."""
    if name not in BULKY:
        return make(name, **fields)
    data = np.ascontiguousarray(fields.pop("data")).view(np.uint8)
    return serialize_with(make(name, **fields), data.data)


write_points = partial(pointcloud2.write_points, make)
labelled_points = partial(pointcloud2.labelled_points, make)
label_image = partial(pointcloud2.label_image, make)
labels_only = partial(pointcloud2.labels_only, make)
serialized_labelled_points = partial(pointcloud2.labelled_points, make_serialized)
serialized_label_image = partial(pointcloud2.label_image, make_serialized)
serialized_labels_only = partial(pointcloud2.labels_only, make_serialized)
instance_array = partial(instances.instance_array, make)
detection_array = partial(detections.detection_array, make)
timings_message = partial(timings.timings_message, make)
InstanceMarkers = partial(markers.InstanceMarkers, make)
