# SPDX-License-Identifier: Apache-2.0
"""A full disk is named with the file that did not fit, and nothing stays of it."""

import errno
import resource
import signal

import pytest

from sphmask_core.runtime.files import replacing, replacing_folder

LARGEST = 4096
"""Bytes that a file may have in these tests."""


@pytest.fixture(autouse=True)
def small_files():
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (LARGEST, hard))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    signal.signal(signal.SIGXFSZ, handler)


def test_a_file_that_does_not_fit(tmp_path):
    path = tmp_path / "a.ply"
    path.write_bytes(b"before")
    with pytest.raises(OSError) as caught, replacing(path) as partial:
        partial.write_bytes(bytes(LARGEST + 1))
    assert str(caught.value) == f"{path}: could not be written: File too large"
    assert [file.name for file in tmp_path.iterdir()] == ["a.ply"] and path.read_bytes() == b"before"


def test_a_file_within_another_is_not_named(tmp_path):
    path = tmp_path / "a.ply"
    with pytest.raises(OSError) as caught, replacing(path) as partial, replacing(partial) as inner:
        inner.write_bytes(bytes(LARGEST + 1))
    assert str(caught.value) == f"{path}: could not be written: File too large"


def test_a_folder_that_does_not_fit(tmp_path):
    path = tmp_path / "recording"
    with pytest.raises(OSError) as caught, replacing_folder(path) as partial:
        partial.mkdir()
        (partial / "a.mcap").write_bytes(bytes(LARGEST + 1))
    assert str(caught.value) == f"{path}: could not be written: File too large"
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "error", [BrokenPipeError(errno.EPIPE, "Broken pipe"), FileNotFoundError(2, "", "b")]
)
def test_other_errors_stay_what_they_are(tmp_path, error):
    with pytest.raises(type(error)) as caught, replacing(tmp_path / "a.ply"):
        raise error
    assert caught.value is error
