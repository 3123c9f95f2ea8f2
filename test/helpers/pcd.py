# SPDX-License-Identifier: Apache-2.0
"""Clouds as .pcd files, which the package reads but does not write."""

import struct

import numpy as np

from sphmask_core.clouds.cloud import Cloud

HEADER = """# .PCD v0.7
VERSION 0.7
FIELDS x y z {rgb} label
SIZE 4 4 4 4 4
TYPE F F F {kind} U
COUNT 1 1 1 1 1
WIDTH {width}
HEIGHT {height}
VIEWPOINT 0 0 0 1 0 0 0
POINTS {points}
DATA {data}
"""


def literal_lzf(raw: bytes) -> bytes:
    """LZF without repeats: runs of at most 32 literal bytes."""
    chunks = [raw[i : i + 32] for i in range(0, len(raw), 32)]
    return b"".join(bytes([len(chunk) - 1]) + chunk for chunk in chunks)


def pcd_bytes(cloud: Cloud, data="binary", color="rgb", kind="F") -> bytes:
    """Labels and colors too; colors packed into a float (F) or an integer (U)."""
    r, g, b = cloud.rgb.astype(np.uint32).T
    packed = r << 16 | g << 8 | b
    columns = [*cloud.xyz.T, packed, cloud.labels.astype(np.uint32)]
    columns = [np.ascontiguousarray(column) for column in columns]
    if kind == "F":
        columns[3] = packed.view(np.float32)
    height, width = cloud.shape
    head = HEADER.format(
        rgb=color, kind=kind, width=width, height=height, points=height * width, data=data
    ).encode()
    if data == "ascii":
        lines = [" ".join(f"{value:.9g}" for value in row) for row in zip(*columns, strict=True)]
        if kind == "U":
            lines = [" ".join(str(v) for v in row) for row in zip(*columns, strict=True)]
        return head + "\n".join(lines).encode() + b"\n"
    if data == "binary":
        return head + np.rec.fromarrays(columns).tobytes()
    raw = b"".join(column.tobytes() for column in columns)
    packed_data = literal_lzf(raw)
    return head + struct.pack("<II", len(packed_data), len(raw)) + packed_data
