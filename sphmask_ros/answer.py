# SPDX-License-Identifier: Apache-2.0
"""What was found in one cloud, and the same told in the frame of choice."""

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
    """What was found in one cloud, in that cloud's frame."""

    header: Header
    """The cloud's."""
    cloud: Cloud
    found: Instances
    tracks: Tracks
    """Their velocities in the cloud's frame, too."""
    rays: tuple[int, int]
    """Polar and azimuth sectors of the rays."""
    milliseconds: dict[str, float]
    """Of each stage up to here."""
    arrival: float
    """When the cloud was handed over, seconds of the steady clock."""
    target: tuple[str, np.ndarray | None] = ("", None)
    """The frame that instances, markers and detections are told in, empty: the cloud's; pose (4, 4) of the
    cloud's frame in it."""

    @property
    def ids(self) -> np.ndarray:
        """(height, width) uint32: the object of each point, 0 for none."""
        return self.tracks.of_points(self.found.labels).reshape(self.cloud.shape)

    def points_of(self, number: int) -> Cloud | None:
        """The points of the object of that id; None where it is not in this cloud."""
        rows = np.flatnonzero(self.tracks.ids == number)
        if not len(rows):
            return None
        points, rgb = self.found.points(int(rows[0])), self.cloud.rgb
        colors = None if rgb is None else rgb[points]
        return Cloud(self.cloud.xyz[points], colors, None, (1, len(points)))

    @cached_property
    def told(self) -> Told:
        """In the target frame; made when first asked for: nobody may listen."""
        told = Told(self.header, self.found, self.tracks, place(self.cloud.xyz, self.found))
        frame, pose = self.target
        if frame:
            told = replace(told, header=Header(stamp=self.header.stamp, frame_id=frame))
        return told if pose is None else told.moved(self.cloud.xyz, pose)


@dataclass(frozen=True)
class Told:
    """Instances with all that is known of them, under the header of their frame."""

    header: Header
    found: Instances
    tracks: Tracks
    placed: Placements

    def moved(self, xyz: np.ndarray, pose: np.ndarray) -> Told:
        """The same in another frame, of which the pose (4, 4) takes points of this one there.

        xyz (N, 3) are the cloud's points in this frame: bounds along the other frame's axes are theirs.
        """
        turn, shift = pose[:3, :3].astype(np.float32), pose[:3, 3].astype(np.float32)
        found, placed = self.found, self.placed
        parts = [members(xyz, found, i) @ turn.T + shift for i in range(len(found))]
        boxes = [np.concatenate([part.min(0), part.max(0)]) for part in parts]
        return Told(
            self.header,
            replace(
                found,
                centers=found.centers @ turn.T + shift,
                boxes=np.array(boxes, np.float32).reshape(-1, 6),
                rotation=found.rotation @ turn.T,
            ),
            replace(self.tracks, velocities=self.tracks.velocities @ turn.T),
            replace(placed, centers=placed.centers @ turn.T + shift, rotations=turn @ placed.rotations),
        )
