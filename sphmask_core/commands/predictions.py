# SPDX-License-Identifier: Apache-2.0
"""The instances of each scene, kept in a folder from which a stopped evaluation goes on."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from sphmask_core.method.instances import Instances
from sphmask_core.runtime.files import replacing

SETTINGS = "settings.json"
ARRAYS = ("segments", "labels", "scores", "class_ids", "centers", "rays", "boxes", "rotation")


@dataclass(frozen=True)
class PredictionFolder:
    """A folder with one file a scene, and the settings that all of them were made with."""

    folder: Path

    def open(self, settings: dict[str, Any], resume: bool) -> None:
        """Start anew, or with `resume` go on with what is there.

        Raises ValueError if it has other settings.
        """
        file = self.folder / SETTINGS
        self.folder.mkdir(parents=True, exist_ok=True)
        old = list(self.folder.glob("*.npz"))
        if old and not file.is_file():
            raise ValueError(
                f"{self.folder}: holds {old[0].name}, which no evaluation wrote; give another -o"
            )
        if resume and file.is_file():
            if json.loads(file.read_text()) != settings:
                raise ValueError(f"{self.folder}: of another model or data set; leave out --resume")
            return
        for path in old:
            path.unlink()
        with replacing(file) as temporary:
            temporary.write_text(json.dumps(settings, indent=1) + "\n")

    def has(self, name: str) -> bool:
        """Returns whether the scene was done."""
        return self._path(name).is_file()

    def save(self, name: str, instances: Instances, milliseconds: float) -> None:
        """Write the file of a scene whole, or not at all; masks as bits."""
        arrays = {key: getattr(instances, key) for key in ARRAYS}
        arrays["segments"] = arrays["segments"].astype(np.int32)
        masks = np.packbits(instances.segment_masks, axis=1)
        facts = np.array([milliseconds, instances.segment_masks.shape[1]])
        names = np.array(instances.class_names, np.str_)
        with replacing(self._path(name)) as file:
            np.savez_compressed(file, masks=masks, facts=facts, class_names=names, **arrays)

    def load(self, name: str) -> tuple[Instances, float]:
        """Returns the instances of a scene, and the milliseconds that segmenting it took."""
        with np.load(self._path(name), allow_pickle=False) as arrays:
            milliseconds, columns = arrays["facts"]
            masks = np.unpackbits(arrays["masks"], axis=1, count=int(columns)).astype(bool)
            values = {key: arrays[key] for key in ARRAYS}
            names = tuple(arrays["class_names"].tolist())
        values["segments"] = values["segments"].astype(np.int64)
        return Instances(segment_masks=masks, class_names=names, timings={}, **values), float(milliseconds)

    def _path(self, name: str) -> Path:
        return self.folder / f"{name}.npz"
