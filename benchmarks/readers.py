# SPDX-License-Identifier: Apache-2.0
"""Memory that each reader takes, as a multiple of its file.

python -m benchmarks.readers [--megabytes 50]

Each format has a file of random points or numbers of about that size, which a process of its own reads once a
small file has loaded what the reader needs. Memory is what the process holds at most while it reads, less
what it held before: the result is among that.
"""

from __future__ import annotations

import argparse
import json
import struct
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from sphmask_core.clouds.cloud import Cloud, read_cloud, write_ply

SMALL = 0.05
"""Megabytes of the file that is read first."""
LENS = (525.0, 525.0, 319.5, 239.5)
"""Focal lengths and middle of a camera, pixels; which ones makes no difference."""
LITERALS = 32
"""Bytes that LZF can copy after one byte that says so."""
PLY_HEADER = """ply
format ascii 1.0
element vertex {points}
property float x
property float y
property float z
property uchar red
property uchar green
property uchar blue
end_header
"""
PCD_HEADER = """# .PCD v0.7 - Point Cloud Data file format
VERSION 0.7
FIELDS x y z rgb
SIZE 4 4 4 4
TYPE F F F {kind}
COUNT 1 1 1 1
WIDTH {points}
HEIGHT 1
VIEWPOINT 0 0 0 1 0 0 0
POINTS {points}
DATA {data}
"""


def points(count: int) -> tuple[np.ndarray, np.ndarray]:
    """Returns random points: (N, 3) float32 meters, (N, 3) uint8."""
    rng = np.random.default_rng(0)
    return rng.random((count, 3), np.float32), rng.integers(0, 256, (count, 3), np.uint8)


