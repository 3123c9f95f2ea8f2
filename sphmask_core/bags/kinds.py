# SPDX-License-Identifier: Apache-2.0
"""What a bag is; told without the libraries that read bags."""

from __future__ import annotations

from pathlib import Path

BAG_SUFFIXES = (".mcap", ".db3")
METADATA = "metadata.yaml"
"""The file by which a folder is one that rosbag2 recorded."""
INFORMATION = "rosbag2_bagfile_information"
"""The only key of that file."""


def is_bag(path: Path) -> bool:
    """Returns whether a path is a bag: a file with the suffix of one, or a folder that rosbag2 recorded."""
    return path.suffix in BAG_SUFFIXES or (path / METADATA).is_file()


def files_of_bag(path: Path) -> list[Path]:
    """Returns the bag's own path and, of a folder, all files in it: what must not be written over."""
    return [path, *path.iterdir()] if path.is_dir() else [path]
