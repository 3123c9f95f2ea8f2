# SPDX-License-Identifier: Apache-2.0
"""Bags written by the library `rosbags`, with a topic of clouds and one of a type that nobody knows."""

from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

from sphmask_core.messages.definitions import Definitions
from sphmask_core.messages.pointcloud2 import cloud_points, write_points
from sphmask_core.simulation.scenes import simulate_cloud

TOPIC, OTHER = "/camera/points", "/odd"
CLOUD, ODD = "sensor_msgs/msg/PointCloud2", "nobody_msgs/msg/Odd"
NUMBERS = "int32 number\n"
START = 1_700_000_000_000_000_000
PERIOD = 100_000_000


def write_folder(path, messages, definitions, mode=CompressionMode.NONE, plugin=StoragePlugin.SQLITE3):
    writer = Writer(path, version=9, storage_plugin=plugin)
    writer.set_compression(mode, CompressionFormat.ZSTD)
    with writer:
        text, digest = definitions.describe(CLOUD)
        connections = {
            TOPIC: writer.add_connection(TOPIC, CLOUD, msgdef=text, rihs01=digest),
            OTHER: writer.add_connection(OTHER, ODD, msgdef=NUMBERS, rihs01="RIHS01_" + "a" * 64),
        }
        for topic, _, log, _, data in messages:
            writer.write(connections[topic], log, data)
    return path


def recorded_tables(path):
    """A folder with a cloud of a simulated table, twice; returns it and the stamps, nanoseconds."""
    definitions = Definitions()
    points = cloud_points(simulate_cloud(3, 80, 60))
    stamps = [1_600_000_000_000_000_005 + i * PERIOD for i in range(2)]
    rows = []
    for stamp in stamps:
        time = definitions.make("builtin_interfaces/Time", sec=stamp // 10**9, nanosec=stamp % 10**9)
        header = definitions.make("std_msgs/Header", stamp=time, frame_id="camera")
        sent = write_points(definitions.make, header, points)
        rows.append((TOPIC, CLOUD, stamp, stamp, definitions.write(CLOUD, sent)))
    return write_folder(path, rows, definitions), stamps
