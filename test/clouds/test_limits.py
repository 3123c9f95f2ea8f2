# SPDX-License-Identifier: Apache-2.0
"""Files that announce more than they hold, and paths that are no files, cost neither time nor memory."""

import io
import os
import resource
import signal
import socket
import struct
import zipfile
from pathlib import Path

import numpy as np
import pytest

from sphmask_core.clouds.cloud import CloudError, read_cloud

MIB = 1 << 20
SECONDS = 10


@pytest.fixture(autouse=True)
def limits():
    """A test that hangs, or that asks for 256 MiB more than there are mapped now, fails."""
    mapped = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
    soft, hard = resource.getrlimit(resource.RLIMIT_AS)
    resource.setrlimit(resource.RLIMIT_AS, (mapped + 256 * MIB, hard))
    signal.alarm(SECONDS)
    yield
    signal.alarm(0)
    resource.setrlimit(resource.RLIMIT_AS, (soft, hard))


def refused(path: Path, says: str, **options):
    with pytest.raises(CloudError) as caught:
        read_cloud(path, **options)
    assert says in str(caught.value) and "\n" not in str(caught.value)


@pytest.mark.parametrize("suffix", [".pcd", ".ply", ".npz", ".npy", ".bin"])
def test_what_is_no_file_is_not_opened(tmp_path, suffix):
    os.mkfifo(tmp_path / f"fifo{suffix}")
    (tmp_path / f"zero{suffix}").symlink_to("/dev/zero")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / f"socket{suffix}"))
        refused(tmp_path / f"socket{suffix}", "is a socket; give a regular file")
    refused(tmp_path / f"fifo{suffix}", "is a FIFO; give a regular file")
    refused(tmp_path / f"zero{suffix}", "is a device; give a regular file")


def test_links_to_files_are_followed(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((2, 3)))
    (tmp_path / "b.npy").symlink_to("a.npy")
    assert len(read_cloud(tmp_path / "b.npy").xyz) == 2


@pytest.mark.parametrize("form", ["ascii", "binary_little_endian", "binary_big_endian"])
@pytest.mark.parametrize("element", ["face 1000000000", "vertex 40000000"])
def test_a_ply_that_announces_more_than_it_holds(tmp_path, form, element):
    lists = "property list uchar int vertex_indices" if "face" in element else "property float x"
    head = f"ply\nformat {form} 1.0\nelement {element}\n{lists}\nend_header\n"
    (tmp_path / "a.ply").write_bytes(head.encode() + b"0" * 47_000)
    refused(tmp_path / "a.ply", "which 47001 bytes cannot hold")


def test_a_ply_element_without_properties(tmp_path):
    (tmp_path / "a.ply").write_bytes(b"ply\nformat ascii 1.0\nelement vertex 40000000\nend_header\n")
    refused(tmp_path / "a.ply", "has no properties")


def test_an_archive_that_unpacks_to_gigabytes(tmp_path):
    """What an archive announces is held against what its bytes can be unpacked to at most."""
    content = io.BytesIO()
    header = {"descr": "<f8", "fortran_order": False, "shape": (10**9, 3)}
    np.lib.format.write_array_header_1_0(content, header)
    with zipfile.ZipFile(tmp_path / "a.npz", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("xyz.npy", content.getvalue() + bytes(MIB))
    refused(tmp_path / "a.npz", "has 1000000000 points, more than --max-points 50000000")
    refused(tmp_path / "a.npz", "announces 24000000000 bytes of array", max_points=2 * 10**9)


def test_max_points_names_itself(tmp_path):
    np.save(tmp_path / "a.npy", np.ones((11, 3)))
    refused(
        tmp_path / "a.npy", "has 11 points, more than --max-points 10; split it, or allow more", max_points=10
    )
    assert len(read_cloud(tmp_path / "a.npy", max_points=11).xyz) == 11


def test_a_compressed_pcd_of_more_points_than_allowed(tmp_path):
    head = b"FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nWIDTH 60000000\nHEIGHT 1\nDATA binary_compressed\n"
    (tmp_path / "a.pcd").write_bytes(head + bytes(100))
    refused(tmp_path / "a.pcd", "has 60000000 points, more than --max-points 50000000")


def test_a_compressed_pcd_that_announces_more_than_it_can_hold(tmp_path):
    head = b"FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nWIDTH 1000000\nHEIGHT 1\nDATA binary_compressed\n"
    (tmp_path / "a.pcd").write_bytes(head + struct.pack("<II", 100, 12_000_000) + bytes(100))
    refused(tmp_path / "a.pcd", "announces 12000000 bytes of data, which 100 compressed bytes cannot hold")


PLY = "ply\nformat ascii 1.0\nelement vertex 1\nproperty float x\nproperty float y\nproperty float z\n"
PLY += "element face 1\nproperty list uchar int vertex_indices\nend_header\n1 2 3\n0\n"
PCD = "FIELDS x y z\nSIZE 4 4 4\nTYPE F F F\nWIDTH 2\nHEIGHT 1\nDATA ascii\n \n \n"


@pytest.mark.filterwarnings("error")
def test_parsers_warn_of_nothing(tmp_path):
    """Of a face without corners plyfile does, of lines without numbers numpy."""
    (tmp_path / "a.ply").write_text(PLY)
    assert read_cloud(tmp_path / "a.ply").xyz.tolist() == [[1, 2, 3]]
    (tmp_path / "a.pcd").write_text(PCD)
    refused(tmp_path / "a.pcd", "cut off: 0 of 2 points")
