# SPDX-License-Identifier: Apache-2.0
"""The objects of one camera, followed from cloud to cloud."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from std_msgs.msg import Header

from sphmask_core import Instances
from sphmask_core.clouds.cloud import Cloud
from sphmask_core.tracking import Tracker, Tracks
from sphmask_ros.parameters import Parameters
from sphmask_ros.poses import stamp_seconds


class Follower:
    """A tracker that starts anew where the clouds come from somewhere else."""

    def __init__(self, voxel_size: float, before: Follower | None) -> None:
        """`before` is the one whose ids this one goes on with, another model's."""
        self._tracker = Tracker(voxel_size, before.next_id if before else 1)
        self._frame_id = ""

    @property
    def next_id(self) -> int:
        """Returns the id of the next object that was never seen before."""
        return self._tracker.next_id

    def follow(
        self,
        header: Header,
        cloud: Cloud,
        instances: Instances,
        pose: np.ndarray | None,
        settings: Parameters,
    ) -> Tracks:
        """Returns the objects that a cloud's instances are; pose (4, 4): of the cloud's frame in one at
        rest."""
        if not settings.track:
            return Tracks.none(len(instances))
        if pose is None and header.frame_id != self._frame_id:
            self._tracker.forget()  # another sensor, somewhere else
        self._frame_id = header.frame_id
        limits = settings.track_overlap, settings.track_memory
        tracks = self._tracker.update(cloud.xyz, instances, stamp_seconds(header.stamp), pose, *limits)
        if pose is None:
            return tracks
        return replace(tracks, velocities=tracks.velocities @ pose[:3, :3].astype(np.float32))
