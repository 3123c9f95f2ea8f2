# SPDX-License-Identifier: Apache-2.0
"""What `sphmask eval` does with each scene, here or in another process: keep what is found, to be scored."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np

from sphmask_core.clouds.scenes import Split, open_split
from sphmask_core.evaluation.protocol import Protocol, protocol_of
from sphmask_core.evaluation.scoring import Segmented
from sphmask_core.method.instances import Instances
from sphmask_core.runtime.files import replacing
from sphmask_core.segmenter import Segmenter

SETTINGS = "settings.json"
ARRAYS = ("segments", "labels", "scores", "class_ids", "centers", "rays", "boxes", "rotation")


@dataclass(frozen=True)
class Predictions:
    """A folder of what was found, a file a scene."""

    folder: Path

    def open(self, settings: dict[str, Any], resume: bool) -> None:
        """Start anew, or go on with what is there if it was made with these settings."""
        file = self.folder / SETTINGS
        self.folder.mkdir(parents=True, exist_ok=True)
        if resume and file.is_file():
            if json.loads(file.read_text()) != settings:
                raise ValueError(f"{self.folder}: of another model or data set; leave out --resume")
            return
        for old in self.folder.glob("*.npz"):
            old.unlink()
        with replacing(file) as partial_file:
            partial_file.write_text(json.dumps(settings, indent=1) + "\n")

    def has(self, name: str) -> bool:
        """Whether the scene was done."""
        return self._path(name).is_file()

    def save(self, name: str, found: Instances, milliseconds: float) -> None:
        """Whole, or not at all; masks as bits."""
        arrays = {key: getattr(found, key) for key in ARRAYS}
        arrays["segments"] = arrays["segments"].astype(np.int32)
        masks = np.packbits(found.segment_masks, axis=1)
        facts = np.array([milliseconds, found.segment_masks.shape[1]])
        names = np.array(found.class_names, np.str_)
        with replacing(self._path(name)) as file:
            np.savez_compressed(file, masks=masks, facts=facts, class_names=names, **arrays)

    def load(self, name: str) -> tuple[Instances, float]:
        """What was found, and the milliseconds that it took."""
        with np.load(self._path(name), allow_pickle=False) as arrays:
            milliseconds, columns = arrays["facts"]
            masks = np.unpackbits(arrays["masks"], axis=1, count=int(columns)).astype(bool)
            values = {key: arrays[key] for key in ARRAYS}
            names = tuple(arrays["class_names"].tolist())
        values["segments"] = values["segments"].astype(np.int64)
        return Instances(segment_masks=masks, class_names=names, timings={}, **values), float(milliseconds)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npz"


@dataclass(frozen=True)
class SceneTask:
    """Segments the scenes of a split, as its protocol says."""

    model: str
    device: str
    dataset: str
    root: str
    split: str
    predictions: Predictions

    def __call__(self) -> Callable[[int], None]:
        """Load the model; a scene is named by its number in the split."""
        segmenter = Segmenter.load(self.model, self.device)
        segmenter.warm_up()
        split = open_split(self.dataset, self.root, self.split, segmenter.config.data.s3dis.area)
        protocol = protocol_of(self.dataset, split.manifest, segmenter.config)
        return partial(self.segment, segmenter, split, protocol)

    def segment(self, segmenter: Segmenter, split: Split, protocol: Protocol, number: int) -> None:
        """Save what is found in a scene."""
        scene = protocol.prepare(split[number])
        start = time.perf_counter()
        found = protocol.segment(segmenter, scene, min_score=0.0)
        self.predictions.save(scene.name, found, (time.perf_counter() - start) * 1e3)


def segmented(
    split: Split, protocol: Protocol, predictions: Predictions, numbers: Sequence[int]
) -> Iterator[Segmented]:
    """Scenes with what was found in them, as they are scored."""
    for number in numbers:
        scene = protocol.prepare(split[number])
        yield Segmented(scene, *predictions.load(scene.name))
