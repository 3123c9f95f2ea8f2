# SPDX-License-Identifier: Apache-2.0
"""Scenes that the published code or ISBNet prepared: <scene>_inst_nostuff.pth and superpoints/<scene>.pth.

Each is a torch file of numpy arrays (xyz, rgb, semantic, instance), without the labels in the test split;
colors are in [-1, 1], or in [0, 255] where ISBNet prepared S3DIS. No code in them is ever run.
"""

from __future__ import annotations

import _codecs
import pickle
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sphmask_core.clouds.prepared import UNLABELED, Table
from sphmask_core.palette import MID_BRIGHTNESS, color_bytes

from .source import FormatError, NamedTable, Options, Source, naming, without_stuff

SUFFIX = "_inst_nostuff"
"""End of the name of a scene's file."""
FOLDERS = ("train", "val", "test", "val_250m", "preprocess")
"""Folders of scenes: of ScanNet the splits, of STPLS3D also val_250m, of S3DIS preprocess."""
RECONSTRUCT = np.zeros(1).__reduce__()[0]
"""The function by which a pickle makes an array."""
NUMPY: list[Any] = [
    np.ndarray,
    np.dtype,
    *(type(np.dtype(name)) for name in ("f4", "f8", "i1", "i2", "i4", "i8", "u1", "u2", "u4", "u8", "?")),
    (RECONSTRUCT, "numpy.core.multiarray._reconstruct"),
    (RECONSTRUCT, "numpy._core.multiarray._reconstruct"),
    (_codecs.encode, "_codecs.encode"),
]
"""What arrays are made of, under the names of numpy 1 and 2: all that a file may ask for."""


def find(options: Options) -> list[Source]:
    """Returns a source for each scene; none where the folder is of another kind."""
    paths = [path for folder in FOLDERS for path in sorted((options.raw / folder).glob(f"*{SUFFIX}*"))]
    return [_source(path, options.raw / "superpoints") for path in paths]


def _source(path: Path, superpoints: Path) -> Source:
    name = path.name.removesuffix(".pth").removesuffix(SUFFIX)
    split = "_".join(name.split("_")[:2]) if path.parent.name == "preprocess" else path.parent.name
    split = "val" if split == "val_250m" else split
    files = (path, superpoints / f"{name}.pth") if superpoints.is_dir() else (path,)
    return Source(name, split, files, read)


def read(source: Source, options: Options) -> Iterator[NamedTable]:
    """Yields the scene in our conventions."""
    path = source.files[0]
    arrays = _arrays(path)
    if len(arrays) not in (2, 4, 6) or any(len(array) != len(arrays[0]) for array in arrays[:4]):
        raise FormatError(f"{path}: not (xyz, rgb) or (xyz, rgb, semantic, instance) of one scene")
    xyz, rgb = arrays[0][:, :3], _bytes(arrays[1][:, :3])
    superpoints = _arrays(source.files[1])[0] if len(source.files) > 1 else None
    if superpoints is not None and superpoints.shape != (len(xyz),):
        raise FormatError(
            f"{source.files[1]}: has {superpoints.size} superpoints, the scene {len(xyz)} points"
        )
    if len(arrays) == 2 or source.split == "test":
        yield NamedTable(source.name, Table(xyz, rgb, superpoints=superpoints))
        return
    semantic, instance = (array.astype(np.int64) for array in arrays[2:4])
    if not options.config.inference.whole_classes:  # else floor and ceiling are objects
        instance = without_stuff(semantic, instance, [UNLABELED, *range(options.config.class_shift)])
    yield NamedTable(source.name, Table(xyz, rgb, semantic, instance, superpoints))


def _arrays(path: Path) -> list[np.ndarray]:
    """Returns the arrays of a torch file; anything else in it is refused."""
    try:
        with naming(path), torch.serialization.safe_globals(NUMPY):
            content = torch.load(path, map_location="cpu", weights_only=True)
    except FormatError as error:
        if isinstance(error.__cause__, pickle.UnpicklingError):
            raise FormatError(f"{path}: not a torch file of plain arrays") from None
        raise
    values = content if isinstance(content, tuple | list) else [content]
    return [_array(path, value) for value in values if not isinstance(value, str)]


def _array(path: Path, value: Any) -> np.ndarray:
    array = np.asarray(value)
    if array.dtype.kind not in "fiub" or array.ndim not in (1, 2):
        raise FormatError(f"{path}: holds {type(value).__name__}, not arrays of numbers")
    return array


def _bytes(rgb: np.ndarray) -> np.ndarray:
    """Returns colors (N, 3) uint8, from [-1, 1], or from [0, 255] where a value is larger than 1."""
    values = rgb if rgb.max(initial=0) > 1 else (rgb + 1) * MID_BRIGHTNESS
    return color_bytes(values)
