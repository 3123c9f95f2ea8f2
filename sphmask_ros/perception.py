# SPDX-License-Identifier: Apache-2.0
"""From one cloud message to its objects: read, turn upright, segment, follow."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace
from typing import TypeAlias

import numpy as np
import torch
from sensor_msgs.msg import PointCloud2
from std_msgs.msg import Header

from sphmask_core import Segmenter
from sphmask_core.clouds.cloud import Cloud, CloudError
from sphmask_core.clouds.coordinates import AXES, Vector
from sphmask_core.clouds.region import Region
from sphmask_core.commands.character import character
from sphmask_core.commands.choose import unlike
from sphmask_core.messages.frames import vertical_of
from sphmask_core.messages.pointcloud2 import read_cloud_message
from sphmask_core.messages.rgbd import RgbdFrame, read_rgbd_frame
from sphmask_core.runtime.cancellation import Cancellation
from sphmask_core.runtime.timing import Timer
from sphmask_core.runtime.units import stamp_nanoseconds
from sphmask_core.runtime.wording import quoted
from sphmask_core.segmenter import EVERYTHING
from sphmask_core.tracking import Tracks
from sphmask_ros.answer import Answer
from sphmask_ros.following import Follower
from sphmask_ros.parameters import Parameters
from sphmask_ros.poses import PoseError, Poses
from sphmask_ros.serialized import SerializedCloud

Frame: TypeAlias = "PointCloud2 | SerializedCloud | RgbdFrame"
"""What a sensor sends of one moment."""
NO_POINTS = Cloud(np.empty((0, 3), np.float32), None, None, (0, 0))
CPU = torch.device("cpu")
MOST_SAID = 20
"""Frames whose rule of what is up is told; who sends a new name with every cloud need not fill the log."""


class Perception:
    """A model, what it has seen of each camera, and where the sensors are.

    Clouds are handed over by one thread; `wake` and `sleep` may be called by another meanwhile.
    """

    def __init__(self, segmenter: Segmenter, poses: Poses, say: Callable[[str], object]) -> None:
        self.segmenter = segmenter
        self._followers: dict[str, Follower] = {}
        self._before: dict[str, Follower] = {}
        self._poses = poses
        self._moving, self._awake = threading.Lock(), True
        self._say = say
        self._said: set[str] = set()
        self.remarks: dict[str, str] = {}
        """How the clouds of each frame are unlike what the model was trained on; empty: they are not."""

    def succeed(self, other: Perception) -> None:
        """Go on with the ids of another one, as they are when they are needed: it may be at work still."""
        self._before = other._followers

    def wake(self) -> None:
        """Brings the model to its device and runs it once."""
        with self._moving:
            self._awake = True
            self.segmenter.model.to(self.segmenter.device)
        try:
            self.segmenter.warm_up()
        except Exception:
            self.sleep()
            self.rest()
            raise

    def check(self, settings: Parameters) -> None:
        """Raise ValueError for settings that are not for this model."""
        try:
            self.segmenter.least_scores(None, settings.least_scores)
        except ValueError as error:
            raise ValueError(f"class_scores: {error}") from None

    def sleep(self) -> None:
        """Let `rest` free the device's memory from now on."""
        self._awake = False

    def rest(self) -> None:
        """Free the device's memory, unless awake; no cloud may be at work."""
        with self._moving:
            if not self._awake:
                self.segmenter.model.to(CPU)
                torch.cuda.empty_cache()

    def __call__(
        self,
        msg: Frame,
        settings: Parameters,
        camera: str = "",
        arrival: float | None = None,
        cancellation: Cancellation | None = None,
    ) -> Answer:
        """Find the objects of a cloud.

        arrival: seconds of the steady clock, None: now. Raises ValueError where there is no answer, and
        CancelledError where it is called off.
        """
        arrival = time.monotonic() if arrival is None else arrival
        cancellation = cancellation or Cancellation()
        timer = Timer(CPU)
        timer.start("read")
        cloud = self._read(msg, settings.pose_timeout)
        pose = self._pose(msg.header, "fixed_frame", settings)
        target = settings.target_frame, self._pose(msg.header, "target_frame", settings)
        vertical = self._vertical(msg.header.frame_id, pose, settings)
        boxed = settings.crop_box or settings.ego_box
        boxes = self._pose(msg.header, "box_frame", settings) if boxed else None
        cancellation.check()
        self._judge(msg.header.frame_id, cloud, settings.region, boxes)
        timer.stop()
        instances = self.segmenter(
            cloud.xyz,
            cloud.rgb,
            vertical=vertical,
            min_score=settings.min_score if settings.min_score >= 0 else None,
            class_scores=settings.least_scores,
            region=settings.region,
            region_pose=boxes,
            cancellation=cancellation,
            turns=settings.turns or (1 if cloud.organized else None),
        )
        timer.start("track")
        cancellation.check()
        tracks = self._follower(camera).follow(msg.header, cloud, instances, pose, settings)
        timer.stop()
        read, track = timer.milliseconds["read"], timer.milliseconds["track"]
        stages = {"read": read, **instances.timings, "track": track}
        return Answer(
            msg.header, cloud, instances, tracks, self.segmenter.config.model.rays, stages, arrival, target
        )

    def nothing(self, header: Header, settings: Parameters) -> Answer:
        """Returns the answer to a cloud without instances."""
        instances = self.segmenter(NO_POINTS.xyz)
        rays = self.segmenter.config.model.rays
        target = settings.target_frame, None
        return Answer(header, NO_POINTS, instances, Tracks.none(0), rays, {}, time.monotonic(), target)

    def _read(self, msg: Frame, timeout: float) -> Cloud:
        """Reads a message. timeout: seconds that colors wait for where their camera was; not where nobody
        ever tells."""
        if not isinstance(msg, RgbdFrame):
            return read_cloud_message(msg)
        when = stamp_nanoseconds(msg.header.stamp)
        cloud, remarks = read_rgbd_frame(
            msg, lambda target, source: self._poses.find(target, source, when, timeout, patient=False)
        )
        for remark in remarks:
            self._say_once(remark)
        return cloud

    def _follower(self, camera: str) -> Follower:
        if camera not in self._followers:
            self._followers[camera] = Follower(self.segmenter.config.voxel_size, self._before.get(camera))
        return self._followers[camera]

    def _pose(self, header: Header, name: str, settings: Parameters) -> np.ndarray | None:
        """Returns the pose (4, 4) from the cloud's frame to that of a parameter; None where none is given."""
        frame = getattr(settings, name)
        if not frame:
            return None
        try:
            when = stamp_nanoseconds(header.stamp)
            return self._poses.find(frame, header.frame_id, when, settings.pose_timeout)
        except PoseError as error:
            raise CloudError(f"no transform to {name} {frame!r} at its time: {error}") from None

    def _vertical(self, frame_id: str, pose: np.ndarray | None, settings: Parameters) -> Vector | None:
        """Returns the unit vector up in the cloud's frame, None where nobody told it; which it is, is said
        once for each frame."""
        vertical: Vector | None
        if pose is not None:
            x, y, z = (pose[2, :3] / np.linalg.norm(pose[2, :3])).tolist()
            vertical, said = (x, y, z), f"z (of {settings.fixed_frame})"
        elif settings.up != "auto":
            vertical, said = AXES[settings.up], f"{settings.up} (parameter up)"
        else:
            vertical = vertical_of(frame_id)
            said = "-y (taken for a level camera)" if vertical else "z (not an optical frame)"
        if self.segmenter.config.up == "plane":
            said = "the normal of the largest plane (as the model was trained)"
        self._say_once(f"clouds of {quoted(frame_id)}: up is {said}")
        return vertical

    def _judge(self, frame_id: str, cloud: Cloud, region: Region, pose: np.ndarray | None) -> None:
        """Say once for each frame whether its clouds are unlike what the model was trained on."""
        name = quoted(frame_id)
        if name in self.remarks or len(self.remarks) >= MOST_SAID:
            return
        seen = cloud.xyz if region == EVERYTHING else cloud.xyz[region.inside(cloud.xyz, pose)]
        traits = character(replace(cloud, xyz=seen))
        if not traits.points:
            return
        remark = unlike(traits, self.segmenter.config.name)
        self.remarks[name] = remark
        if remark:
            self._say(f"clouds of {name}: {remark}")

    def _say_once(self, text: str) -> None:
        if text not in self._said and len(self._said) < MOST_SAID:
            self._said.add(text)
            self._say(text)
