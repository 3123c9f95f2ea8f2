# SPDX-License-Identifier: Apache-2.0
"""The instances of one cloud, in its own frame and in the frame in which they are published."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
from std_msgs.msg import Header

from sphmask_core import Instances
from sphmask_core.clouds.cloud import Cloud
from sphmask_core.placement import Placements, members, place
from sphmask_core.tracking import Tracks


@dataclass(frozen=True)
class Answer:
    """Holds the instances of one cloud with their tracks, in that cloud's frame."""

    header: Header
    """The header of the cloud's message."""
    cloud: Cloud
    instances: Instances
    tracks: Tracks
    """The tracks of the instances; velocities are in the cloud's frame, too."""
    rays: tuple[int, int]
    """Polar and azimuth sectors of the rays."""
    milliseconds: dict[str, float]
    """How long each stage up to here took."""
    arrival: float
    """When the cloud was handed over, seconds of the steady clock."""
    target: tuple[str, np.ndarray | None] = ("", None)
    """The frame in which instances, markers and detections are published (empty: the cloud's own), and the
    pose (4, 4) of the cloud's frame in it."""

    @property
    def ids(self) -> np.ndarray:
        """Returns the id of each point's object, 0 for none: (height, width) uint32."""
        return self.tracks.of_points(self.instances.labels).reshape(self.cloud.shape)

    def points_of(self, number: int) -> Cloud | None:
        """Returns the points of the object with that id, or None where it is not in this cloud."""
        rows = np.flatnonzero(self.tracks.ids == number)
        if not len(rows):
            return None
        points, rgb = self.instances.points(int(rows[0])), self.cloud.rgb
        colors = None if rgb is None else rgb[points]
        return Cloud(self.cloud.xyz[points], colors, None, (1, len(points)))

    @cached_property
    def in_target_frame(self) -> InstancesInFrame:
        """Returns the instances in the target frame. They are computed when first asked for: nobody may
        subscribe."""
        instances = InstancesInFrame(
            self.header, self.instances, self.tracks, place(self.cloud.xyz, self.instances)
        )
        frame, pose = self.target
        if frame:
            instances = replace(instances, header=Header(stamp=self.header.stamp, frame_id=frame))
        return instances if pose is None else instances.moved(self.cloud.xyz, pose)


@dataclass(frozen=True)
class InstancesInFrame:
    """Instances with their tracks and boxes, under the header of the frame in which all of them are given."""

    header: Header
    instances: Instances
    tracks: Tracks
    placed: Placements

    def moved(self, xyz: np.ndarray, pose: np.ndarray) -> InstancesInFrame:
        """Returns the same instances in another frame; pose (4, 4) takes points of this frame to that one.

        xyz (N, 3) are the cloud's points in this frame. The axis-aligned bounds in the other frame are
        computed from them. Positions there are float64: the other frame may be that of a map, far away.
        """
        rotation, shift = pose[:3, :3], pose[:3, 3]
        turn = rotation.astype(np.float32)
        instances, placed = self.instances, self.placed
        parts = [members(xyz, instances, i) @ rotation.T.astype(xyz.dtype) for i in range(len(instances))]
        boxes = [np.concatenate([part.min(0) + shift, part.max(0) + shift]) for part in parts]
        return InstancesInFrame(
            self.header,
            replace(
                instances,
                centers=instances.centers @ rotation.T + shift,
                boxes=np.array(boxes, np.float64).reshape(-1, 6),
                rotation=instances.rotation @ turn.T,
            ),
            replace(self.tracks, velocities=self.tracks.velocities @ turn.T),
            replace(placed, centers=placed.centers @ rotation.T + shift, rotations=turn @ placed.rotations),
        )
