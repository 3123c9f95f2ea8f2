# SPDX-License-Identifier: Apache-2.0
"""Shared by the commands that make labeled frames (`sphmask eval --dataset frames`) of real rooms."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

BACKGROUND, UNKNOWN = 0, -1
"""Labels of what is no thing, and of what is left out."""


def make_parser(description: str, root: str) -> argparse.ArgumentParser:
    """Returns a command line with the folders `root`, of which `root` says what it holds, and `output`."""
    parser = argparse.ArgumentParser(
        description=description, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("root", type=Path, help=root)
    parser.add_argument("output", type=Path, help="new folder of labeled frames")
    return parser


def parse(parser: argparse.ArgumentParser) -> argparse.Namespace:
    """Returns the arguments, and makes the folder `output`; one that exists is refused."""
    options = parser.parse_args()
    if options.output.exists():
        parser.error(f"{options.output} exists; give a new folder")
    options.output.mkdir(parents=True)
    return options


def write_frame(
    folder: Path, name: str, xyz: np.ndarray, label: np.ndarray, rgb: np.ndarray | None = None
) -> int:
    """Writes a labeled frame: points (N, 3), labels (N,) and colors (N, 3). Returns the number of objects."""
    path = folder / f"{name}.npz"
    if rgb is None:
        np.savez_compressed(path, xyz=xyz, label=label)
    else:
        np.savez_compressed(path, xyz=xyz, label=label, rgb=rgb)
    return len(np.unique(label[label > 0]))


def numbered(instance: np.ndarray, background: np.ndarray, unknown: np.ndarray) -> np.ndarray:
    """Returns the labels (N,) of labeled frames, of numbers of things and two masks (N,)."""
    label = np.unique(instance, return_inverse=True)[1].reshape(-1) + 1
    label[background] = BACKGROUND
    label[unknown] = UNKNOWN
    return label