def make_text_ply(path: Path, size: int) -> None:
    """Write a text file of about 38 bytes a point."""
    xyz, rgb = points(size // 38)
    with path.open("w") as file:
        file.write(PLY_HEADER.format(points=len(xyz)))
        np.savetxt(file, np.hstack([xyz, rgb]), "%.6f %.6f %.6f %d %d %d")


def make_ply(path: Path, size: int) -> None:
    """Write a binary file of 15 bytes a point."""
    xyz, rgb = points(size // 15)
    write_ply(path, Cloud(xyz, rgb, None, (1, len(xyz))), {})


def make_pcd(path: Path, size: int, data: str) -> None:
    """Write 16 bytes a point, or about 36 as text; compressed, as LZF does where nothing repeats."""
    write_pcd(path, *points(size // (36 if data == "ascii" else 16)), data)


def write_pcd(path: Path, xyz: np.ndarray, rgb: np.ndarray, data: str, kind: str = "U") -> None:
    """Write points (N, 3) float32 and colors (N, 3) uint8; kind: whether a color's bytes are said to be an
    integer (U) or, as in PCL, a float (F)."""
    color = rgb.astype(np.uint32) @ np.array([1 << 16, 1 << 8, 1], np.uint32)
    with path.open("wb") as file:
        file.write(PCD_HEADER.format(points=len(xyz), kind=kind, data=data).encode())
        if data == "ascii":
            np.savetxt(file, np.column_stack([xyz, color]), "%.6f %.6f %.6f %d")
        elif data == "binary":
            file.write(np.rec.fromarrays([*xyz.T, color]).tobytes())
        else:
            raw = b"".join(np.ascontiguousarray(column).tobytes() for column in (*xyz.T, color))
            packed = literals(raw)
            file.write(struct.pack("<II", len(packed), len(raw)) + packed)


def literals(raw: bytes) -> bytes:
    """Returns bytes that do not repeat, as LZF writes them."""
    whole = np.frombuffer(raw[: len(raw) // LITERALS * LITERALS], np.uint8).reshape(-1, LITERALS)
    rows = np.insert(whole, 0, LITERALS - 1, axis=1).tobytes()
    rest = raw[whole.size :]
    return rows + (bytes([len(rest) - 1]) + rest if rest else b"")


def make_npz(path: Path, size: int) -> None:
    """Write deflated positions and colors: about 14 bytes a point."""
    xyz, rgb = points(size // 14)
    np.savez_compressed(path, xyz=xyz, rgb=rgb)


def make_far(path: Path, size: int) -> None:
    """Write 24 bytes a point: float64 coordinates as UTM's."""
    np.save(path, 4e5 + points(size // 24)[0].astype(float))


def make_scan(path: Path, size: int) -> None:
    """Write 16 bytes a point, as KITTI does."""
    xyz, _ = points(size // 16)
    np.hstack([xyz, xyz[:, :1]]).tofile(path)


def make_depth(path: Path, size: int) -> None:
    """Write a square image of 16 bits a pixel."""
    side = int((size / 2) ** 0.5)
    depth = np.random.default_rng(0).integers(500, 2500, (side, side), np.uint16)
    if path.suffix == ".npy":
        np.save(path, depth)
        return
    from PIL import Image

    Image.fromarray(depth).save(path)


def make_bag(path: Path, size: int, plugin: str, messages: int) -> None:
    """Write a folder that rosbag2 could have recorded, with one topic of clouds."""
    from rosbags.rosbag2 import StoragePlugin, Writer

    from sphmask_core.messages.definitions import Definitions
    from sphmask_core.messages.pointcloud2 import cloud_points, write_points

    definitions, kind = Definitions(), "sensor_msgs/msg/PointCloud2"
    xyz, rgb = points(size // messages // 16)
    sent = cloud_points(Cloud(xyz, rgb, None, (1, len(xyz))))
    data = definitions.write(kind, write_points(definitions.make, definitions.make("std_msgs/Header"), sent))
    with Writer(path, version=9, storage_plugin=StoragePlugin[plugin]) as writer:
        text, digest = definitions.describe(kind)
        connection = writer.add_connection("/points", kind, msgdef=text, rihs01=digest)
        for stamp in range(messages):
            writer.write(connection, stamp + 1, data)


def make_weights(path: Path, size: int) -> None:
    """Write matrices of 16 bits a number, as presets have them, or a published checkpoint of 32."""
    import torch
    from safetensors.torch import save_file

    from sphmask_core.config import Config, to_dict

    half = path.suffix == ".safetensors"
    layers = {f"unet.{i}.weight": torch.rand(size // 8 // (2 if half else 4)) for i in range(8)}
    if half:
        state = {key: value.half() for key, value in layers.items()}
        save_file(state, path, metadata={"config": json.dumps(to_dict(Config()))})
    else:
        torch.save({"net": layers, "epoch": 1}, path)


def read_depth_image(path: Path) -> Cloud:
    """Returns the image's cloud."""
    from sphmask_core.clouds.depth import Intrinsics, read_rgbd

    return read_rgbd(path, None, Intrinsics(*LENS))


def read_bag(path: Path) -> None:
    """Read every cloud, one after the other."""
    from sphmask_core.bags.segment import read_clouds

    for _ in read_clouds(path):
        pass


def read_weights(path: Path) -> Any:
    """Returns the numbers, 32 bits each."""
    from sphmask_core.checkpoints.weights import read_state

    return read_state(path)


Make = Callable[[Path, int], None]
FORMATS: dict[str, tuple[str, Make, Callable[[Path], Any]]] = {
    "PLY, text": (".ply", make_text_ply, read_cloud),
    "PLY": (".ply", make_ply, read_cloud),
    "PCD, text": (".pcd", lambda path, size: make_pcd(path, size, "ascii"), read_cloud),
    "PCD": (".pcd", lambda path, size: make_pcd(path, size, "binary"), read_cloud),
    "PCD, compressed": (".pcd", lambda path, size: make_pcd(path, size, "binary_compressed"), read_cloud),
    "NPY, float32": (".npy", lambda path, size: np.save(path, points(size // 12)[0]), read_cloud),
    "NPY, float64": (".npy", make_far, read_cloud),
    "NPZ, deflated": (".npz", make_npz, read_cloud),
    "BIN": (".bin", make_scan, read_cloud),
    "depth image, PNG": (".png", make_depth, read_depth_image),
    "depth image, NPY": (".npy", make_depth, read_depth_image),
    "MCAP, one message": ("", lambda path, size: make_bag(path, size, "MCAP", 1), read_bag),
    "MCAP, ten messages": ("", lambda path, size: make_bag(path, size, "MCAP", 10), read_bag),
    "db3, one message": ("", lambda path, size: make_bag(path, size, "SQLITE3", 1), read_bag),
    "db3, ten messages": ("", lambda path, size: make_bag(path, size, "SQLITE3", 10), read_bag),
    "safetensors, float16": (".safetensors", make_weights, read_weights),
    "PTH, float32": (".pth", make_weights, read_weights),
}
"""Suffix of its files, what makes one of a size in bytes, and what reads it."""


def main() -> None:
    """Run the command line: make the files, read them, print the table."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--megabytes", type=float, default=50.0)
    parser.add_argument("--read", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.read:
        name, *files = options.read
        print(memory_of(FORMATS[name][2], *map(Path, files)))
        return
    print("| file | MB | memory, MB | times the file |\n| --- | --- | --- | --- |")
    for name, (suffix, make, _) in FORMATS.items():
        with tempfile.TemporaryDirectory() as folder:
            small, large = (Path(folder) / f"{size}{suffix}" for size in ("small", "large"))
            make(small, int(SMALL * 1e6))
            make(large, int(options.megabytes * 1e6))
            command = [sys.executable, "-m", "benchmarks.readers", "--read", name, str(small), str(large)]
            answer = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
            size, most = size_of(large) / 1e6, int(answer) / 1e6
        print(f"| {name} | {size:.0f} | {most:.0f} | {most / size:.1f} |", flush=True)


def size_of(path: Path) -> int:
    """Returns the bytes of a file, or of those in a folder."""
    return sum(file.stat().st_size for file in (path.rglob("*") if path.is_dir() else [path]))


def memory_of(read: Callable[[Path], Any], small: Path, large: Path) -> int:
    """Returns the bytes that reading a large file takes at most, the result among them; a small one is read
    first."""
    read(small)
    Path("/proc/self/clear_refs").write_text("5")  # from now on VmHWM is of now on (Linux: proc(5))
    before = status("VmRSS")
    read(large)
    return status("VmHWM") - before


def status(name: str) -> int:
    """Returns a figure of this process's memory, bytes."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(f"{name}:"))


if __name__ == "__main__":
    main()
