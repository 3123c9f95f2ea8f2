# SPDX-License-Identifier: Apache-2.0
"""Where frames are to each other at a time, from TF and odometry, by the rules of tf2.

A pose between two known ones is interpolated (positions linearly, rotations along the shortest arc). A pose
that is not known yet is waited for. None is ever extrapolated: tf2/src/cache.cpp does the same. Stamps are
whole nanoseconds, of which a float of seconds since 1970 has lost the last two digits.
"""

from __future__ import annotations

import math
import threading
import time
from bisect import bisect_left
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from geometry_msgs.msg import Quaternion
from nav_msgs.msg import Odometry
from rclpy.node import Node
from rclpy.qos import DurabilityPolicy, QoSProfile
from scipy.spatial.transform import Rotation, Slerp

from sphmask_core.runtime.units import NS_PER_SECOND, stamp_nanoseconds
from sphmask_core.runtime.wording import quoted
from sphmask_ros.guard import Refuse

KEPT = 10 * NS_PER_SECOND
"""Nanoseconds of each frame's history, as in tf2 (TIMECACHE_DEFAULT_MAX_STORAGE_TIME)."""
FOREVER = 2**63
"""Stamp of a pose that always holds; later than any that a message can have."""
LATEST = 0
"""Stamp that asks for the latest time at which all is known that joins two frames, as in tf2."""
LOOK_AGAIN = 0.02
"""Seconds after which a pose that is waited for is looked up again at the latest, as in tf2_ros."""
MOST_FRAMES = 1000
"""Child frames that are kept; a robot has some dozens, and who invents names must not fill the memory."""
LONGEST_NAME = 1000
"""Letters of a frame's name that is kept, for the same reason."""
NORMALIZED = 1e-2
"""How far a quaternion's squared length may be from one, as in tf2 (QUATERNION_NORMALIZATION_TOLERANCE)."""
QUEUE = 100
"""Messages of poses that wait, as in tf2's listener."""


class PoseError(ValueError):
    """A pose that is not known; one line says what is missing."""


class UnjoinedError(PoseError):
    """Two frames between which nothing at all is known."""


@dataclass
class _History:
    """Where a child frame was in its parent's, by rising time."""

    stamps: list[int] = field(default_factory=list)
    """Nanoseconds; one alone that is FOREVER: at rest."""
    steps: list[tuple[str, np.ndarray]] = field(default_factory=list)
    """Parent frame and pose (4, 4) at each."""

    def add(self, stamp: int, parent: str, pose: np.ndarray) -> None:
        """Insert a pose; what is older than KEPT is dropped, and all when the clock has gone back further."""
        if self.stamps and (stamp == FOREVER or stamp < self.stamps[-1] - KEPT):
            self.stamps.clear()
            self.steps.clear()
        place = bisect_left(self.stamps, stamp)
        if place < len(self.stamps) and self.stamps[place] == stamp:
            self.steps[place] = (parent, pose)
            return
        self.stamps.insert(place, stamp)
        self.steps.insert(place, (parent, pose))
        old = bisect_left(self.stamps, self.stamps[-1] - KEPT)
        del self.stamps[:old], self.steps[:old]

    def at(self, stamp: int) -> tuple[str, np.ndarray]:
        """Returns parent frame and pose (4, 4) at a time. Raises PoseError where that needs extrapolation."""
        if self.stamps[-1] == FOREVER:
            return self.steps[-1]
        if stamp > self.stamps[-1]:
            raise PoseError(f"the newest known is {(stamp - self.stamps[-1]) / NS_PER_SECOND:.3f} s older")
        if stamp < self.stamps[0]:
            raise PoseError(f"the oldest known is {(self.stamps[0] - stamp) / NS_PER_SECOND:.3f} s newer")
        place = bisect_left(self.stamps, stamp)
        if self.stamps[place] == stamp:
            return self.steps[place]
        (parent, before), (other, after) = self.steps[place - 1 : place + 1]
        if parent != other:
            return parent, before
        begin, end = self.stamps[place - 1 : place + 1]
        return parent, interpolate(before, after, (stamp - begin) / (end - begin))


