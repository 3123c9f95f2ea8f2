# SPDX-License-Identifier: Apache-2.0
"""Bags on disk: MCAP files, by the library `mcap`, and rosbag2's .db3 folders, by `rosbags`.

Both are read in the order of time and copied with topics added: what was in them stays byte for byte.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import yaml
from rosbags.rosbag2 import Reader

from sphmask_core.bags.bag import Bag, BagError, naming
from sphmask_core.bags.kinds import INFORMATION, METADATA
from sphmask_core.bags.mcap_bag import McapBag
from sphmask_core.bags.rosbag2 import Rosbag2


@contextmanager
def open_bag(path: Path) -> Iterator[Bag]:
    """Returns the bag at a path: an MCAP file, a folder that rosbag2 recorded, or a .db3 file of one."""
    if not path.exists():
        raise BagError(f"{path}: no such file or folder")
    with ExitStack() as stack:
        with naming(path):
            recording = None if path.is_file() else _recording(path)
            if recording is None and path.suffix == ".mcap":
                bag: Bag = McapBag([path], stack)
            elif recording is not None and _is_plain_mcap(recording):
                files = [path / Path(name).name for name in recording["relative_file_paths"]]
                bag = McapBag(files, stack, recording)
            else:
                bag = Rosbag2(stack.enter_context(Reader(path)))
        yield bag


def _recording(path: Path) -> dict[str, Any]:
    """Returns what a recording's metadata.yaml says of it."""
    metadata = path / METADATA
    if not metadata.is_file():
        raise BagError(f"{path}: no bag: a folder without {METADATA}")
    return dict(yaml.safe_load(metadata.read_text())[INFORMATION])


def _is_plain_mcap(recording: dict[str, Any]) -> bool:
    """Returns whether the files are MCAP as everyone reads it; rosbag2 can compress files or messages
    itself."""
    return recording["storage_identifier"] == "mcap" and not recording.get("compression_mode")
