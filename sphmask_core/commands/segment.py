# SPDX-License-Identifier: Apache-2.0
"""What `sphmask segment` does with each cloud, here or in another process."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from hashlib import sha256
from pathlib import Path
from typing import Any

from sphmask_core.clouds.cloud import SUFFIXES, CloudError, read_cloud
from sphmask_core.commands.results import summary, table, write_results
from sphmask_core.segmenter import Segmenter

BAGS = (".mcap", ".db3")


@dataclass(frozen=True)
class SegmentTask:
    """Segments clouds into a folder."""

    model: str
    device: str
    min_score: float
    output: Path
    picture: bool
    settings: dict[str, Any]
    """What the results depend on, kept with them."""

    def __call__(self) -> Callable[[Path], str]:
        """Load the model; segmenting a cloud gives what there is to print about it."""
        return partial(self.segment, Segmenter.load(self.model, self.device))

    def segment(self, segmenter: Segmenter, path: Path) -> str:
        """Write the results of one cloud."""
        cloud = read_cloud(path)
        try:
            found = segmenter(cloud.xyz, cloud.rgb, min_score=self.min_score)
        except (ValueError, MemoryError, RuntimeError) as error:  # RuntimeError: CUDA's and torch's
            raise CloudError(f"{path}: {error or 'out of memory'}") from error
        write_results(self.output, path, cloud, found, self.picture, self.settings)
        return f"{path.name}: {len(cloud.xyz)} points, {summary(found)}{table(found)}"

    def is_done(self, path: Path) -> bool:
        """Whether the results are there, with these settings, and newer than the cloud."""
        record = self.output / f"{path.stem}.json"
        try:
            files = [record, *(record.with_suffix(suffix) for suffix in (".npz", ".ply"))]
            files += [record.with_suffix(".png")] if self.picture else []
            newer = min(file.stat().st_mtime for file in files) > path.stat().st_mtime
            return newer and json.loads(record.read_text())["settings"] == self.settings
        except (OSError, ValueError, KeyError, TypeError):
            return False


def clouds_of(paths: Sequence[Path]) -> list[Path]:
    """The cloud files that the paths name, those of a folder by name; none when the path is a bag."""
    clouds: list[Path] = []
    for path in paths:
        if path.suffix in BAGS or (path / "metadata.yaml").is_file():
            if len(paths) > 1:
                raise CloudError(f"{path}: is a bag; give one bag at a time")
            return []
        clouds += _files(path) if path.is_dir() else [path]
    return clouds


def _files(folder: Path) -> list[Path]:
    found = sorted(path for path in folder.iterdir() if path.suffix.lower() in SUFFIXES)
    if not found:
        raise CloudError(f"{folder}: is a folder without clouds ({', '.join(SUFFIXES)}), and no bag")
    return found


def settings_of(segmenter: Segmenter, **others: Any) -> dict[str, Any]:
    """What results depend on: the weights, by a hash of them, and the rest."""
    digest = sha256()
    for name, value in segmenter.model.state_dict().items():
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().numpy().data)
    return {"model": segmenter.config.name, "weights": digest.hexdigest()[:16], **others}
