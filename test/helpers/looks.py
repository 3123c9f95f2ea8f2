# SPDX-License-Identifier: Apache-2.0
"""How often the network sees each cloud."""

from sphmask_core.method.rounds import find_instances


def note_looks(monkeypatch) -> list[int]:
    """A list that grows with every cloud that any segmenter segments from now on."""
    seen = []

    def noted(model, voxels, stage, strategy, turns):
        seen.append(turns)
        return find_instances(model, voxels, stage, strategy, turns)

    monkeypatch.setattr("sphmask_core.segmenter.find_instances", noted)
    return seen
