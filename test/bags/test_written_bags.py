# SPDX-License-Identifier: Apache-2.0
"""Bags that were segmented, read by their libraries: what was in them, and what is added."""

import numpy as np
import pytest

pytest.importorskip("rosbags", reason="needs the extra `bags`")
import mcap.reader
from rosbags.rosbag2 import CompressionMode, Reader, StoragePlugin

from sphmask_core.bags.bag import BagError
from sphmask_core.bags.segment import OUTPUTS, read_clouds, segment_bag
from sphmask_core.messages.pointcloud2 import read_labels
from test.helpers.bags import NUMBERS, OTHER, TOPIC, write_folder


def check_detections(detections, instances):
    """The detections describe the same objects in the words of vision_msgs."""
    assert [detection.id for detection in detections] == [str(instance.id) for instance in instances]
    for detection, instance in zip(detections, instances, strict=True):
        (result,) = detection.results
        assert (result.hypothesis.class_id, detection.bbox.center) == (instance.class_name, instance.box)
        assert result.hypothesis.score == pytest.approx(instance.score)
        assert detection.bbox.size == instance.size


def check_outputs(frames, made, segmenter, clouds, definitions):
    """Each cloud is answered under its own header by what the segmenter finds in it."""
    assert [frame.problem == "" for frame in frames] == [True, True, True, False]
    assert "finite" in frames[3].problem
    ids = []
    for i, cloud in enumerate(clouds):
        points, markers, instances, detections, timings = (
            definitions.read(kind, made[topic][i]) for topic, kind in OUTPUTS.items()
        )
        own = (sent.header for sent in (points, instances, detections, timings))
        for header in (*own, *(marker.header for marker in markers.markers)):
            assert (header.stamp.sec, header.stamp.nanosec) == (1_600_000_000 + i, 5)
            assert header.frame_id == "camera_optical_frame"
        ids.append([instance.id for instance in instances.instances])
        check_detections(detections.detections, instances.instances)
        if frames[i].problem:
            assert (points.width, ids[-1]) == (0, [])
            continue
        expected = segmenter(cloud.xyz, cloud.rgb)
        assert timings.stages == ["read", *expected.timings, "track", "write"]
        assert timings.latency == pytest.approx(timings.milliseconds.sum(), rel=1e-5)
        numbers = np.array([0, *ids[-1]])
        np.testing.assert_array_equal(read_labels(points), numbers[expected.labels])
        assert (points.height, points.width) == cloud.shape
        assert {marker.id for marker in markers.markers if marker.action == 0} == set(ids[-1])
        assert [instance.point_count for instance in instances.instances] == expected.sizes.tolist()
    assert len(ids[0]) > 2 and ids[2] == ids[0]  # the same objects
    assert {
        marker.action
        for marker in definitions.read(OUTPUTS["/segment/markers"], made["/segment/markers"][3]).markers
    } == {2}


def test_mcap(tmp_path, mcap_bag, segmenter, clouds, messages, definitions):
    """All of the input as it was, both times too; three topics more, under the clouds' times."""
    output = tmp_path / "out.mcap"
    frames = list(segment_bag(segmenter, mcap_bag, output, TOPIC))
    with output.open("rb") as file:
        reader = mcap.reader.make_reader(file, validate_crcs=True)
        rows = [(c.topic, s.name, m) for s, c, m in reader.iter_messages()]
        extras = [*reader.iter_attachments()], [*reader.iter_metadata()]
        schemas = {schema.name: schema for schema in reader.get_summary().schemas.values()}
        compressions = {index.compression for index in reader.get_summary().chunk_indexes}
        assert reader.get_header().profile == "ros2"
    copied = [row for row in rows if row[0] in (TOPIC, OTHER)]
    assert [(t, k, m.log_time, m.publish_time, m.data) for t, k, m in copied] == messages
    assert [m.sequence for *_, m in copied] == list(range(len(messages)))
    assert [extra.data for extra in extras[0]] == [b"focal: 525"] and extras[1][0].metadata == {"room": "7"}
    assert compressions == {"lz4"}
    for topic, kind in OUTPUTS.items():
        times = [(m.log_time, m.publish_time) for t, k, m in rows if (t, k) == (topic, kind)]
        assert times == [(log, publish) for t, _, log, publish, _ in messages if t == TOPIC]
        assert schemas[kind].data.decode() == definitions.describe(kind)[0]
    made = {topic: [m.data for t, _, m in rows if t == topic] for topic in OUTPUTS}
    check_outputs(frames, made, segmenter, clouds, definitions)
    assert list(tmp_path.iterdir()) == [output]


