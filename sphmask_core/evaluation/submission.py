# SPDX-License-Identifier: Apache-2.0
"""The ScanNet benchmarks' submission: writing it, and checking it as their server would.

<scan>.txt has a line an instance: a mask's path, the class's number, a confidence; the masks, one a file
below predicted_masks/, have a line a vertex of the scan's mesh, 1 where the instance is.
"""

from __future__ import annotations

import argparse
import math
import sys
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from sphmask_core.clouds.prepared import Manifest, PreparedError, read_manifest, scenes_of
from sphmask_core.clouds.scenes import Split
from sphmask_core.config import Config
from sphmask_core.evaluation.scoring import Segmented
from sphmask_core.method.instances import Instances
from sphmask_core.runtime.files import replacing

MASKS = "predicted_masks"
LINES = b"0\n1\n"
ZERO, NEWLINE, ONE = LINES[:3]


class SubmissionError(ValueError):
    """A submission that the server would refuse; one line: file, what is wrong."""


@dataclass(frozen=True)
class Submission:
    """Writes results to a folder, scan by scan."""

    folder: Path
    label_ids: Sequence[int]
    """The benchmark's number of each class of predictions."""

    @classmethod
    def of(cls, split: Split, config: Config, folder: Path) -> Submission:
        """Returns a submission with nothing in it yet, for predictions of a model of that configuration."""
        if split.manifest is None or not split.manifest.dataset.startswith("scannet"):
            raise SubmissionError("--submission: only ScanNet's benchmarks take one")
        if folder.exists() and any(folder.iterdir()):
            raise SubmissionError(f"{folder}: is not empty; give a new folder")
        return cls(folder, [split.manifest.label_ids[i] for i in config.semantic_ids])

    def write_all(self, segmented: Iterable[Segmented]) -> Iterator[Segmented]:
        """Write every scene as it passes, and check all at the end."""
        scans = {}
        for result in segmented:
            self.write(result.scene.name, result.instances)
            scans[result.scene.name] = len(result.instances.labels)
            yield result
        problems = check(self.folder, scans, self.label_ids)
        if problems:
            raise SubmissionError(problems[0])

    def write(self, scan: str, instances: Instances) -> None:
        """Write the masks of a scan, then the list that names them."""
        (self.folder / MASKS).mkdir(parents=True, exist_ok=True)
        lines = []
        for i, (class_id, score) in enumerate(zip(instances.class_ids, instances.scores, strict=True)):
            mask = f"{MASKS}/{scan}_{i:03d}.txt"
            (self.folder / mask).write_bytes(_mask_text(instances.points(i), len(instances.labels)))
            lines.append(f"{mask} {self.label_ids[class_id]} {score:.6f}\n")
        with replacing(self.folder / f"{scan}.txt") as partial:
            partial.write_text("".join(lines))


def _mask_text(points: np.ndarray, count: int) -> bytes:
    """Returns the text of a mask: a line for each of `count` vertices, 1 for those in `points`, else 0."""
    text = np.tile(np.frombuffer(LINES[:2], np.uint8), (count, 1))
    text[points, 0] = LINES[2]
    return text.tobytes()


def check(folder: Path, scans: Mapping[str, int], label_ids: Sequence[int]) -> list[str]:
    """Returns a line for everything that the server would refuse; `scans`: vertices of each scan by name."""
    if not folder.is_dir():
        return [f"{folder}: no such folder"]
    unknown = sorted({path.stem for path in folder.glob("*.txt")} - set(scans))
    problems = [f"{folder / name}.txt: no scan of this split" for name in unknown]
    used: set[Path] = set()
    for scan, vertices in scans.items():
        problems += _check_scan(folder, folder / f"{scan}.txt", vertices, set(label_ids), used)
    stray = set((folder / MASKS).glob("*")) - used
    return problems + [f"{path}: no list names it" for path in sorted(stray)]


def _check_scan(
    folder: Path, path: Path, vertices: int, label_ids: set[int], used: set[Path]
) -> Iterator[str]:
    """Gives the problems of one list and its masks; `used` gathers masks that lists name."""
    if not path.is_file():
        yield f"{path}: missing"
        return
    for number, line in enumerate(path.read_text().splitlines(), 1):
        try:
            mask = _parse(folder, line, label_ids)
            if mask in used:
                raise SubmissionError("its mask is named twice")
            used.add(mask)
            _check_mask(mask, vertices)
        except SubmissionError as error:
            yield f"{path}: line {number}: {error}"


def _parse(folder: Path, line: str, label_ids: set[int]) -> Path:
    """Returns the mask that a line names, if the line is right."""
    words = line.split()
    if len(words) != 3:
        raise SubmissionError("is not <mask> <class> <confidence>")
    name, label, confidence = words
    if not label.isdigit() or int(label) not in label_ids:
        raise SubmissionError(f"class {label} is none of the benchmark's")
    try:
        finite = math.isfinite(float(confidence))
    except ValueError:
        finite = False
    if not finite:
        raise SubmissionError(f"confidence {confidence} is no number")
    mask = folder / name
    if Path(name).is_absolute() or ".." in Path(name).parts or mask.parent == folder:
        raise SubmissionError(f"mask {name} is not in a folder below the submission's")
    return mask


def _check_mask(path: Path, vertices: int) -> None:
    if not path.is_file():
        raise SubmissionError(f"mask {path.name} is missing")
    text = np.frombuffer(path.read_bytes().rstrip(b"\n") + b"\n", np.uint8)
    if len(text) % 2 or not np.isin(text[::2], [ZERO, ONE]).all() or (text[1::2] != NEWLINE).any():
        raise SubmissionError(f"mask {path.name} is not a 0 or 1 a line")
    if len(text) // 2 != vertices:
        raise SubmissionError(f"mask {path.name} has {len(text) // 2} lines, the scan {vertices} vertices")
    if not (text[::2] == ONE).any():
        raise SubmissionError(f"mask {path.name} is empty")


def check_split(folder: Path, manifest: Manifest, split: str) -> list[str]:
    """Returns what `check` finds, against the scenes of a prepared split."""
    scans = {scene.name: scene.points for scene in scenes_of(manifest, split, 0)}
    return check(folder, scans, manifest.label_ids[manifest.class_shift :])


def main(arguments: Sequence[str] | None = None) -> int:
    """Check a submission: python -m sphmask_core.evaluation.submission DIR --root PREPARED [--split test]"""
    parser = argparse.ArgumentParser(
        prog="python -m sphmask_core.evaluation.submission", description=main.__doc__
    )
    parser.add_argument("folder", type=Path, metavar="DIR")
    parser.add_argument("--root", type=Path, required=True, metavar="PREPARED", help="prepared data set")
    parser.add_argument("--split", default="test")
    asked = parser.parse_args(arguments)
    try:
        manifest = read_manifest(asked.root)
        problems = check_split(asked.folder, manifest, asked.split)
    except PreparedError as error:
        problems = [str(error)]
    for line in problems:
        print(line, file=sys.stderr)
    print(f"{asked.folder}: {f'{len(problems)} problems' if problems else 'as the server wants it'}")
    return 2 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
