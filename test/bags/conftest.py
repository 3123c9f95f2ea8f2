# SPDX-License-Identifier: Apache-2.0
"""A recording of four clouds and another topic: its messages, an MCAP file, a folder of .db3."""

import numpy as np
import pytest

from sphmask_core import Segmenter
from sphmask_core.clouds.cloud import Cloud
from sphmask_core.simulation.scenes import simulate_cloud
from test.helpers.balls import balls

pytest.importorskip("rosbags", reason="needs the extra `bags`")
import mcap.writer

from sphmask_core.messages.definitions import Definitions
from sphmask_core.messages.pointcloud2 import cloud_points, write_points
from test.helpers.bags import CLOUD, NUMBERS, ODD, OTHER, PERIOD, START, TOPIC, write_folder


@pytest.fixture(scope="module")
def definitions():
    return Definitions()


@pytest.fixture(scope="module")
def segmenter():
    return Segmenter(balls())


@pytest.fixture(scope="module")
def clouds():
    """A simulated frame; another, of another size; the first again; one that sees nothing."""
    first = simulate_cloud(4, 160, 120)
    blind = Cloud(np.full((12, 3), np.nan, np.float32), None, None, (3, 4))
    return [first, simulate_cloud(3, 80, 60), first, blind]


@pytest.fixture(scope="module")
def messages(clouds, definitions):
    """(topic, type, log time, publish time, bytes) in the order of time."""
    rows = []
    for i, cloud in enumerate(clouds):
        stamp = definitions.make("builtin_interfaces/Time", sec=1_600_000_000 + i, nanosec=5)
        header = definitions.make("std_msgs/Header", stamp=stamp, frame_id="camera_optical_frame")
        sent = write_points(definitions.make, header, cloud_points(cloud))
        now = START + i * PERIOD
        rows.append((TOPIC, CLOUD, now, now - 1234, definitions.write(CLOUD, sent)))
        rows.append((OTHER, ODD, now + 7, now - 99, bytes([0, 1, 0, 0, i, 1, 2, 3])))
    return rows


@pytest.fixture(scope="module")
def mcap_bag(tmp_path_factory, messages, definitions):
    path = tmp_path_factory.mktemp("bags") / "scene.mcap"
    with path.open("wb") as file:
        writer = mcap.writer.Writer(file, compression=mcap.writer.CompressionType.LZ4)
        writer.start(profile="ros2")
        writer.add_attachment(1, 2, "camera.yaml", "text/yaml", b"focal: 525")
        writer.add_metadata("site", {"room": "7"})
        kinds = {TOPIC: (CLOUD, definitions.describe(CLOUD)[0]), OTHER: (ODD, NUMBERS)}
        channels = {
            topic: writer.register_channel(
                topic,
                "cdr",
                writer.register_schema(kind, "ros2msg", text.encode()),
                {"offered_qos_profiles": "[]"},
            )
            for topic, (kind, text) in kinds.items()
        }
        for number, (topic, _, log, publish, data) in enumerate(messages):
            writer.add_message(channels[topic], log, data, publish, sequence=number)
        writer.finish()
    return path


@pytest.fixture(scope="module")
def folder(tmp_path_factory, messages, definitions):
    return write_folder(tmp_path_factory.mktemp("bags") / "scene", messages, definitions)