def interpolate(before: np.ndarray, after: np.ndarray, share: float) -> np.ndarray:
    """Returns the pose (4, 4) at a share, 0 to 1, of the way between two: lerp of position, slerp of
    rotation."""
    pose = np.eye(4)
    pose[:3, 3] = (1 - share) * before[:3, 3] + share * after[:3, 3]
    turns = Rotation.from_matrix(np.stack([before[:3, :3], after[:3, :3]]))
    pose[:3, :3] = Slerp([0.0, 1.0], turns)(share).as_matrix()
    return pose


class Poses:
    """Keeps transforms by child frame; one thread adds to them, another asks."""

    keeper = "the node"
    """Who keeps them."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._histories: dict[str, _History] = {}

    def add(self, parent: str, child: str, stamp: int, pose: np.ndarray) -> None:
        """Take note of where (4, 4) a child frame is in its parent's at a time, nanoseconds.

        Raises ValueError for what is no pose.
        """
        if not np.isfinite(pose).all():
            raise ValueError(f"the pose of {child!r} is not finite")
        if max(len(parent), len(child)) > LONGEST_NAME:
            raise ValueError(f"{quoted(max(parent, child, key=len))} is longer than {LONGEST_NAME} letters")
        if not child or child == parent:
            raise ValueError(f"a transform from {parent!r} to {child!r} joins no two frames")
        with self._changed:
            self._keep(parent, child, stamp, pose)
            self._changed.notify_all()

    def find(
        self, target: str, source: str, stamp: int, timeout: float = 0.0, patient: bool = True
    ) -> np.ndarray:
        """Returns (4, 4) that takes points of the source frame to the target frame at a time, nanoseconds.

        timeout: seconds to wait for what is not known yet; patient: also where nothing joins the frames.
        Raises PoseError when it is not known then.
        """
        limit = time.monotonic() + timeout
        with self._changed:
            while True:
                try:
                    return self._look_up(target, source, stamp)
                except PoseError as error:
                    left = limit - time.monotonic()
                    if left <= 0 or (isinstance(error, UnjoinedError) and not patient):
                        raise
                self._changed.wait(min(left, LOOK_AGAIN))

    def hear_tf(self, node: Node, refuse: Refuse) -> None:
        """Keep the poses up to date from /tf and /tf_static."""
        try:
            from tf2_msgs.msg import TFMessage
        except ImportError:
            node.get_logger().warning("tf2_msgs is not installed: poses come from the topic odometry alone")
            return

        def transforms(msg: Any, static: bool = False) -> None:
            for item in msg.transforms:
                body, stamp = item.transform, FOREVER if static else stamp_nanoseconds(item.header.stamp)
                self.hear("transform", item, stamp, body.translation, body.rotation, refuse)

        latched = QoSProfile(depth=QUEUE, durability=DurabilityPolicy.TRANSIENT_LOCAL)
        node.create_subscription(TFMessage, "/tf", transforms, QUEUE)
        node.create_subscription(TFMessage, "/tf_static", lambda msg: transforms(msg, static=True), latched)

    def hear(self, what: str, msg: Any, stamp: int, place: Any, turn: Quaternion, refuse: Refuse) -> None:
        """Take note of a message of a child frame's pose; what is no pose goes to `refuse`."""
        try:
            self.add(msg.header.frame_id, msg.child_frame_id, stamp, pose_matrix(place, turn))
        except ValueError as error:
            refuse(f"{what} of {quoted(msg.child_frame_id)}", error)

    def _keep(self, parent: str, child: str, stamp: int, pose: np.ndarray) -> None:
        if child not in self._histories and len(self._histories) >= MOST_FRAMES:
            raise ValueError(f"more than {MOST_FRAMES} frames; {quoted(child)} is left out")
        self._histories.setdefault(child, _History()).add(stamp, parent, pose)

    def _look_up(self, target: str, source: str, stamp: int) -> np.ndarray:
        """Returns what `find` does, at once. Raises PoseError."""
        if stamp == LATEST:
            stamp = self._latest(target, source)
        up, why_up = self._to_ancestors(source, stamp)
        down, why_down = self._to_ancestors(target, stamp)
        common = next((frame for frame in up if frame in down), None)
        if common is None:
            reason = "; ".join(reason for reason in (why_up, why_down) if reason)
            may_join = reason and self._knows(source) and self._knows(target)
            raise PoseError(reason) if may_join else unjoined(target, source)
        return np.asarray(np.linalg.inv(down[common]) @ up[common])

    def _knows(self, frame: str) -> bool:
        return frame in self._histories or any(
            frame == parent for history in self._histories.values() for parent, _ in history.steps
        )

    def _latest(self, target: str, source: str) -> int:
        """Returns the latest time at which all is known that joins two frames; FOREVER: it is at rest."""
        up, down = self._newest_to_ancestors(source), self._newest_to_ancestors(target)
        common = next((frame for frame in up if frame in down), None)
        if common is None:
            raise unjoined(target, source)
        return min(up[common], down[common])

    def _newest_to_ancestors(self, frame: str) -> dict[str, int]:
        """Returns the latest time at which the way to each of a frame's ancestors, itself first, is known."""
        newest = {frame: FOREVER}
        while history := self._histories.get(frame):
            parent = history.steps[-1][0]
            if parent in newest:
                break
            newest[parent] = min(newest[frame], history.stamps[-1])
            frame = parent
        return newest

    def _to_ancestors(self, frame: str, stamp: int) -> tuple[dict[str, np.ndarray], str]:
        """Returns the poses (4, 4) of a frame in each of its ancestors, itself first, and why they end early,
        if so."""
        poses = {frame: np.eye(4)}
        while history := self._histories.get(frame):
            try:
                parent, step = history.at(stamp)
            except PoseError as error:
                return poses, f"of {quoted(frame)} {error}"
            if parent in poses:
                break
            poses[parent] = step @ poses[frame]
            frame = parent
        return poses, ""


