# SPDX-License-Identifier: Apache-2.0
"""Instances as sphmask_ros/InstanceArray."""

from __future__ import annotations

import array

import numpy as np
from geometry_msgs.msg import Point, Quaternion
from scipy.spatial.transform import Rotation
from std_msgs.msg import Header

from sphmask_core import Instances
from sphmask_ros.conversions import to_point
from sphmask_ros.msg import Instance, InstanceArray


def instance_array(header: Header, found: Instances, rays: tuple[int, int]) -> InstanceArray:
    """The message of one cloud's instances; `rays` are the polar and azimuth sectors of their rays."""
    points = [found.points(i).astype(np.uint32) for i in range(len(found))]
    starts = np.cumsum([0, *map(len, points)])
    x, y, z, w = Rotation.from_matrix(found.rotation.T).as_quat()
    indices = array.array("I")
    indices.frombytes(b"".join(part.tobytes() for part in points))
    return InstanceArray(
        header=header,
        orientation=Quaternion(x=x, y=y, z=z, w=w),
        polar_sectors=rays[0],
        azimuth_sectors=rays[1],
        instances=[_instance(found, i, int(starts[i]), len(part)) for i, part in enumerate(points)],
        point_indices=indices,
    )


def read_instances(msg: InstanceArray, labels: np.ndarray) -> Instances:
    """The instances of a message; `labels` (N,) are those of the labelled points."""
    found = msg.instances
    indices = np.asarray(msg.point_indices, np.uint32)
    masks = np.zeros((len(found), len(labels) + 1), bool)
    for mask, instance in zip(masks, found, strict=True):
        mask[indices[instance.first_point : instance.first_point + instance.point_count]] = True
    turn = msg.orientation
    corners = [[_xyz(instance.box_min), _xyz(instance.box_max)] for instance in found]
    return Instances(
        segment_masks=masks,
        segments=np.arange(len(labels)),
        labels=labels.astype(np.int32),
        scores=np.array([instance.score for instance in found], np.float32),
        class_ids=np.array([instance.class_id for instance in found], np.int32),
        class_names=tuple(instance.class_name for instance in found),
        centers=np.array([_xyz(instance.center) for instance in found], np.float32).reshape(-1, 3),
        rays=np.array([instance.rays for instance in found], np.float32).reshape(
            len(found), msg.polar_sectors * msg.azimuth_sectors
        ),
        boxes=np.array(corners, np.float32).reshape(-1, 6),
        rotation=Rotation.from_quat([turn.x, turn.y, turn.z, turn.w]).as_matrix().T.astype(np.float32),
        timings={},
    )


def _instance(found: Instances, index: int, first_point: int, point_count: int) -> Instance:
    return Instance(
        id=index + 1,
        class_id=int(found.class_ids[index]),
        class_name=found.class_names[index],
        score=float(found.scores[index]),
        center=to_point(found.centers[index]),
        box_min=to_point(found.boxes[index, :3]),
        box_max=to_point(found.boxes[index, 3:]),
        rays=array.array("f", found.rays[index].astype(np.float32).tobytes()),
        first_point=first_point,
        point_count=point_count,
    )


def _xyz(point: Point) -> tuple[float, float, float]:
    return point.x, point.y, point.z
