# SPDX-License-Identifier: Apache-2.0
"""Bags that are read, refused by one line, and not written over."""

import shutil
from itertools import islice

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("rosbags", reason="needs the extra `bags`")
from rosbags.rosbag2 import Reader, StoragePlugin, Writer

from sphmask_core.bags.bag import BagError
from sphmask_core.bags.segment import read_clouds, segment_bag
from sphmask_core.clouds.cloud import CloudError
from sphmask_core.commands import cli
from test.helpers.bags import NUMBERS, ODD, OTHER, TOPIC, write_folder


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
    assert [entry.name for entry in tmp_path.iterdir()] == ["bad"]


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
    again = "has /segment/detections already; segment the bag as it was recorded"
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
