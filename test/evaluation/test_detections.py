# SPDX-License-Identifier: Apache-2.0
"""Precision and recall of what is shown at the score threshold, counted by hand."""

from dataclasses import replace

import numpy as np

from sphmask_core.evaluation.detections import Detections, add, detections
from sphmask_core.evaluation.metrics import ScanResult
from sphmask_core.evaluation.protocol import Protocol

OBJECT = 1
SEMANTIC = np.array([1] * 10 + [1] * 10 + [0] * 10 + [-100] * 10 + [1] * 2)
INSTANCE = np.array([0] * 10 + [1] * 10 + [-100] * 20 + [2] * 2)


def scan(*masks, scores):
    rows = np.zeros((len(masks), len(SEMANTIC)), bool)
    for row, (first, end) in zip(rows, masks, strict=True):
        row[first:end] = True
    return ScanResult(rows, np.array(scores), np.zeros(len(masks), int), SEMANTIC, INSTANCE)


def count(*masks, scores):
    return detections(scan(*masks, scores=scores), OBJECT, min_score=0.5, min_region=5)


def test_right_wrong_and_hidden():
    counts = count((0, 9), (12, 20), (20, 30), scores=[0.9, 0.4, 0.8])
    assert counts == Detections(hits=1, shown=2, objects=2)
    assert (counts.precision, counts.recall) == (0.5, 0.5)


def test_an_object_is_found_once():
    assert count((0, 10), (0, 9), scores=[0.9, 0.8]) == Detections(1, 2, 2)


def test_what_nobody_labeled_and_what_is_too_small_does_not_count():
    assert count((30, 40), (40, 42), scores=[0.9, 0.9]) == Detections(0, 0, 2)


def test_nothing_shown():
    assert count(scores=[]) == Detections(0, 0, 2) and count(scores=[]).precision == 1.0


def test_scenes_add_up():
    assert add([Detections(1, 2, 3), Detections(4, 5, 6)]) == Detections(5, 7, 9)
    assert add([]) == Detections(0, 0, 0)


def test_strict_precision_counts_answers_on_the_background():
    """A surer answer on the background is as wrong as one on a part of an object."""
    right, unlabeled = (0, 10), (30, 40)
    background = scan((20, 30), right, unlabeled, scores=[0.9, 0.8, 0.7])
    part = scan((10, 14), right, scores=[0.9, 0.8])
    assert ap50(background, strict=False) == 0.5
    assert ap50(background, strict=True) == ap50(part, strict=False) < 0.5


def ap50(answers, strict):
    """Of answers for two objects of ten points; the classes of a protocol without classes begin at 2."""
    shifted = replace(answers, semantic=np.where(SEMANTIC >= 0, SEMANTIC + 1, SEMANTIC))
    protocol = Protocol(min_region=4, strict=strict)
    return protocol.precision([protocol.table(shifted)]).mean.ap50
