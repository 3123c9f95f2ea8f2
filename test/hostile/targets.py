# SPDX-License-Identifier: Apache-2.0
"""What reads a stranger's bytes, each with valid files to damage and the error by which it refuses."""

from __future__ import annotations

import io
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sphmask_core.clouds.cloud import Cloud, CloudError, read_cloud, write_ply
from sphmask_core.clouds.depth import read_depth
from sphmask_core.config.reading import PRESET_DIR, load_config
from test.helpers.bags import CLOUD, TOPIC, write_folder
from test.helpers.pcd import pcd_bytes


@dataclass(frozen=True)
class Target:
    """A reader of files of one suffix."""

    suffix: str
    read: Callable[[Path], object]
    valid: Sequence[bytes]
    """Files that it reads."""


def targets() -> list[Target]:
    """The readers of clouds, depth images, configurations, weights, bags and messages."""
    return [*_clouds(), _images(), _configurations(), *_weights(), *_bags(), _messages()]


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


def _bags() -> list[Target]:
    """Bags of one cloud, which is read, too; where it is not compressed, it is damaged as well."""
    from mcap.writer import CompressionType, Writer

    from sphmask_core.bags.segment import read_clouds
    from sphmask_core.messages.definitions import Definitions

    definitions, data = Definitions(), _cloud_message()
    bags = []
    for compression in (CompressionType.NONE, CompressionType.ZSTD):
        file = io.BytesIO()
        writer = Writer(file, compression=compression, use_chunking=compression != CompressionType.NONE)
        writer.start()
        schema = writer.register_schema(CLOUD, "ros2msg", definitions.describe(CLOUD)[0].encode())
        writer.add_message(writer.register_channel(TOPIC, "cdr", schema), 1, data, 1)
        writer.finish()
        bags.append(file.getvalue())
    with tempfile.TemporaryDirectory() as folder:
        write_folder(Path(folder) / "bag", [(TOPIC, CLOUD, 1, 1, data)], definitions)
        (recorded,) = (Path(folder) / "bag").glob("*.db3")
        database = recorded.read_bytes()

    def read(path: Path) -> None:
        for _ in read_clouds(path, TOPIC):
            pass

    return [Target(".mcap", read, bags), Target(".db3", read, [database])]


def _messages() -> Target:
    """Serialized clouds, as bags and the network bring them."""
    from sphmask_core.messages.definitions import Definitions
    from sphmask_core.messages.pointcloud2 import read_cloud_message

    definitions = Definitions()

    def read(path: Path) -> None:
        try:
            message = definitions.read(CLOUD, path.read_bytes())
        except Exception as error:  # the library's own, of which a bag's reader makes a line, too
            raise ValueError(f"{path}: {type(error).__name__}") from None
        try:
            read_cloud_message(message)
        except CloudError as error:
            raise CloudError(f"{path}: {error}") from None

    return Target(".cdr", read, [_cloud_message()])


def _cloud_message() -> bytes:
    from sphmask_core.messages.definitions import Definitions
    from sphmask_core.messages.pointcloud2 import cloud_points, write_points

    definitions, rng = Definitions(), np.random.default_rng(0)
    cloud = Cloud(rng.normal(size=(42, 3)).astype(np.float32), None, None, (6, 7))
    header = definitions.make("std_msgs/Header", frame_id="camera")
    return bytes(definitions.write(CLOUD, write_points(definitions.make, header, cloud_points(cloud))))


def _images() -> Target:
    """Depth images."""
    from PIL import Image

    file = io.BytesIO()
    Image.fromarray(np.arange(600, 642, dtype=np.uint16).reshape(6, 7)).save(file, "PNG")
    return Target(".png", read_depth, [file.getvalue()])
