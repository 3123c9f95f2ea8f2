# SPDX-License-Identifier: Apache-2.0
"""Makes labeled frames of 48 real rooms with colors, of S3DIS, mostly offices: 374 things without clutter.

git clone https://github.com/LaureenK/JSNet_LK rooms/JSNet_LK
git -C rooms/JSNet_LK checkout 9ef23b986a0a6b496d8075b8516527ba6cd6237f
python -m benchmarks.colored_rooms rooms/JSNet_LK/data/indoor3d_ins_seg_hdf5 colored
sphmask eval --model rooms --dataset frames --root colored              or benchmarks.oracles --frames

Things are tables, chairs, sofas, bookcases, boards, doors and windows; `--clutter` takes what lies and stands
about for things, too. The files need h5py, which is no part of this package.
"""

from __future__ import annotations

import sys

from benchmarks.room_frames import make_parser, parse, write_frame
from benchmarks.s3dis_blocks import FURNITURE, read_blocks

LARGEST_FILE = 1 << 22
"""Bytes: larger files are large or plain rooms, and were not measured."""
LEAST_FURNITURE = 4
KNOWN = "Area_5_office_20"
"""A room of `benchmarks.scanned_rooms`, too."""


def main() -> None:
    """Run the command line."""
    parser = make_parser(__doc__, "folder with the HDF5 files")
    parser.add_argument("--areas", nargs="+", default=list("123456"), help="areas of S3DIS; all unless given")
    parser.add_argument("--clutter", action="store_true", help="clutter counts; it is left out unless given")
    options = parse(parser)
    unknown = ("column",) if options.clutter else ("column", "clutter")
    rooms = objects = 0
    for path in sorted(options.root.glob("Area_*.h5")):
        if (
            path.stem == KNOWN
            or path.stat().st_size >= LARGEST_FILE
            or path.stem.split("_")[1] not in options.areas
        ):
            continue
        room = read_blocks(path)
        if room.count(FURNITURE) >= LEAST_FURNITURE:
            objects += write_frame(options.output, path.stem, room.xyz, room.labels(unknown), room.rgb)
            rooms += 1
    if not rooms:
        print(f"{options.root}: no rooms; see --help", file=sys.stderr)
        sys.exit(1)
    print(f"{rooms} rooms, {objects} objects -> {options.output}")


if __name__ == "__main__":
    main()