def test_folder(tmp_path, folder, segmenter, clouds, messages, definitions):
    output = tmp_path / "out"
    frames = list(segment_bag(segmenter, folder, output, None))
    with Reader(output) as reader:
        rows = [(c.topic, c.msgtype, time, data) for c, time, data in reader.messages()]
        digests = {c.topic: c.digest for c in reader.connections}
        texts = {c.topic: c.msgdef.data for c in reader.connections}
    copied = [row for row in rows if row[0] in (TOPIC, OTHER)]
    assert copied == [(topic, kind, log, data) for topic, kind, log, _, data in messages]
    assert digests[OTHER] == "RIHS01_" + "a" * 64 and texts[OTHER] == NUMBERS
    assert texts["/segment/instances"].splitlines()[0] == "std_msgs/Header header"
    made = {topic: [data for t, *_, data in rows if t == topic] for topic in OUTPUTS}
    check_outputs(frames, made, segmenter, clouds, definitions)
    assert list(tmp_path.iterdir()) == [output]


@pytest.mark.parametrize("mode", ["FILE", "MESSAGE"])
def test_compressed_folders_stay_so(tmp_path, segmenter, messages, definitions, mode):
    source = write_folder(tmp_path / "in", messages[2:4], definitions, CompressionMode[mode])
    assert len(list(segment_bag(segmenter, source, tmp_path / "out", None))) == 1
    with Reader(tmp_path / "out") as reader:
        assert reader.compression_mode == mode.lower()
        assert [data for connection, _, data in reader.messages() if connection.topic == OTHER] == [
            messages[3][4]
        ]


@pytest.fixture
def recording(tmp_path, messages, definitions):
    """As newer rosbag2 records: a folder of an MCAP file."""
    return write_folder(tmp_path / "in", messages[2:4], definitions, plugin=StoragePlugin.MCAP)


def test_a_folder_of_mcap_files(tmp_path, segmenter, recording):
    """One MCAP file comes out, where a name of one is given."""
    assert len(list(segment_bag(segmenter, recording, tmp_path / "out.mcap", None))) == 1
    assert [stamp for stamp, *_ in read_clouds(tmp_path / "out.mcap", TOPIC)] == [1_600_000_001_000_000_005]


def test_a_folder_of_mcap_files_stays_one(tmp_path, segmenter, recording, messages):
    """What its metadata.yaml says of times and counts is what is in the file, and all else as it was."""
    assert len(list(segment_bag(segmenter, recording, tmp_path / "out", None))) == 1
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["metadata.yaml", "out_0.mcap"]
    with Reader(recording) as before, Reader(tmp_path / "out") as after:
        kept = [(c.topic, c.msgtype, c.digest, time, data) for c, time, data in after.messages()]
        assert [row for row in kept if row[0] not in OUTPUTS] == [
            (c.topic, c.msgtype, c.digest, time, data) for c, time, data in before.messages()
        ]
        assert {c.topic: c.msgcount for c in after.connections} == dict.fromkeys([TOPIC, OTHER, *OUTPUTS], 1)
        assert (after.start_time, after.message_count) == (before.start_time, len(kept))
        assert after.duration == before.duration == messages[3][2] - messages[2][2] + 1
    assert len(list(read_clouds(tmp_path / "out", TOPIC))) == 1
    with pytest.raises(BagError, match="exists already; give the name of a new folder"):
        next(segment_bag(segmenter, recording, tmp_path / "out", None))


@pytest.mark.parametrize("mode", ["FILE", "MESSAGE"])
def test_mcap_that_rosbag2_compressed_itself(tmp_path, segmenter, messages, definitions, mode):
    mode = CompressionMode[mode]
    source = write_folder(tmp_path / "in", messages[2:4], definitions, mode, StoragePlugin.MCAP)
    assert len(list(segment_bag(segmenter, source, tmp_path / "out", None))) == 1
    with Reader(tmp_path / "out") as reader:
        assert [data for c, _, data in reader.messages() if c.topic == OTHER] == [messages[3][4]]


def test_compression_is_that_which_is_asked_for(tmp_path, segmenter, mcap_bag, folder):
    sizes = {}
    for compression, mode in (("zstd", "message"), ("none", "")):
        file, copy = tmp_path / f"{compression}.mcap", tmp_path / compression
        for source, output in ((mcap_bag, file), (folder, copy)):
            assert len(list(segment_bag(segmenter, source, output, TOPIC, compression=compression))) == 4
        with file.open("rb") as opened:
            indexes = mcap.reader.make_reader(opened).get_summary().chunk_indexes
        assert {index.compression for index in indexes} == {compression.replace("none", "")}
        with Reader(copy) as reader:
            assert reader.compression_mode == mode
            assert sum(c.topic == "/segment/instances" for c, *_ in reader.messages()) == 4
        sizes[compression] = file.stat().st_size, sum(path.stat().st_size for path in copy.iterdir())
    assert all(small < large / 2 for small, large in zip(sizes["zstd"], sizes["none"], strict=True))
