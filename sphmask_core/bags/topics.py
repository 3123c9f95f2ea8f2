# SPDX-License-Identifier: Apache-2.0
"""The topics of a bag that are segmented: clouds as they stand there, or depth images with their colors."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np

from sphmask_core.bags.bag import Bag, BagError, Message, naming
from sphmask_core.clouds.cloud import Cloud, CloudError
from sphmask_core.clouds.depth import SIMULTANEOUS
from sphmask_core.messages.definitions import Definitions
from sphmask_core.messages.pointcloud2 import read_cloud_message
from sphmask_core.messages.rgbd import RgbdFrame, read_rgbd_frame
from sphmask_core.runtime.units import NS_PER_SECOND, stamp_nanoseconds
from sphmask_core.runtime.wording import one_line, quoted

CLOUD = "sensor_msgs/msg/PointCloud2"
IMAGES = ("sensor_msgs/msg/Image", "sensor_msgs/msg/CompressedImage")
INFOS = ("sensor_msgs/msg/CameraInfo",)
WAITING = 10
"""Depth images that wait for the color image of their time."""

Say = Callable[[str], object]


@dataclass(frozen=True)
class ImageTopics:
    """Names of the topics of an RGB-D camera."""

    depth: str
    info: str
    color: str | None = None
    color_info: str | None = None
    """The camera_info of the colors; None where they have the pixels of the depth images."""


@dataclass(frozen=True)
class Sent:
    """A cloud of a bag that is to be segmented, or the images of one."""

    message: Message
    """The message that is answered: the cloud, or the depth image."""
    header: Any
    """The header of that message; None where it cannot be decoded."""
    points: int
    read: Callable[[], Cloud]
    """Returns the cloud. Raises ValueError where there is none."""

    @property
    def stamp(self) -> int:
        """Returns the stamp of the header, or else the time of the recording; nanoseconds."""
        return self.message.time if self.header is None else nanoseconds(self.header)


class Topics(Protocol):
    """Takes the messages of a bag in the order of time, and gives what can be segmented."""

    @property
    def name(self) -> str:
        """Returns the topic whose messages are answered."""

    def take(self, message: Message) -> list[Sent]:
        """Take a message of any topic; returns what can be segmented now."""

    def rest(self) -> list[Sent]:
        """Returns what is left when there are no more messages."""


@dataclass
class CloudTopic:
    """Takes the clouds of one topic."""

    name: str
    definitions: Definitions

    def take(self, message: Message) -> list[Sent]:
        """Returns the cloud, if the message is one."""
        if message.topic != self.name:
            return []
        sent = _decoded(self.definitions, CLOUD, message)
        if isinstance(sent, CloudError):
            return [_undecodable(message, sent)]
        return [Sent(message, sent.header, sent.height * sent.width, partial(read_cloud_message, sent))]

    def rest(self) -> list[Sent]:
        """Returns nothing: clouds do not wait."""
        return []


@dataclass
class RgbdTopics:
    """Takes depth images, and gives each with the color image that is nearest in time."""

    topics: ImageTopics
    kinds: dict[str, str]
    """Type of each of the bag's topics."""
    infos: dict[str, Any]
    """First camera_info of each of its topics that is asked for."""
    definitions: Definitions
    say: Say
    _depths: deque[tuple[Message, Any]] = field(default_factory=deque)
    _colors: deque[Any] = field(default_factory=deque)
    _said: set[str] = field(default_factory=set)

    @property
    def name(self) -> str:
        """Returns the topic of the depth images."""
        return self.topics.depth

    def take(self, message: Message) -> list[Sent]:
        """Returns the depth images whose color image is known after this message."""
        if message.topic not in (self.topics.depth, self.topics.color):
            return []
        sent = _decoded(self.definitions, self.kinds[message.topic], message)
        if isinstance(sent, CloudError):
            broken = [_undecodable(message, sent)] if message.topic == self.topics.depth else []
            return [*self.rest(), *broken]  # in the order of time
        if message.topic == self.topics.depth:
            self._depths.append((message, sent))
        else:
            self._colors.append(sent)
        return self._ready(len(self._depths) - WAITING)

    def rest(self) -> list[Sent]:
        """Returns the depth images that still wait for colors."""
        return self._ready(len(self._depths))

    def _ready(self, overdue: int) -> list[Sent]:
        """Returns depth images to which no later color can be nearer, and the `overdue` oldest ones."""
        ready: list[Sent] = []
        newest = nanoseconds(self._colors[-1].header) if self._colors else -1
        while self._depths:
            stamp = nanoseconds(self._depths[0][1].header)
            if self.topics.color and newest < stamp and len(ready) >= overdue:
                break
            ready.append(self._sent(*self._depths.popleft(), stamp))
        return ready

    def _sent(self, message: Message, depth: Any, stamp: int) -> Sent:
        reach = int(SIMULTANEOUS * NS_PER_SECOND)
        while self._colors and nanoseconds(self._colors[0].header) < stamp - reach:
            self._colors.popleft()
        color = min(self._colors, key=lambda sent: abs(nanoseconds(sent.header) - stamp), default=None)
        if color is not None and abs(nanoseconds(color.header) - stamp) > reach:
            color = None
        other = self.topics.color_info
        frame = RgbdFrame(depth, self.infos[self.topics.info], color, self.infos[other] if other else None)
        return Sent(
            message,
            depth.header,
            getattr(depth, "height", 0) * getattr(depth, "width", 0),
            partial(self._read, frame),
        )

    def _read(self, frame: RgbdFrame) -> Cloud:
        cloud, remarks = read_rgbd_frame(frame, _no_pose)
        for remark in remarks:
            if remark not in self._said:
                self._said.add(remark)
                self.say(remark)
        return cloud


