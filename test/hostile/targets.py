# SPDX-License-Identifier: Apache-2.0
"""What reads a stranger's bytes, each with valid files to damage and the error by which it refuses."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sphmask_core.clouds.cloud import Cloud, read_cloud, write_ply
from sphmask_core.config.reading import PRESET_DIR, load_config
from test.helpers.pcd import pcd_bytes


@dataclass(frozen=True)
class Target:
    """A reader of files of one suffix."""

    suffix: str
    read: Callable[[Path], object]
    valid: Sequence[bytes]
    """Files that it reads."""


def targets() -> list[Target]:
    """The readers of clouds, configurations, weights and bags."""
    return [*_clouds(), _configurations(), *_weights(), _bags()]


def _clouds() -> list[Target]:
    rng = np.random.default_rng(0)
    xyz = rng.normal(size=(42, 3)).astype(np.float32)
    cloud = Cloud(xyz, rng.integers(0, 256, (42, 3), np.uint8), rng.integers(0, 50, 42), (6, 7))
    npy, npz = io.BytesIO(), io.BytesIO()
    np.save(npy, xyz)
    np.savez_compressed(npz, xyz=xyz, rgb=cloud.rgb, label=cloud.labels)
    with tempfile.TemporaryDirectory() as folder:
        write_ply(Path(folder) / "a.ply", cloud, {"label": cloud.labels})
        ply = (Path(folder) / "a.ply").read_bytes()
    faces = b"ply\nformat ascii 1.0\nelement vertex 3\nproperty float x\nproperty float y\nproperty float z\n"
    faces += (
        b"element face 1\nproperty list uchar int vertex_indices\nend_header\n0 0 0\n1 0 0\n0 1 0\n3 0 1 2\n"
    )
    pcd = [pcd_bytes(cloud, data) for data in ("ascii", "binary", "binary_compressed")]
    scan = np.hstack([xyz, xyz[:, :1]]).tobytes()
    files = {
        ".pcd": pcd,
        ".ply": [ply, faces],
        ".npy": [npy.getvalue()],
        ".npz": [npz.getvalue()],
        ".bin": [scan],
    }
    return [Target(suffix, read_cloud, valid) for suffix, valid in files.items()]


def _configurations() -> Target:
    presets = [path.read_bytes() for path in sorted(PRESET_DIR.glob("*.yaml")) if path.stem != "segment_node"]
    return Target(".yaml", load_config, presets)


def _weights() -> list[Target]:
    import torch
    from safetensors.torch import save

    from sphmask_core.checkpoints.weights import read_published, read_weights

    state = {"a.weight": torch.ones(2, 3), "b.bias": torch.zeros(4)}
    pth = io.BytesIO()
    torch.save({"net": state, "epoch": 1}, pth)
    own = save(state, metadata={"config": '{"name": "a", "voxel_size": 0.005}'})
    return [Target(".safetensors", read_weights, [own]), Target(".pth", read_published, [pth.getvalue()])]


def _bags() -> Target:
    from mcap.writer import Writer

    from sphmask_core.bags.files import open_bag

    def read(path: Path) -> None:
        with open_bag(path) as bag:
            _ = dict(bag.topics)

    file = io.BytesIO()
    writer = Writer(file)
    writer.start()
    schema = writer.register_schema("std_msgs/msg/String", "ros2msg", b"string data")
    channel = writer.register_channel("/topic", "cdr", schema)
    writer.add_message(channel, 1, b"\x00\x01\x00\x00\x02\x00\x00\x00a\x00", 1)
    writer.finish()
    return Target(".mcap", read, [file.getvalue()])
