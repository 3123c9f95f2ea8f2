# SPDX-License-Identifier: Apache-2.0
"""The model that a command was asked to use, and what results depend on."""

from __future__ import annotations

import argparse
from hashlib import sha256
from typing import Any

from sphmask_core.segmenter import Segmenter


def load_segmenter(options: argparse.Namespace) -> tuple[Segmenter, float]:
    """Returns the model of --model, and the score threshold: that of --min-score, or else the model's own."""
    segmenter = Segmenter.load(options.model, options.device)
    min_score = segmenter.min_score if options.min_score is None else options.min_score
    if not 0 <= min_score <= 1:
        raise ValueError(f"--min-score {min_score}: must be from 0 to 1")
    return segmenter, min_score


def settings_of(segmenter: Segmenter, **others: Any) -> dict[str, Any]:
    """Returns what results depend on: the model's name, a hash of its weights, and `others`."""
    digest = sha256()
    for name, value in segmenter.model.state_dict().items():
        digest.update(name.encode())
        digest.update(value.cpu().contiguous().numpy().data)
    return {"model": segmenter.config.name, "weights": digest.hexdigest()[:16], **others}