def listen(node: Node, poses: Poses, refuse: Refuse) -> None:
    """Keep the poses up to date from `odometry`, /tf and /tf_static; what is no pose goes to `refuse`."""

    def odometry(msg: Odometry) -> None:
        body, stamp = msg.pose.pose, stamp_nanoseconds(msg.header.stamp)
        poses.hear("odometry", msg, stamp, body.position, body.orientation, refuse)

    node.create_subscription(Odometry, "odometry", odometry, QUEUE)
    poses.hear_tf(node, refuse)


def unjoined(target: str, source: str) -> UnjoinedError:
    """Returns what says that nothing joins two frames."""
    return UnjoinedError(f"nothing joins {quoted(source)} and {quoted(target)}")


def stamp_of(nanoseconds: int) -> Time:
    """Returns nanoseconds as a message's stamp."""
    seconds, rest = divmod(nanoseconds, NS_PER_SECOND)
    return Time(sec=seconds, nanosec=rest)


def stamp_seconds(stamp: Any) -> float:
    """Returns the seconds of a builtin_interfaces/Time, which may be negative (rclpy's own Time may not)."""
    return float(stamp.sec) + float(stamp.nanosec) / NS_PER_SECOND


def pose_matrix(place: Any, turn: Quaternion) -> np.ndarray:
    """Returns (4, 4) of a position and a quaternion. Raises ValueError where the quaternion is no
    rotation."""
    quaternion = (turn.x, turn.y, turn.z, turn.w)
    length = math.hypot(*quaternion)
    if not abs(length * length - 1) <= NORMALIZED:  # NaN is not
        raise ValueError(f"its quaternion has length {length:.3g}, not 1")
    pose = np.eye(4)
    pose[:3, :3] = Rotation.from_quat(quaternion).as_matrix()
    pose[:3, 3] = place.x, place.y, place.z
    return pose
