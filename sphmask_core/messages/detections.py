# SPDX-License-Identifier: Apache-2.0
"""Instances as vision_msgs/Detection3DArray, for those who know boxes alone."""

from __future__ import annotations

from typing import Any

import numpy as np

from sphmask_core.messages import Make
from sphmask_core.messages.instances import box_poses
from sphmask_core.method.instances import Instances
from sphmask_core.placement import Placements
from sphmask_core.tracking import Tracks


def detection_array(make: Make, header: Any, instances: Instances, tracks: Tracks, placed: Placements) -> Any:
    """Returns the class, score, upright box and id of each instance."""
    detections = [
        _detection(make, header, instances, tracks, placed, pose, i)
        for i, pose in enumerate(box_poses(make, placed))
    ]
    return make("vision_msgs/Detection3DArray", header=header, detections=detections)


def _detection(
    make: Make,
    header: Any,
    instances: Instances,
    tracks: Tracks,
    placed: Placements,
    pose: Any,
    index: int,
) -> Any:
    hypothesis = make("vision_msgs/ObjectHypothesisWithPose")
    hypothesis.hypothesis.class_id = instances.class_names[index]
    hypothesis.hypothesis.score = float(instances.scores[index])
    _set(hypothesis.pose.pose.position, instances.centers[index])
    hypothesis.pose.pose.orientation.w = 1.0
    detection = make(
        "vision_msgs/Detection3D", header=header, results=[hypothesis], id=str(tracks.ids[index])
    )
    detection.bbox.center = pose
    _set(detection.bbox.size, placed.sizes[index])
    return detection


def _set(message: Any, xyz: np.ndarray) -> None:
    """Write xyz (3,) into a message with these fields."""
    message.x, message.y, message.z = xyz.astype(float).tolist()
