# SPDX-License-Identifier: Apache-2.0
"""Submissions for ScanNet's server: what is written, and every fault that the checker must see."""

from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sphmask_core.evaluation.submission import Submission, check

LABEL_IDS = [3, 4, 39]
VERTICES = 12


@pytest.fixture
def folder(tmp_path):
    """One scan with two instances, and one with none."""
    write(tmp_path, "scene0707_00", np.eye(2, VERTICES, dtype=bool))
    write(tmp_path, "scene0708_00", np.zeros((0, VERTICES), bool))
    return tmp_path


def write(folder, scan, masks, class_ids=None):
    instances = SimpleNamespace(
        class_ids=np.arange(len(masks)) if class_ids is None else class_ids,
        scores=np.linspace(0.9, 0.1, len(masks)),
        labels=np.zeros(masks.shape[1]),
        points=lambda i: np.flatnonzero(masks[i]),
    )
    Submission(folder, LABEL_IDS).write(scan, instances)


def problems(folder):
    return check(folder, {"scene0707_00": VERTICES, "scene0708_00": VERTICES}, LABEL_IDS)


def test_format(folder):
    """Byte for byte what the benchmark's documentation shows."""
    assert (folder / "scene0707_00.txt").read_text() == (
        "predicted_masks/scene0707_00_000.txt 3 0.900000\npredicted_masks/scene0707_00_001.txt 4 0.100000\n"
    )
    assert (folder / "predicted_masks/scene0707_00_001.txt").read_text() == "0\n1\n" + "0\n" * 10
    assert (folder / "scene0708_00.txt").read_text() == ""
    assert problems(folder) == []


@settings(max_examples=30, deadline=None)
@given(st.integers(0, 10**6), st.integers(1, 60), st.integers(0, 4))
def test_masks_come_back(tmp_path_factory, seed, vertices, count):
    rng = np.random.default_rng(seed)
    masks = rng.random((count, vertices)) < 0.5
    masks[:, 0] = True
    folder = tmp_path_factory.mktemp("submission")
    write(folder, "scan", masks, rng.integers(0, 3, count))
    assert check(folder, {"scan": vertices}, LABEL_IDS) == []
    for line, mask in zip((folder / "scan.txt").read_text().splitlines(), masks, strict=True):
        np.testing.assert_array_equal(np.loadtxt(folder / line.split()[0], ndmin=1), mask)


def edit(path, old, new):
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


LIST, MASK = "scene0707_00.txt", "predicted_masks/scene0707_00_000.txt"
FAULTS = {
    "no list": (lambda f: (f / LIST).unlink(), "scene0707_00.txt: missing"),
    "other scan": (lambda f: (f / "scene0000_00.txt").touch(), "scene0000_00.txt: no scan of this split"),
    "two words": (lambda f: edit(f / LIST, " 0.900000", ""), "line 1: is not <mask> <class> <confidence>"),
    "wall": (lambda f: edit(f / LIST, " 3 ", " 1 "), "line 1: class 1 is none of the benchmark's"),
    "a name for a class": (lambda f: edit(f / LIST, " 3 ", " bed "), "class bed is none"),
    "nan": (lambda f: edit(f / LIST, "0.900000", "nan"), "confidence nan is no number"),
    "word": (lambda f: edit(f / LIST, "0.900000", "high"), "confidence high is no number"),
    "mask elsewhere": (lambda f: edit(f / LIST, "predicted_masks/", "../"), "not in a folder below"),
    "mask at the root": (lambda f: edit(f / LIST, "predicted_masks/", ""), "not in a folder below"),
    "no mask": (lambda f: (f / MASK).unlink(), "line 1: mask scene0707_00_000.txt is missing"),
    "same mask": (lambda f: edit(f / LIST, "_001.txt", "_000.txt"), "line 2: its mask is named twice"),
    "short mask": (lambda f: edit(f / MASK, "0\n", ""), "has 11 lines, the scan 12 vertices"),
    "empty mask": (lambda f: edit(f / MASK, "1", "0"), "is empty"),
    "other numbers": (lambda f: edit(f / MASK, "0", "7"), "is not a 0 or 1 a line"),
    "one line": (lambda f: (f / MASK).write_text("1 0 0 0 0 0"), "is not a 0 or 1 a line"),
    "stray mask": (lambda f: (f / "predicted_masks/x.txt").touch(), "x.txt: no list names it"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_faults_are_named(folder, fault):
    spoil, message = FAULTS[fault]
    spoil(folder)
    assert any(message in line for line in problems(folder)), problems(folder)


def test_no_folder(tmp_path):
    assert check(tmp_path / "nowhere", {}, LABEL_IDS) == [f"{tmp_path / 'nowhere'}: no such folder"]
