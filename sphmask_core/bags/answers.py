# SPDX-License-Identifier: Apache-2.0
"""What is in a bag of the node's answers, whether the node recorded it or `sphmask segment` wrote it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from scipy.spatial.transform import Rotation

from sphmask_core.bags.bag import Bag, Message, naming
from sphmask_core.bags.files import open_bag
from sphmask_core.bags.segment import OUTPUTS
from sphmask_core.bags.topics import CLOUD, cloud_topic
from sphmask_core.clouds.cloud import Cloud, CloudError
from sphmask_core.messages.definitions import Definitions
from sphmask_core.messages.pointcloud2 import read_cloud_message
from sphmask_core.pictures.viewer import SegmentedCloud
from sphmask_core.runtime.units import NS_PER_SECOND, stamp_nanoseconds

POINTS, INSTANCES = "/segment/labelled_points", "/segment/instances"
WAITING = 30
"""Clouds that are kept until their answer comes: a second of a camera's."""


def is_segmented(path: Path) -> bool:
    """Returns whether a bag holds instances that the node or `sphmask segment` wrote into it."""
    with open_bag(path) as bag:
        return bag.topics.get(INSTANCES) == OUTPUTS[INSTANCES]


def read_answers(path: Path, topic: str | None = None) -> Iterator[SegmentedCloud]:
    """Gives each cloud that has an answer in a bag, which tells its instances in the cloud's frame.

    topic None: the labeled points, or else the only topic of clouds.
    """
    definitions = Definitions()
    clouds: dict[tuple[int, str], Cloud] = {}
    with open_bag(path) as bag:
        topic = topic or (POINTS if POINTS in bag.topics else None)
        topic = cloud_topic(bag, path, topic)
        for message in _messages(bag, path):
            if message.topic == topic:
                sent = _decode(definitions, path, message, CLOUD)
                clouds[_key(sent)] = _cloud(sent)
                while len(clouds) > WAITING:
                    del clouds[next(iter(clouds))]
            elif message.topic == INSTANCES:
                sent = _decode(definitions, path, message, OUTPUTS[INSTANCES])
                cloud = clouds.pop(_key(sent), None)
                if cloud is not None and len(cloud.xyz):
                    with naming(path):
                        yield _segmented(sent, cloud)


def _messages(bag: Bag, path: Path) -> Iterator[Message]:
    """Gives all messages; a bag that cannot be read to its end is named."""
    messages = bag.messages()
    while True:
        with naming(path):
            message = next(messages, None)
        if message is None:
            return
        yield message


def _stamp(sent: Any) -> int:
    """Returns the stamp of a message's header, nanoseconds."""
    return stamp_nanoseconds(sent.header.stamp)


def _decode(definitions: Definitions, path: Path, message: Message, kind: str) -> Any:
    with naming(path):
        return definitions.read(kind, message.data)


def _key(sent: Any) -> tuple[int, str]:
    return _stamp(sent), sent.header.frame_id


def _cloud(sent: Any) -> Cloud:
    """Returns the cloud; an empty one where it has no points, as the labeled points of a refused cloud."""
    try:
        return read_cloud_message(sent)
    except CloudError:
        return Cloud(np.empty((0, 3), np.float32), None, None, (0, 0))


def _segmented(sent: Any, cloud: Cloud) -> SegmentedCloud:
    instances = sent.instances
    labels = np.zeros(len(cloud.xyz), np.uint32)
    for instance in reversed(instances):  # the best score comes first, and wins
        indices = sent.point_indices[instance.first_point : instance.first_point + instance.point_count]
        if len(indices) and indices.max() >= len(labels):
            raise ValueError("its instances have points that its clouds have not")
        labels[indices] = instance.id
    turn = sent.orientation
    poses = [instance.box.orientation for instance in instances]
    stamp = _stamp(sent)
    return SegmentedCloud(
        name=f"{stamp / NS_PER_SECOND:.3f} s",
        stamp=stamp,
        cloud=cloud,
        labels=labels,
        ids=np.array([instance.id for instance in instances], np.uint32),
        class_names=tuple(instance.class_name for instance in instances),
        scores=np.array([instance.score for instance in instances], np.float32),
        centers=_vectors([instance.center for instance in instances]),
        rays=np.array([instance.rays for instance in instances], np.float32).reshape(len(instances), -1),
        sectors=(int(sent.polar_sectors), int(sent.azimuth_sectors)),
        rotation=Rotation.from_quat([turn.x, turn.y, turn.z, turn.w]).as_matrix().T,
        box_centers=_vectors([instance.box.position for instance in instances]),
        box_sizes=_vectors([instance.size for instance in instances]),
        box_rotations=Rotation.from_quat([[q.x, q.y, q.z, q.w] for q in poses]).as_matrix()
        if poses
        else np.empty((0, 3, 3)),
    )


def _vectors(messages: list[Any]) -> np.ndarray:
    """Returns (I, 3) of messages with x, y and z."""
    return np.array([(vector.x, vector.y, vector.z) for vector in messages], np.float64).reshape(-1, 3)
