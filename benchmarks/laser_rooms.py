# SPDX-License-Identifier: Apache-2.0
"""Makes labeled frames of real whole rooms: laser scans, classes of S3DIS, no colors, in 3D-Wall-Completer.

git clone https://github.com/WinerDeCoder/3D-Wall-Completer
for commit in 22eac2a 3707717 c7d2d15; do
    mkdir -p rooms/$commit; git -C 3D-Wall-Completer archive $commit | tar x -C rooms/$commit
done
python -m benchmarks.laser_rooms rooms furniture                   doors, windows and clutter are unknown
python -m benchmarks.laser_rooms rooms things --clutter            clutter is objects, too
sphmask eval --model rooms --dataset frames --root furniture       or benchmarks.card, benchmarks.oracles

A room is N_room.npy, points (8192 n, 3) of n parts one after the other, and N_semlabel.npy, their classes.
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from benchmarks.room_frames import make_parser, parse, write_frame

PART = 8192
"""Points of a part; of smaller ones, points are repeated."""
OBJECTS = (7, 8, 9, 10, 11)
"""Table, chair, sofa, bookcase, board."""
CLUTTER = 12
UNKNOWN = (5, 6, CLUTTER)
"""Window, door and clutter, where they are no objects: some would take them for objects, some for walls."""
ROOM, CLASSES = "_room.npy", "_semlabel.npy"


def rooms(root: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """Gives (name, points (N, 3), classes (N,)) of every room below a folder, each room once; says which
    cannot be read."""
    seen = set()
    for path in sorted(root.rglob(f"*{ROOM}")):
        try:
            xyz, classes = np.load(path), np.load(path.with_name(path.name.replace(ROOM, CLASSES)))
        except (OSError, ValueError) as error:
            print(f"{path}: left out ({error})", file=sys.stderr)
            continue
        whole = len(classes) % PART == 0 and (classes == np.repeat(classes[::PART], PART)).all()
        if not whole or xyz.shape != (len(classes), 3):
            print(f"{path}: left out (no parts of {PART} points of one class)", file=sys.stderr)
        elif xyz.tobytes() not in seen:
            seen.add(xyz.tobytes())
            yield f"room_{len(seen):02d}", xyz, classes


def labeled(xyz: np.ndarray, classes: np.ndarray, clutter: bool) -> tuple[np.ndarray, np.ndarray]:
    """Returns the different points (M, 3) of a room, float32, and their labels (M,) as labeled frames have
    them: objects from 1, 0 for no object, -1 for unknown."""
    part = np.arange(len(xyz)) // PART
    points = np.unique(np.column_stack([part, xyz]), axis=0)
    part = points[:, 0].astype(int)
    kind = classes[::PART][part]
    label = np.where(np.isin(kind, (*OBJECTS, CLUTTER) if clutter else OBJECTS), part + 1, 0)
    if not clutter:
        label[np.isin(kind, UNKNOWN)] = -1
    return points[:, 1:].astype(np.float32), label


def main() -> None:
    """Run the command line."""
    parser = make_parser(__doc__, "folder with the rooms, at any depth")
    parser.add_argument("--clutter", action="store_true", help="clutter is objects, not unknown")
    options = parse(parser)
    count = objects = 0
    for name, xyz, classes in rooms(options.root):
        points, label = labeled(xyz, classes, options.clutter)
        count, objects = count + 1, objects + write_frame(options.output, name, points, label)
    print(f"{count} rooms, {objects} objects -> {options.output}")


if __name__ == "__main__":
    main()
