# SPDX-License-Identifier: Apache-2.0
"""Bags without ROS: their clouds, and what a model finds in them written beside all that was recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sphmask_core.bags.files import Bag, BagError, Message, naming, open_bag
from sphmask_core.bags.kinds import files_of_bag
from sphmask_core.clouds.cloud import Cloud, CloudError
from sphmask_core.messages.definitions import Definitions
from sphmask_core.messages.frames import vertical_of
from sphmask_core.messages.instances import instance_array
from sphmask_core.messages.markers import InstanceMarkers
from sphmask_core.messages.pointcloud2 import labelled_points, read_cloud_message
from sphmask_core.method.instances import Instances
from sphmask_core.placement import place
from sphmask_core.runtime.files import same_file
from sphmask_core.segmenter import Segmenter
from sphmask_core.tracking import Tracker

CLOUD = "sensor_msgs/msg/PointCloud2"
OUTPUTS = {
    "/segment/labelled_points": CLOUD,
    "/segment/markers": "visualization_msgs/msg/MarkerArray",
    "/segment/instances": "sphmask_ros/msg/InstanceArray",
}
"""Topics that are added, named and typed as the node's."""


NO_POINTS = np.empty((0, 3), np.float32)


@dataclass(frozen=True)
class BagFrame:
    """A cloud of a bag and its instances."""

    stamp: int
    """Nanoseconds, of its header; of a message without a readable header the time of its recording."""
    points: int
    instances: Instances
    problem: str
    """Why it could not be segmented, and has no instances; else empty."""


def read_clouds(path: Path, topic: str | None = None) -> Iterator[tuple[int, str, Cloud]]:
    """Gives stamp (ns), frame and cloud of every message of a topic; None: the only topic of clouds."""
    definitions = Definitions()
    with open_bag(path) as bag:
        topic = cloud_topic(bag, path, topic)
        for message in _read(bag, path, topic):
            sent = _decode(definitions, path, message)
            try:
                yield _stamp(sent), sent.header.frame_id, read_cloud_message(sent)
            except CloudError as error:
                raise CloudError(f"{path}: {topic} at {_stamp(sent) / 1e9:.3f} s: {error}") from None


def cloud_topic(bag: Bag, path: Path, topic: str | None) -> str:
    """Returns the topic to read: the one asked for, or the only one of clouds."""
    clouds = sorted(name for name, kind in bag.topics.items() if kind == CLOUD)
    if topic in clouds:
        return str(topic)
    if not clouds:
        others = ", ".join(f"{name} ({kind})" for name, kind in sorted(bag.topics.items()))
        raise BagError(f"{path}: has no topic of type {CLOUD}; its topics: {others or 'none'}")
    if topic is not None:
        what = f"is {bag.topics[topic]}" if topic in bag.topics else "is not in it"
        raise BagError(f"{path}: {topic} {what}; give --topic {' or '.join(clouds)}")
    if len(clouds) > 1:
        raise BagError(f"{path}: has several topics of clouds; give --topic {' or '.join(clouds)}")
    return clouds[0]


def segment_bag(
    segmenter: Segmenter, source: Path, output: Path, topic: str | None, min_score: float | None = None
) -> Iterator[BagFrame]:
    """Copy a bag to `output` with three topics more; a frame is given as soon as it is done.

    topic None: the only one of clouds; min_score None: the model's own.
    `output` is there, whole, once all frames were taken.
    """
    if same_file(output, files_of_bag(source)) is not None:
        raise BagError(f"{output}: is the bag itself, or a file of it; give another name")
    definitions = Definitions()
    answer = _Answer(segmenter, definitions, min_score)
    with open_bag(source) as bag:
        topic = cloud_topic(bag, source, topic)
        taken = sorted(OUTPUTS.keys() & bag.topics.keys())
        if taken:
            raise BagError(f"{source}: has {taken[0]} already; segment the bag as it was recorded")
        with bag.copying(output) as copy:
            for name, kind in OUTPUTS.items():
                copy.add_topic(name, kind, *definitions.describe(kind))
            for message in _read(bag, source, None):
                copy.copy(message)
                if message.topic != topic:
                    continue
                frame, outputs = answer(message)
                for name, data in outputs.items():
                    copy.write(name, data, beside=message)
                yield frame


class _Answer:
    """Segments the clouds in messages and makes the messages that the node would publish for each."""

    def __init__(self, segmenter: Segmenter, definitions: Definitions, min_score: float | None) -> None:
        self._segmenter = segmenter
        self._min_score = min_score
        self._definitions = definitions
        self._rays = segmenter.config.model.rays
        self._tracker = Tracker(segmenter.config.voxel_size)
        self._markers = InstanceMarkers(definitions.make)

    def __call__(self, message: Message) -> tuple[BagFrame, dict[str, bytes]]:
        """Returns the frame, and the bytes of the messages by topic, all under the cloud's header.

        For a message that cannot be decoded, and so has no header, there are none.
        """
        try:
            sent = self._definitions.read(CLOUD, message.data)
        except Exception as error:  # a parser of untrusted bytes
            problem = " ".join(str(error).split()) or type(error).__name__
            return BagFrame(message.time, 0, self._segmenter(NO_POINTS), f"not a {CLOUD} ({problem})"), {}
        cloud, instances, problem = self._segment(sent)
        make, header = self._definitions.make, sent.header
        tracks = self._tracker.update(cloud.xyz, instances, _stamp(sent) / 1e9)
        placed = place(cloud.xyz, instances)
        messages = {
            "/segment/labelled_points": labelled_points(make, header, cloud, instances, tracks),
            "/segment/markers": self._markers.update(header, instances, tracks, placed, self._rays),
            "/segment/instances": instance_array(make, header, instances, tracks, placed, self._rays),
        }
        data = {name: self._definitions.write(OUTPUTS[name], value) for name, value in messages.items()}
        return BagFrame(_stamp(sent), sent.height * sent.width, instances, problem), data

    def _segment(self, sent: Any) -> tuple[Cloud, Instances, str]:
        """Returns the cloud, its instances and an empty string; or no points, no instances and why not."""
        try:
            cloud = read_cloud_message(sent)
            vertical = vertical_of(sent.header.frame_id)
            instances = self._segmenter(cloud.xyz, cloud.rgb, vertical=vertical, min_score=self._min_score)
            return cloud, instances, ""
        except (ValueError, MemoryError) as error:
            nothing = Cloud(NO_POINTS, None, None, (0, 0))
            return nothing, self._segmenter(NO_POINTS), " ".join(str(error).split()) or "out of memory"


def _read(bag: Bag, path: Path, topic: str | None) -> Iterator[Message]:
    """Gives the messages of one topic or of all; a bag that cannot be read to its end is named."""
    messages = bag.messages(topic)
    while True:
        with naming(path):
            message = next(messages, None)
        if message is None:
            return
        yield message


def _decode(definitions: Definitions, path: Path, message: Message) -> Any:
    with naming(path):
        return definitions.read(CLOUD, message.data)


def _stamp(sent: Any) -> int:
    """Returns the stamp of a message's header, nanoseconds."""
    return int(sent.header.stamp.sec) * 10**9 + int(sent.header.stamp.nanosec)
