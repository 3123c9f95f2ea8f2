# SPDX-License-Identifier: Apache-2.0
"""Instances as sphmask_ros/InstanceArray."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from sphmask_core.messages import Make
from sphmask_core.method.instances import Instances
from sphmask_core.placement import Placements
from sphmask_core.tracking import Tracks


def instance_array(
    make: Make, header: Any, instances: Instances, tracks: Tracks, placed: Placements, rays: tuple[int, int]
) -> Any:
    """Returns the message of one cloud's instances.

    `rays` are the polar and azimuth sectors of their rays.
    """
    points = [instances.points(i).astype(np.uint32) for i in range(len(instances))]
    starts = np.cumsum([0, *map(len, points)])
    poses = box_poses(make, placed)
    return make(
        "sphmask_ros/InstanceArray",
        header=header,
        orientation=_quaternions(make, instances.rotation.T[None])[0],
        polar_sectors=rays[0],
        azimuth_sectors=rays[1],
        instances=[
            _instance(make, instances, tracks, placed, poses[i], i, int(starts[i]), len(part))
            for i, part in enumerate(points)
        ],
        lost=tracks.lost,
        remembered=tracks.remembered,
        remembered_unseen=tracks.remembered_unseen,
        point_indices=np.concatenate([np.empty(0, np.uint32), *points]),
    )


def read_instances(msg: Any, labels: np.ndarray) -> Instances:
    """Returns the instances of a message; `labels` (N,) are those of the labeled points."""
    sent = msg.instances
    indices = np.asarray(msg.point_indices, np.uint32)
    masks = np.zeros((len(sent), len(labels) + 1), bool)
    for mask, instance in zip(masks, sent, strict=True):
        mask[indices[instance.first_point : instance.first_point + instance.point_count]] = True
    turn = msg.orientation
    corners = [[_xyz(instance.box_min), _xyz(instance.box_max)] for instance in sent]
    return Instances(
        segment_masks=masks,
        segments=np.arange(len(labels)),
        labels=_numbers(labels, read_tracks(msg).ids),
        scores=np.array([instance.score for instance in sent], np.float32),
        class_ids=np.array([instance.class_id for instance in sent], np.int32),
        class_names=tuple(instance.class_name for instance in sent),
        centers=np.array([_xyz(instance.center) for instance in sent], np.float64).reshape(-1, 3),
        rays=np.array([instance.rays for instance in sent], np.float32).reshape(
            len(sent), msg.polar_sectors * msg.azimuth_sectors
        ),
        boxes=np.array(corners, np.float64).reshape(-1, 6),
        rotation=Rotation.from_quat([turn.x, turn.y, turn.z, turn.w]).as_matrix().T.astype(np.float32),
        timings={},
    )


def read_tracks(msg: Any) -> Tracks:
    """Returns what a message tells of its objects over time."""
    velocities = [_xyz(instance.velocity) for instance in msg.instances]
    return Tracks(
        ids=np.array([instance.id for instance in msg.instances], np.uint32),
        states=np.array([instance.state for instance in msg.instances], np.uint8),
        lost=np.array(msg.lost, np.uint32),
        velocities=np.array(velocities, np.float32).reshape(-1, 3),
        ages=np.array([instance.age for instance in msg.instances], np.float32),
        unseen=np.array([instance.unseen for instance in msg.instances], np.float32),
        remembered=np.array(msg.remembered, np.uint32),
        remembered_unseen=np.array(msg.remembered_unseen, np.float32),
    )


def _numbers(labels: np.ndarray, ids: np.ndarray) -> np.ndarray:
    """Returns (N,) int32: for each label 1 + its place in `ids`, and 0 for label 0."""
    values, inverse = np.unique(labels, return_inverse=True)
    places = {0: 0} | {number: i for i, number in enumerate(ids.tolist(), 1)}
    return np.array([places[value] for value in values.tolist()], np.int32)[inverse]


def _instance(
    make: Make,
    instances: Instances,
    tracks: Tracks,
    placed: Placements,
    pose: Any,
    index: int,
    first_point: int,
    point_count: int,
) -> Any:
    support = int(placed.supports[index])
    return make(
        "sphmask_ros/Instance",
        id=int(tracks.ids[index]),
        state=int(tracks.states[index]),
        class_id=int(instances.class_ids[index]),
        class_name=instances.class_names[index],
        score=float(instances.scores[index]),
        center=_point(make, instances.centers[index]),
        box_min=_point(make, instances.boxes[index, :3]),
        box_max=_point(make, instances.boxes[index, 3:]),
        box=pose,
        size=_vector(make, placed.sizes[index]),
        height=float(placed.heights[index]),
        support=int(tracks.ids[support]) if support >= 0 else 0,
        velocity=_vector(make, tracks.velocities[index]),
        age=float(tracks.ages[index]),
        unseen=float(tracks.unseen[index]),
        rays=instances.rays[index].astype(np.float32),
        first_point=first_point,
        point_count=point_count,
    )


def box_poses(make: Make, placed: Placements) -> list[Any]:
    """Returns the middle and axes of each instance's upright box, as geometry_msgs/Pose."""
    turns = _quaternions(make, placed.rotations)
    return [
        make("geometry_msgs/Pose", position=_point(make, middle), orientation=turn)
        for middle, turn in zip(placed.centers, turns, strict=True)
    ]


def _quaternions(make: Make, rotations: np.ndarray) -> list[Any]:
    """Returns the quaternions of rotations (n, 3, 3), whose columns are axes, in one call of SciPy."""
    if not len(rotations):
        return []
    quaternions = Rotation.from_matrix(rotations).as_quat().tolist()
    return [make("geometry_msgs/Quaternion", x=x, y=y, z=z, w=w) for x, y, z, w in quaternions]


def _vector(make: Make, xyz: np.ndarray) -> Any:
    return make("geometry_msgs/Vector3", x=float(xyz[0]), y=float(xyz[1]), z=float(xyz[2]))


def _point(make: Make, xyz: np.ndarray) -> Any:
    """Returns a point at xyz (3,), meters."""
    return make("geometry_msgs/Point", x=float(xyz[0]), y=float(xyz[1]), z=float(xyz[2]))


def _xyz(point: Any) -> tuple[float, float, float]:
    return point.x, point.y, point.z
