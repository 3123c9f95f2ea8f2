# SPDX-License-Identifier: Apache-2.0
"""Bags without ROS: their clouds, and what a model finds in them written beside all that was recorded."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sphmask_core.bags.bag import Bag, BagError, Message, naming
from sphmask_core.bags.files import open_bag
from sphmask_core.bags.kinds import files_of_bag
from sphmask_core.clouds.cloud import Cloud, CloudError
from sphmask_core.messages.definitions import Definitions
from sphmask_core.messages.detections import detection_array
from sphmask_core.messages.frames import vertical_of
from sphmask_core.messages.instances import instance_array
from sphmask_core.messages.markers import InstanceMarkers
from sphmask_core.messages.pointcloud2 import labelled_points, read_cloud_message
from sphmask_core.messages.timings import timings_message
from sphmask_core.method.instances import Instances
from sphmask_core.placement import Placements, place
from sphmask_core.runtime.files import same_file
from sphmask_core.runtime.timing import Timer
from sphmask_core.segmenter import Segmenter
from sphmask_core.tracking import Tracker, Tracks

CLOUD = "sensor_msgs/msg/PointCloud2"
OUTPUTS = {
    "/segment/labelled_points": CLOUD,
    "/segment/markers": "visualization_msgs/msg/MarkerArray",
    "/segment/instances": "sphmask_ros/msg/InstanceArray",
    "/segment/detections": "vision_msgs/msg/Detection3DArray",
    "/segment/timings": "sphmask_ros/msg/Timings",
}
"""Topics that are added, named and typed as the node's."""
NOTHING = Cloud(np.empty((0, 3), np.float32), None, None, (0, 0))
CPU = torch.device("cpu")


@dataclass(frozen=True)
class BagFrame:
    """A cloud of a bag and what was found in it."""

    stamp: int
    """Nanoseconds, of its header; of a message without a readable header the time of its recording."""
    points: int
    """As its header says, whether or not it could be segmented."""
    cloud: Cloud
    """Without points where it could not be segmented."""
    instances: Instances
    tracks: Tracks
    placed: Placements
    milliseconds: dict[str, float]
    """Of each stage."""
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
    segmenter: Segmenter,
    source: Path,
    output: Path,
    topic: str | None,
    min_score: float | None = None,
    compression: str | None = None,
) -> Iterator[BagFrame]:
    """Copy a bag to `output` with the topics of OUTPUTS more; a frame is given as soon as it is done.

    topic None: the only one of clouds; min_score None: the model's own; compression None: as the bag's.
    `output` is there, whole, once all frames were taken.
    """
    if same_file(output, files_of_bag(source)) is not None:
        raise BagError(f"{output}: is the bag itself, or a file of it; give another name")
    definitions = Definitions()
    find, answer = _Finder(segmenter, definitions, min_score), _Answer(segmenter, definitions)
    with open_bag(source) as bag:
        topic = cloud_topic(bag, source, topic)
        taken = sorted(OUTPUTS.keys() & bag.topics.keys())
        if taken:
            raise BagError(f"{source}: has {taken[0]} already; segment the bag as it was recorded")
        with bag.copying(output, compression) as copy:
            for name, kind in OUTPUTS.items():
                copy.add_topic(name, kind, *definitions.describe(kind))
            for message in _read(bag, source, None):
                copy.copy(message)
                if message.topic != topic:
                    continue
                header, frame = find(message)
                if header is not None:
                    for name, data in answer(header, frame).items():
                        copy.write(name, data, beside=message)
                yield frame


def find_in_bag(
    segmenter: Segmenter, source: Path, topic: str | None, min_score: float | None = None
) -> Iterator[BagFrame]:
    """Gives the frames of `segment_bag`, of a bag that is only read."""
    find = _Finder(segmenter, Definitions(), min_score)
    with open_bag(source) as bag:
        for message in _read(bag, source, cloud_topic(bag, source, topic)):
            yield find(message)[1]


class _Finder:
    """Segments the clouds in messages, and follows what it finds."""

    def __init__(self, segmenter: Segmenter, definitions: Definitions, min_score: float | None) -> None:
        self._segmenter = segmenter
        self._min_score = min_score
        self._definitions = definitions
        self._tracker = Tracker(segmenter.config.voxel_size)

    def __call__(self, message: Message) -> tuple[Any, BagFrame]:
        """Returns the cloud's header, None where the message cannot be decoded, and the frame."""
        timer = Timer(CPU)
        timer.start("read")
        try:
            sent = self._definitions.read(CLOUD, message.data)
        except Exception as error:  # a parser of untrusted bytes
            problem = " ".join(str(error).split()) or type(error).__name__
            return None, self._nothing(message.time, 0, Tracks.none(0), f"not a {CLOUD} ({problem})")
        stamp, points = _stamp(sent), sent.height * sent.width
        try:
            cloud = read_cloud_message(sent)
            timer.stop()
            vertical = vertical_of(sent.header.frame_id)
            instances = self._segmenter(cloud.xyz, cloud.rgb, vertical=vertical, min_score=self._min_score)
        except (ValueError, MemoryError) as error:
            problem = " ".join(str(error).split()) or "out of memory"
            lost = self._tracker.update(NOTHING.xyz, self._segmenter(NOTHING.xyz), stamp / 1e9)
            return sent.header, self._nothing(stamp, points, lost, problem)
        timer.start("track")
        tracks = self._tracker.update(cloud.xyz, instances, stamp / 1e9)
        placed = place(cloud.xyz, instances)
        timer.stop()
        read, track = timer.milliseconds["read"], timer.milliseconds["track"]
        stages = {"read": read, **instances.timings, "track": track}
        return sent.header, BagFrame(stamp, points, cloud, instances, tracks, placed, stages, "")

    def _nothing(self, stamp: int, points: int, tracks: Tracks, problem: str) -> BagFrame:
        """The frame of a message that has no usable cloud."""
        nobody = self._segmenter(NOTHING.xyz)
        placed = place(NOTHING.xyz, nobody)
        return BagFrame(stamp, points, NOTHING, nobody, tracks, placed, {}, problem)


class _Answer:
    """Makes the messages that the node would publish for each frame."""

    def __init__(self, segmenter: Segmenter, definitions: Definitions) -> None:
        self._definitions = definitions
        self._rays = segmenter.config.model.rays
        self._markers = InstanceMarkers(definitions.make)

    def __call__(self, header: Any, frame: BagFrame) -> dict[str, bytes]:
        """Returns the bytes of the messages by topic, all under the cloud's header."""
        make, found = self._definitions.make, (frame.instances, frame.tracks)
        timer = Timer(CPU)
        timer.start("write")
        messages = {
            "/segment/labelled_points": labelled_points(make, header, frame.cloud, *found),
            "/segment/markers": self._markers.update(header, *found, frame.placed, self._rays),
            "/segment/instances": instance_array(make, header, *found, frame.placed, self._rays),
            "/segment/detections": detection_array(make, header, *found, frame.placed),
        }
        timer.stop()
        stages = frame.milliseconds | timer.milliseconds
        messages["/segment/timings"] = timings_message(make, header, stages, sum(stages.values()))
        return {name: self._definitions.write(OUTPUTS[name], value) for name, value in messages.items()}


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
