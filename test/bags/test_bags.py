# SPDX-License-Identifier: Apache-2.0
"""Bags written by their libraries, segmented, and read back by them: what was in them, and what is added."""

import shutil
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from test.helpers.balls import balls

pytest.importorskip("rosbags", reason="needs the extra `bags`")
import mcap.reader
import mcap.writer
from rosbags.rosbag2 import CompressionFormat, CompressionMode, Reader, StoragePlugin, Writer

from sphmask_core import Segmenter
from sphmask_core.bags.segment import OUTPUTS, BagError, read_clouds, segment_bag
from sphmask_core.clouds.cloud import Cloud, CloudError
from sphmask_core.commands import cli
from sphmask_core.messages.definitions import Definitions
from sphmask_core.messages.pointcloud2 import cloud_points, read_labels, write_points
from sphmask_core.simulation.scenes import simulate_cloud

TOPIC, OTHER = "/camera/points", "/odd"
CLOUD, ODD = "sensor_msgs/msg/PointCloud2", "nobody_msgs/msg/Odd"
NUMBERS = "int32 number\n"
START = 1_700_000_000_000_000_000
PERIOD = 100_000_000


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


@pytest.fixture(scope="module")
def folder(tmp_path_factory, messages, definitions):
    return write_folder(tmp_path_factory.mktemp("bags") / "scene", messages, definitions)


def check_outputs(frames, made, segmenter, clouds, definitions):
    """Each cloud is answered under its own header by what the segmenter finds in it."""
    assert [frame.problem == "" for frame in frames] == [True, True, True, False]
    assert "finite" in frames[3].problem
    ids = []
    for i, cloud in enumerate(clouds):
        points, markers, instances = (
            definitions.read(kind, made[topic][i]) for topic, kind in OUTPUTS.items()
        )
        for header in (points.header, instances.header, *(marker.header for marker in markers.markers)):
            assert (header.stamp.sec, header.stamp.nanosec) == (1_600_000_000 + i, 5)
            assert header.frame_id == "camera_optical_frame"
        ids.append([instance.id for instance in instances.instances])
        if frames[i].problem:
            assert (points.width, ids[-1]) == (0, [])
            continue
        found = segmenter(cloud.xyz, cloud.rgb)
        numbers = np.array([0, *ids[-1]])
        np.testing.assert_array_equal(read_labels(points), numbers[found.labels])
        assert (points.height, points.width) == cloud.shape
        assert {marker.id for marker in markers.markers if marker.action == 0} == set(ids[-1])
        assert [instance.point_count for instance in instances.instances] == found.sizes.tolist()
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
    assert [one.data for one in extras[0]] == [b"focal: 525"] and extras[1][0].metadata == {"room": "7"}
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


def test_a_folder_of_mcap_files(tmp_path, segmenter, messages, definitions):
    """As newer rosbag2 records: one MCAP file comes out."""
    source = write_folder(tmp_path / "in", messages[2:4], definitions, plugin=StoragePlugin.MCAP)
    with pytest.raises(BagError, match="the bag is MCAP; give a name that ends with"):
        next(segment_bag(segmenter, source, tmp_path / "out", None))
    assert len(list(segment_bag(segmenter, source, tmp_path / "out.mcap", None))) == 1
    assert [stamp for stamp, *_ in read_clouds(tmp_path / "out.mcap", TOPIC)] == [1_600_000_001_000_000_005]


def test_read_clouds(mcap_bag, folder, clouds):
    for path in (mcap_bag, folder, next(folder.glob("*.db3"))):
        frames = read_clouds(path)
        for i, cloud in enumerate(clouds[:3]):
            stamp, frame_id, read = next(frames)
            assert (stamp, frame_id) == ((1_600_000_000 + i) * 10**9 + 5, "camera_optical_frame")
            np.testing.assert_array_equal(read.xyz, cloud.xyz)
            np.testing.assert_array_equal(read.rgb, cloud.rgb)
            assert read.shape == cloud.shape
        with pytest.raises(CloudError, match=r"/camera/points at 1600000003.000 s: none of its 12 points"):
            next(frames)


def run(capsys, balls_weights, *arguments):
    """Exit code and the line that the command line complains with."""
    code = cli.main(["segment", *map(str, arguments), "--model", str(balls_weights)])
    return code, capsys.readouterr().err


def test_command_line(tmp_path, capsys, balls_weights, mcap_bag):
    """The bad frame is reported and the bag still written."""
    code, error = run(capsys, balls_weights, mcap_bag, "--topic", TOPIC, "-o", tmp_path / "out.mcap")
    assert code == 2 and error.count("\n") == 1 and "none of its 12 points has a finite position" in error
    assert [path.name for path in tmp_path.iterdir()] == ["out.mcap"]


def cut(path, share):
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * share)])


def write_text(path):
    path.write_text("hello")


