# SPDX-License-Identifier: Apache-2.0
"""Bags without ROS: their clouds, and what a model finds in them written beside all that was recorded."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sphmask_core.bags.bag import Bag, BagError, Message, naming
from sphmask_core.bags.files import open_bag
from sphmask_core.bags.kinds import files_of_bag
from sphmask_core.bags.topics import CLOUD, ImageTopics, RgbdTopics, Say, Sent, Topics, open_topics
from sphmask_core.clouds.cloud import Cloud, CloudError
from sphmask_core.messages.definitions import Definitions
from sphmask_core.messages.detections import detection_array
from sphmask_core.messages.frames import vertical_of
from sphmask_core.messages.instances import instance_array
from sphmask_core.messages.markers import InstanceMarkers
from sphmask_core.messages.pointcloud2 import labelled_points
from sphmask_core.messages.timings import timings_message
from sphmask_core.method.instances import Instances
from sphmask_core.placement import Placements, place
from sphmask_core.runtime.files import same_file
from sphmask_core.runtime.timing import Timer
from sphmask_core.runtime.units import NS_PER_SECOND
from sphmask_core.segmenter import Request, Segmenter
from sphmask_core.tracking import Tracker, Tracks

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
USUAL = Request()
"""All that the model finds, by its own threshold."""


@dataclass(frozen=True)
class BagFrame:
    """A cloud of a bag and what was found in it."""

    stamp: int
    """Nanoseconds, of its header; of a message without a readable header the time of its recording."""
    points: int
    """The number of points that the message announces, whether or not it could be segmented."""
    cloud: Cloud
    """The cloud, without points where it could not be segmented."""
    instances: Instances
    tracks: Tracks
    placed: Placements
    milliseconds: dict[str, float]
    """How long each stage took."""
    problem: str
    """Why the cloud could not be segmented and has no instances; empty where it could."""


def read_clouds(
    path: Path, topic: str | None = None, images: ImageTopics | None = None
) -> Iterator[tuple[int, str, Cloud]]:
    """Gives stamp (ns), frame and cloud of every message of a topic; None: the only topic of clouds.

    images: the topics of an RGB-D camera, whose clouds are then given.
    """
    definitions = Definitions()
    with open_bag(path) as bag:
        topics = open_topics(bag, path, definitions, topic, images, lambda remark: None)
        for sent in _sent(bag, path, topics):
            try:
                yield sent.stamp, "" if sent.header is None else sent.header.frame_id, sent.read()
            except CloudError as error:
                where = f"{path}: {topics.name} at {sent.stamp / NS_PER_SECOND:.3f} s"
                raise (BagError if sent.header is None else CloudError)(f"{where}: {error}") from None


def segment_bag(
    segmenter: Segmenter,
    source: Path,
    output: Path,
    topic: str | None,
    request: Request = USUAL,
    compression: str | None = None,
    images: ImageTopics | None = None,
    say: Say = lambda remark: None,
) -> Iterator[BagFrame]:
    """Copies a bag to `output` and adds the topics of OUTPUTS. Yields each frame as soon as it is done.

    topic None: the only one of clouds; compression None: as the bag's; images: the topics of an RGB-D camera
    in the place of clouds; say: told what is to be said once. `output` is there, whole, once all frames were
    taken.
    """
    if same_file(output, files_of_bag(source)) is not None:
        raise BagError(f"{output}: is the bag itself, or a file of it; give another name")
    definitions = Definitions()
    find, answer = _Finder(segmenter, request), _Answer(segmenter, definitions)
    with open_bag(source) as bag:
        topics = open_topics(bag, source, definitions, topic, images, say)
        existing = sorted(OUTPUTS.keys() & bag.topics.keys())
        if existing:
            raise BagError(f"{source}: has {existing[0]} already; segment the bag as it was recorded")
        with bag.copying(output, compression) as copy:
            for name, kind in OUTPUTS.items():
                copy.add_topic(name, kind, *definitions.describe(kind))
            for sent in _sent(bag, source, topics, copy.copy):
                frame = find(sent)
                for name, data in answer(sent.header, frame).items() if sent.header is not None else ():
                    copy.write(name, data, beside=sent.message)
                yield frame


def find_in_bag(
    segmenter: Segmenter,
    source: Path,
    topic: str | None,
    request: Request = USUAL,
    images: ImageTopics | None = None,
    say: Say = lambda remark: None,
) -> Iterator[BagFrame]:
    """Gives the frames of `segment_bag`, of a bag that is only read."""
    find = _Finder(segmenter, request)
    with open_bag(source) as bag:
        topics = open_topics(bag, source, Definitions(), topic, images, say)
        for sent in _sent(bag, source, topics):
            yield find(sent)


class _Finder:
    """Segments what is sent in a bag, and follows what it finds."""

    def __init__(self, segmenter: Segmenter, request: Request) -> None:
        self._segmenter, self._request = segmenter, request
        self._tracker = Tracker(segmenter.config.voxel_size)

    def __call__(self, sent: Sent) -> BagFrame:
        """Returns the frame; without instances where there is no cloud."""
        timer = Timer(CPU)
        timer.start("read")
        try:
            cloud = sent.read()
            timer.stop()
            instances = self._request.find(self._segmenter, cloud, vertical_of(sent.header.frame_id))
        except (ValueError, MemoryError) as error:
            return self._nothing(sent, " ".join(str(error).split()) or "out of memory")
        timer.start("track")
        tracks = self._tracker.update(cloud.xyz, instances, sent.stamp / NS_PER_SECOND)
        placed = place(cloud.xyz, instances)
        timer.stop()
        read, track = timer.milliseconds["read"], timer.milliseconds["track"]
        stages = {"read": read, **instances.timings, "track": track}
        return BagFrame(sent.stamp, len(cloud.xyz), cloud, instances, tracks, placed, stages, "")

    def _nothing(self, sent: Sent, problem: str) -> BagFrame:
        """Returns the frame of a message that has no usable cloud; what was seen before is lost, if it has a
        time."""
        no_instances = self._segmenter(NOTHING.xyz)
        tracks = Tracks.none(0)
        if sent.header is not None:
            tracks = self._tracker.update(NOTHING.xyz, no_instances, sent.stamp / NS_PER_SECOND)
        placed = place(NOTHING.xyz, no_instances)
        return BagFrame(sent.stamp, sent.points, NOTHING, no_instances, tracks, placed, {}, problem)


class _Answer:
    """Makes the messages that the node would publish for each frame."""

    def __init__(self, segmenter: Segmenter, definitions: Definitions) -> None:
        self._definitions = definitions
        self._rays = segmenter.config.model.rays
        self._markers = InstanceMarkers(definitions.make)

    def __call__(self, header: Any, frame: BagFrame) -> dict[str, bytes]:
        """Returns the bytes of the messages by topic, all under the cloud's header."""
        make, results = self._definitions.make, (frame.instances, frame.tracks)
        timer = Timer(CPU)
        timer.start("write")
        messages = {
            "/segment/labelled_points": labelled_points(make, header, frame.cloud, *results),
            "/segment/markers": self._markers.update(header, *results, frame.placed, self._rays),
            "/segment/instances": instance_array(make, header, *results, frame.placed, self._rays),
            "/segment/detections": detection_array(make, header, *results, frame.placed),
        }
        timer.stop()
        stages = frame.milliseconds | timer.milliseconds
        messages["/segment/timings"] = timings_message(make, header, stages, sum(stages.values()))
        return {name: self._definitions.write(OUTPUTS[name], value) for name, value in messages.items()}


def _sent(
    bag: Bag, path: Path, topics: Topics, each: Callable[[Message], object] | None = None
) -> Iterator[Sent]:
    """Gives what is to be segmented of a bag; `each` is called with every message, before what it completes.

    A bag that cannot be read to its end is named.
    """
    messages = bag.messages(None if each or isinstance(topics, RgbdTopics) else topics.name)
    while True:
        with naming(path):
            message = next(messages, None)
        if message is None:
            break
        if each:
            each(message)
        yield from topics.take(message)
    yield from topics.rest()
