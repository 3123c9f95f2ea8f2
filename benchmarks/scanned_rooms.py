# SPDX-License-Identifier: Apache-2.0
"""Makes labeled frames of four real rooms, each of another kind of scanner than `benchmarks.laser_rooms`.

git clone https://github.com/KosukeArase/SGPN rooms/SGPN                S3DIS, area 5, office 20, colors
git clone https://github.com/sayands/sgaligner rooms/sgaligner          meshes of a phone, of 3RScan
git clone https://github.com/DBobkov/segmentation rooms/segmentation    of a NavVis trolley, walls taken out
python -m benchmarks.scanned_rooms rooms scanned
sphmask eval --model rooms --dataset frames --root scanned              or benchmarks.oracles --frames

SGPN's file needs h5py, which is no part of this package.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

from benchmarks.room_frames import make_parser, numbered, parse, write_frame
from benchmarks.s3dis_blocks import read_blocks
from sphmask_core.clouds.cloud import Cloud, read_cloud

S3DIS_UNKNOWN = ("column", "clutter")
"""Of the office a pipe and the lamps in the ceiling."""
NYU_WALLS = (1, 2, 20, 22, 38)
"""Wall, floor, floor mat, ceiling, other structure, of NYU's 40 classes."""
NYU_UNLABELED = 0


def read_office(path: Path) -> Cloud:
    """Returns a room of S3DIS."""
    room = read_blocks(path)
    return Cloud(room.xyz, room.rgb, room.labels(S3DIS_UNKNOWN), (1, len(room.xyz)))


def read_mesh_points(path: Path) -> Cloud:
    """Returns the vertices of a scan of 3RScan; the colors beside them are those of the labels."""
    rows = np.load(path)
    xyz = np.stack([rows[axis].reshape(-1) for axis in "xyz"], 1).astype(np.float32)
    kind = rows["NYU40"].reshape(-1)
    label = numbered(rows["objectId"].reshape(-1), np.isin(kind, NYU_WALLS), kind == NYU_UNLABELED)
    return Cloud(xyz, None, label, (1, len(label)))


ROOMS: dict[str, tuple[str, Callable[[Path], Cloud]]] = {
    "office20": ("SGPN/data/Area_5_office_20.h5", read_office),
    "phone1": ("sgaligner/example_data/scene_1/data.npy", read_mesh_points),
    "phone2": ("sgaligner/example_data/scene_2/data.npy", read_mesh_points),
    "meeting": ("segmentation/data/0_Groundtruth_PointXYZL/room2_gt_coarse.pcd", read_cloud),
}
"""Where each room is in the folder of repositories, and what reads it."""


def main() -> None:
    """Run the command line."""
    options = parse(make_parser(__doc__, "folder with the repositories"))
    for name, (path, read) in ROOMS.items():
        try:
            cloud = read(options.root / path)
        except (OSError, ValueError, ImportError) as error:
            print(f"{name}: left out ({error})", file=sys.stderr)
            continue
        assert cloud.labels is not None, path
        objects = write_frame(options.output, name, cloud.xyz, cloud.labels, cloud.rgb)
        print(f"{name}: {len(cloud.xyz)} points, {objects} objects -> {options.output}")


if __name__ == "__main__":
    main()