def flip(path):
    """A byte of the compressed messages."""
    data = bytearray(path.read_bytes())
    data[len(data) // 3] ^= 255
    path.write_bytes(data)


@pytest.mark.parametrize(
    ("spoil", "says"),
    [
        (lambda path: cut(path, 0.6), "not a bag, cut off or damaged"),
        (lambda path: cut(path, 0.999), "not a bag, cut off or damaged"),
        (write_text, "not a bag, cut off or damaged"),
        (flip, "not a bag, cut off or damaged"),
        (lambda path: path.unlink(), "no such file or folder"),
    ],
)
def test_bad_mcap(tmp_path, capsys, balls_weights, mcap_bag, spoil, says):
    path = shutil.copy(mcap_bag, tmp_path / "bad.mcap")
    spoil(path)
    (tmp_path / "out").mkdir()
    code, error = run(capsys, balls_weights, path, "--topic", TOPIC, "-o", tmp_path / "out" / "out.mcap")
    assert code == 2 and error.startswith(f"sphmask: {path}: {says}") and error.count("\n") == 1
    assert list((tmp_path / "out").iterdir()) == []


@pytest.mark.parametrize("name", ["scene.db3", "metadata.yaml"])
@pytest.mark.parametrize("share", [0.0, 0.5])
def test_bad_folder(tmp_path, capsys, balls_weights, folder, name, share):
    path = shutil.copytree(folder, tmp_path / "bad")
    cut(path / name, share)
    code, error = run(capsys, balls_weights, path, "-o", tmp_path / "out")
    assert code == 2 and error.startswith(f"sphmask: {path}: not a bag") and error.count("\n") == 1
    assert [one.name for one in tmp_path.iterdir()] == ["bad"]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--topic", "/odd"], "/odd is nobody_msgs/msg/Odd; give --topic /camera/points"),
        (["--topic", "/none"], "/none is not in it; give --topic /camera/points"),
        (["-o", "out"], "out: the bag is MCAP; give a name that ends with .mcap"),
        (["--png"], "is a bag; --png, --resume, --unit and --engine are for cloud files"),
    ],
)
def test_bad_arguments(tmp_path, monkeypatch, capsys, balls_weights, mcap_bag, arguments, says):
    monkeypatch.chdir(tmp_path)
    code, error = run(capsys, balls_weights, mcap_bag, "-o", "out.mcap", *arguments)
    assert code == 2 and says in error and error.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


def test_bags_that_cannot_be_chosen_from(tmp_path, messages, definitions, segmenter):
    plain = write_folder(tmp_path / "plain", messages[:0], definitions)
    with Reader(plain) as reader:
        assert {connection.topic for connection in reader.connections} == {TOPIC, OTHER}
    assert list(segment_bag(segmenter, plain, tmp_path / "empty", None)) == []
    again = "has /segment/instances already; segment the bag as it was recorded"
    with pytest.raises(BagError, match=again):
        next(segment_bag(segmenter, tmp_path / "empty", tmp_path / "again", TOPIC))
    with pytest.raises(
        BagError, match="several topics of clouds; give --topic /camera/points or /segment/labelled_"
    ):
        next(read_clouds(tmp_path / "empty"))
    with pytest.raises(BagError, match="exists already"):
        next(segment_bag(segmenter, plain, tmp_path / "empty", None))
    with pytest.raises(BagError, match="is the bag itself"):
        next(segment_bag(segmenter, plain, plain, None))
    with Writer(tmp_path / "odd", version=9) as writer:
        writer.add_connection(OTHER, ODD, msgdef=NUMBERS, rihs01="RIHS01_" + "a" * 64)
    with pytest.raises(BagError, match=r"no topic of type .*; its topics: /odd \(nobody_msgs/msg/Odd\)"):
        next(read_clouds(tmp_path / "odd"))


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_damaged_bags_are_bags_or_one_clear_line(tmp_path_factory, mcap_bag, data):
    """Cut anywhere, or with any byte changed."""
    content = bytearray(mcap_bag.read_bytes())
    place = data.draw(st.integers(0, len(content) - 1))
    if data.draw(st.booleans()):
        content = content[:place]
    else:
        content[place] ^= data.draw(st.integers(1, 255))
    path = tmp_path_factory.mktemp("damaged") / "bag.mcap"
    path.write_bytes(content)
    try:
        clouds = [cloud for _, _, cloud in islice(read_clouds(path), 3)]
    except (BagError, CloudError) as error:
        assert str(error).startswith(f"{path}: ") and "\n" not in str(error) and len(str(error)) < 400
        return
    assert all(len(cloud.xyz) for cloud in clouds)


def test_a_recording_is_not_written_over(tmp_path, messages, definitions, segmenter):
    """By none of the names that its files have."""
    recorded = write_folder(tmp_path / "rec", messages[:2], definitions, plugin=StoragePlugin.MCAP)
    (file,) = recorded.glob("*.mcap")
    (tmp_path / "link.mcap").symlink_to(file)
    before = file.read_bytes()
    for source, output in ((recorded, file), (file, tmp_path / "link.mcap"), (tmp_path / "link.mcap", file)):
        with pytest.raises(BagError, match="is the bag itself, or a file of it; give another name"):
            list(segment_bag(segmenter, source, output, TOPIC))
    assert file.read_bytes() == before and sorted(path.name for path in tmp_path.iterdir()) == [
        "link.mcap",
        "rec",
    ]


def test_a_message_that_cannot_be_decoded_is_copied_and_reported(tmp_path, messages, definitions, segmenter):
    """The clouds around it are answered as without it."""
    topic, kind, log, publish, data = messages[2]
    damaged = [messages[0], (topic, kind, log, publish, data[:20]), messages[4]]
    source = write_folder(tmp_path / "rec", damaged, definitions)
    frames = list(segment_bag(segmenter, source, tmp_path / "out", TOPIC))
    assert [bool(frame.problem) for frame in frames] == [False, True, False]
    assert frames[1].stamp == log and len(frames[1].instances) == 0 and "PointCloud2" in frames[1].problem
    with Reader(tmp_path / "out") as reader:
        copied = [data for connection, _, data in reader.messages() if connection.topic == TOPIC]
        added = sum(connection.topic == "/segment/instances" for connection, _, _ in reader.messages())
    assert copied == [row[-1] for row in damaged] and added == 2
