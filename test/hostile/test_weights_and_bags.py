# SPDX-License-Identifier: Apache-2.0
"""Weights that hold other things, bags that lack a schema or do not fit on the disk: one line each."""

import pickle
import resource
import signal
from pathlib import Path

import pytest

torch = pytest.importorskip("torch")
pytest.importorskip("mcap")
pytest.importorskip("rosbags")

from mcap.writer import Writer  # noqa: E402

from sphmask_core.bags.bag import BagError  # noqa: E402
from sphmask_core.bags.files import open_bag  # noqa: E402
from sphmask_core.checkpoints.weights import CheckpointError, read_published, read_weights  # noqa: E402

CONTENTS = {
    "empty": b"",
    "text": b"hello\nworld\n",
    "a pickle of a list": pickle.dumps([1, 2]),
    "a newer pickle, of which torch warns": pickle.dumps({"a": 1}, protocol=4),
    "a pickle cut off": pickle.dumps({"net": {}})[:-3],
    "an unknown opcode": b"\x80\x02\xff",
    "a stack that is empty": b"\x80\x02R.",
    "a memo that is not there": b"\x80\x02h\x07.",
}


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("name", CONTENTS)
def test_a_pth_that_is_none(tmp_path, name):
    (tmp_path / "a.pth").write_bytes(CONTENTS[name])
    refused(tmp_path / "a.pth")


@pytest.mark.parametrize(
    "content", [3, [1], {}, {"net": 3}, {"net": {"a": 3}}, {"net": {1: torch.ones(1)}}, {"net": {"a": None}}]
)
def test_a_pth_that_holds_other_things(tmp_path, content):
    torch.save(content, tmp_path / "a.pth")
    refused(tmp_path / "a.pth")


def refused(path: Path):
    with pytest.raises(CheckpointError) as caught:
        read_published(path)
    assert str(caught.value).startswith(f"{path}: ") and "\n" not in str(caught.value)


def test_a_file_that_cannot_be_mapped_is_no_safetensors():
    with pytest.raises(CheckpointError, match=r"^/proc/self/environ: not a safetensors file"):
        read_weights(Path("/proc/self/environ"))


def test_an_mcap_with_a_missing_schema(tmp_path):
    path = tmp_path / "a.mcap"
    with path.open("wb") as file:
        writer = Writer(file)
        writer.start()
        writer.register_channel("/nothing", "cdr", 77)
        writer.finish()
    with open_bag(path) as bag:
        assert bag.topics == {"/nothing": "no type"}


@pytest.fixture
def small_disk():
    """Files of this process cannot grow beyond 40 kB."""
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    old = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (40_000, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, old)


def make_db3(path: Path):
    from rosbags.rosbag2 import StoragePlugin
    from rosbags.rosbag2 import Writer as BagWriter
    from rosbags.typesys import Stores, get_typestore

    with BagWriter(path, version=8, storage_plugin=StoragePlugin.SQLITE3) as writer:
        store = get_typestore(Stores.ROS2_HUMBLE)
        writer.add_connection("/text", "std_msgs/msg/String", typestore=store)


def test_a_db3_for_which_there_is_no_space(tmp_path, request):
    make_db3(tmp_path / "a")
    with open_bag(tmp_path / "a") as bag:
        request.getfixturevalue("small_disk")
        with pytest.raises(BagError, match="is there space on the disk"), bag.copying(tmp_path / "b") as copy:
            copy.add_topic("/more", "std_msgs/msg/String", "string data\n", "RIHS01_" + 64 * "0")
            for message in _messages():
                copy.write("/more", b"\x00\x01\x00\x00" + bytes(100_000), message)
    assert not (tmp_path / "b").exists() and len(list(tmp_path.iterdir())) == 1


def _messages():
    from sphmask_core.bags.bag import Message

    return [Message("/text", b"", time, (None, time)) for time in range(3)]
