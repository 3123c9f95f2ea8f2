# SPDX-License-Identifier: Apache-2.0
"""Bags with the images of an RGB-D camera: each depth image is answered, with the colors of its time."""

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="needs the extra `bags`")
pytest.importorskip("PIL", reason="needs pillow")
import mcap.writer

from sphmask_core.bags.segment import read_clouds, segment_bag
from sphmask_core.bags.topics import ImageTopics
from sphmask_core.clouds.depth import back_project
from sphmask_core.clouds.region import Region
from sphmask_core.commands import cli
from sphmask_core.segmenter import Request
from test.helpers.bags import PERIOD, START
from test.helpers.rgbd import compressed_message, depth_of, image_message, info_message, simulated_lens

DEPTH, COLOR = "/camera/depth/image/compressedDepth", "/camera/color/image"
INFO = "/camera/depth/camera_info"
TOPICS = ImageTopics(DEPTH, INFO, COLOR)
KINDS = {
    DEPTH: "sensor_msgs/msg/CompressedImage",
    COLOR: "sensor_msgs/msg/Image",
    INFO: "sensor_msgs/msg/CameraInfo",
}
LATE = 8_000_000
"""Nanoseconds by which colors come after their depth images."""
COUNT, COLORED = 4, 3
"""Depth images, and how many of them have colors."""


@pytest.fixture(scope="module")
def depth(clouds):
    return np.round(depth_of(clouds[0]) * 1000).astype(np.uint16)


@pytest.fixture(scope="module")
def rgbd_bag(tmp_path_factory, definitions, clouds, depth):
    """At 10 Hz; camera_info comes after the first depth image; the last has no color; one is no image."""
    path = tmp_path_factory.mktemp("bags") / "rgbd.mcap"
    make, scene = definitions.make, clouds[0]
    colors = scene.rgb.reshape(*scene.shape, 3)
    with path.open("wb") as file:
        writer = mcap.writer.Writer(file)
        writer.start(profile="ros2")
        channels = {}
        for topic, kind in KINDS.items():
            schema = writer.register_schema(kind, "ros2msg", definitions.describe(kind)[0].encode())
            channels[topic] = writer.register_channel(topic, "cdr", schema)

        def write(topic, time, message):
            data = message if isinstance(message, bytes) else definitions.write(KINDS[topic], message)
            writer.add_message(channels[topic], START + time, data, START + time)

        def header(time):
            stamp = make("builtin_interfaces/Time", sec=time // 10**9, nanosec=time % 10**9)
            return make("std_msgs/Header", stamp=stamp, frame_id="camera_optical_frame")

        for i in range(COUNT):
            now = i * PERIOD
            form = "16UC1; compressedDepth png"
            write(DEPTH, now, compressed_message(make, header(now), depth, form))
            write(INFO, now + 1, info_message(make, header(now), simulated_lens(160, 120), scene.shape))
            if i < COLORED:
                shade = np.maximum(colors, 10) - i  # each frame has its own
                write(COLOR, now + LATE, image_message(make, header(now + LATE), shade, "rgb8"))
        write(DEPTH, COUNT * PERIOD, bytes([0, 1, 0, 0, 9]))
        writer.finish()
    return path


def test_depth_images_are_answered_with_the_colors_of_their_time(
    rgbd_bag, segmenter, depth, clouds, tmp_path, definitions
):
    output = tmp_path / "out.mcap"
    frames = list(segment_bag(segmenter, rgbd_bag, output, None, images=TOPICS))
    assert [frame.problem == "" for frame in frames] == [True] * COUNT + [False]
    assert [frame.stamp for frame in frames[:COUNT]] == [i * PERIOD for i in range(COUNT)]
    written = list(read_clouds(output, "/segment/labelled_points"))
    assert len(written) == COUNT
    colors = np.maximum(clouds[0].rgb, 10).reshape(*depth.shape, 3)
    for i, (frame, (stamp, frame_id, cloud)) in enumerate(zip(frames, written, strict=False)):
        made = back_project(depth, simulated_lens(160, 120), colors - i if i < COLORED else None)
        expected = segmenter(made.xyz, made.rgb, vertical=(0.0, -1.0, 0.0))
        np.testing.assert_array_equal(frame.instances.labels, expected.labels)
        assert len(frame.instances) > 0
        np.testing.assert_array_equal(cloud.xyz, made.xyz)
        plain = frame.instances.labels == 0
        if i < COLORED:
            np.testing.assert_array_equal(cloud.rgb[plain], made.rgb[plain])
        assert (stamp, frame_id, cloud.shape) == (i * PERIOD, "camera_optical_frame", depth.shape)


def test_what_is_looked_at_of_a_bag(rgbd_bag, segmenter, tmp_path):
    request = Request(region=Region(min_range=100.0))
    frames = segment_bag(segmenter, rgbd_bag, tmp_path / "out.mcap", None, request, images=TOPICS)
    assert [len(frame.instances) for frame in frames] == [0] * (COUNT + 1)


def test_by_the_command(rgbd_bag, balls_weights, tmp_path, capsys):
    """camera_info is found beside the images; the last message, which is none, is one line."""
    rest = ["-o", str(tmp_path / "out.mcap"), "--model", str(balls_weights)]
    arguments = ["segment", str(rgbd_bag), "--depth-topic", DEPTH, "--color-topic", COLOR, *rest]
    code = cli.main(arguments)
    printed = capsys.readouterr()
    assert code == 2 and len(printed.out.splitlines()) == COUNT
    (line,) = printed.err.splitlines()
    assert "not a sensor_msgs/msg/CompressedImage" in line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ([], "has no topic of type sensor_msgs/msg/PointCloud2, or --depth-topic"),
        (
            ["--depth-topic", "/no"],
            "/no is not in it; of type sensor_msgs/msg/Image it has /camera/color/image",
        ),
        (["--depth-topic", INFO], f"{INFO} is sensor_msgs/msg/CameraInfo"),
        (["--depth-topic", DEPTH, "--info-topic", COLOR], f"{COLOR} is sensor_msgs/msg/Image; of type"),
        (["--color-topic", COLOR], "go with --depth-topic"),
        (["--depth-topic", DEPTH, "--topic", "/points"], "give either --topic, of clouds, or --depth-topic"),
    ],
)
def test_topics_that_are_none_are_one_clear_line(rgbd_bag, balls_weights, tmp_path, capsys, arguments, words):
    rest = ["-o", str(tmp_path / "out.mcap"), "--model", str(balls_weights)]
    assert cli.main(["segment", str(rgbd_bag), *arguments, *rest]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert words in line
    assert not (tmp_path / "out.mcap").exists()
