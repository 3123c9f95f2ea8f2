# SPDX-License-Identifier: Apache-2.0
"""Bags written by the library `rosbags`, with a topic of clouds and one of a type that nobody knows."""

from rosbags.rosbag2 import CompressionFormat, CompressionMode, StoragePlugin, Writer

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