def cloud_topic(bag: Bag, path: Path, topic: str | None) -> str:
    """Returns the topic to read: the one asked for, or the only one of clouds."""
    clouds = sorted(name for name, kind in bag.topics.items() if kind == CLOUD)
    if topic in clouds:
        return str(topic)
    if not clouds:
        images = ", or --depth-topic" if set(IMAGES) & set(bag.topics.values()) else ""
        others = ", ".join(f"{name} ({kind})" for name, kind in sorted(bag.topics.items()))
        raise BagError(f"{path}: has no topic of type {CLOUD}{images}; its topics: {others or 'none'}")
    if topic is not None:
        problem = f"is {bag.topics[topic]}" if topic in bag.topics else "is not in it"
        raise BagError(f"{path}: {topic} {problem}; give --topic {' or '.join(clouds)}")
    if len(clouds) > 1:
        raise BagError(f"{path}: has several topics of clouds; give --topic {' or '.join(clouds)}")
    return clouds[0]


def open_topics(
    bag: Bag, path: Path, definitions: Definitions, topic: str | None, images: ImageTopics | None, say: Say
) -> Topics:
    """Returns the images of a bag if `images` are given, or else the clouds of `topic`."""
    if images is None:
        return CloudTopic(cloud_topic(bag, path, topic), definitions)
    for name, kinds in (
        (images.depth, IMAGES),
        (images.color, IMAGES),
        (images.info, INFOS),
        (images.color_info, INFOS),
    ):
        if name is not None and bag.topics.get(name) not in kinds:
            usable = sorted(other for other, kind in bag.topics.items() if kind in kinds)
            problem = f"is {bag.topics[name]}" if name in bag.topics else "is not in it"
            raise BagError(
                f"{path}: {name} {problem}; of type {kinds[0]} it has {', '.join(usable) or 'none'}"
            )
    names = [name for name in (images.info, images.color_info) if name is not None]
    infos = {name: _first(bag, path, definitions, name) for name in names}
    return RgbdTopics(images, dict(bag.topics), infos, definitions, say)


def _first(bag: Bag, path: Path, definitions: Definitions, topic: str) -> Any:
    """Returns the first message of a topic."""
    with naming(path):
        message = next(bag.messages(topic), None)
        if message is None:
            raise BagError(f"{path}: {topic} has no messages")
        return definitions.read(bag.topics[topic], message.data)


def nanoseconds(header: Any) -> int:
    """Returns the stamp of a header, nanoseconds."""
    return stamp_nanoseconds(header.stamp)


def _decoded(definitions: Definitions, kind: str, message: Message) -> Any:
    """Returns the decoded message, or a CloudError that says why it cannot be decoded."""
    try:
        return definitions.read(kind, message.data)
    except Exception as error:  # a parser of untrusted bytes
        return CloudError(f"not a {kind} ({one_line(error)})")


def _undecodable(message: Message, error: CloudError) -> Sent:
    def read() -> Cloud:
        raise error

    return Sent(message, None, 0, read)


def _no_pose(target: str, source: str) -> np.ndarray:
    raise CloudError(f"{quoted(target)} is another frame than {quoted(source)}, and TF of bags is not read")
