# SPDX-License-Identifier: Apache-2.0
"""Instances as vision_msgs/Detection3DArray, for those who know boxes alone."""

from __future__ import annotations

from typing import Any

from geometry_msgs.msg import Point, Vector3
from std_msgs.msg import Header

from sphmask_core import Instances
from sphmask_core.messages.instances import box_pose
from sphmask_core.placement import Placements
from sphmask_core.tracking import Tracks
from sphmask_ros.conversions import make


def detection_array(header: Header, found: Instances, tracks: Tracks, placed: Placements) -> Any:
    """Class, score, upright box and id of each instance; needs vision_msgs."""
    detections = [_detection(header, found, tracks, placed, i) for i in range(len(found))]
    return make("vision_msgs/Detection3DArray", header=header, detections=detections)


def _detection(header: Header, found: Instances, tracks: Tracks, placed: Placements, index: int) -> Any:
    hypothesis = make("vision_msgs/ObjectHypothesisWithPose")
    hypothesis.hypothesis.class_id = found.class_names[index]
    hypothesis.hypothesis.score = float(found.scores[index])
    x, y, z = found.centers[index].tolist()
    hypothesis.pose.pose.position = Point(x=x, y=y, z=z)
    detection = make(
        "vision_msgs/Detection3D", header=header, results=[hypothesis], id=str(tracks.ids[index])
    )
    detection.bbox.center = box_pose(make, placed, index)
    x, y, z = placed.sizes[index].tolist()
    detection.bbox.size = Vector3(x=x, y=y, z=z)
    return detection
