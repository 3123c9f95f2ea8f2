# SPDX-License-Identifier: Apache-2.0
"""The tables of published settings in docs/recipes.md: where they say *equal*, the presets are equal."""

import re
from functools import reduce
from pathlib import Path

import pytest

from sphmask_core.config import load_config

RECIPES = Path(__file__).resolve().parents[2] / "docs" / "recipes.md"
DATA_SETS = ("ScanNetV2", "ScanNet200", "S3DIS", "STPLS3D")
KEY = re.compile(r"`((?:[a-z]+)?(?:\.[a-z_]+)+)`")
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-\d+)?")
OURS = {
    "with_coords": ["model.with_coords"],
    "radius_scale": ["model.radius_scale", "model.neighbors"],
    "iterative_sampling": ["inference.iterative_sampling"],
}
"""Our keys of rows that name none, by the published one."""
WORDS = {"yes": (1.0,), "no": (0.0,), "none": ()}
IN_WORDS = ("`semantic_weight`", "`x4_split`")
"""Rows whose cells say something else than the numbers of the presets; test_presets looks at these."""


def rows():
    """Name, keys of ours and one cell for each data set, of every row that says that ours are equal."""
    section = ""
    for line in RECIPES.read_text().splitlines():
        name, *cells = [cell.strip() for cell in line.strip("|").split("|")]
        if len(cells) != len(DATA_SETS) + 1 or not cells[-1].startswith("equal"):
            continue
        keys = KEY.findall(cells[-1].split(";")[0])
        if keys and not keys[0].startswith("."):
            section = keys[0].rpartition(".")[0]
        keys = [section + key if key.startswith(".") else key for key in keys]
        names = re.findall(r"`(\w+)`", name)
        yield name, keys or OURS.get(" ".join(names[:1]), []), cells[:-1]


def published(cell, first):
    """The numbers of a cell: those after the last `=`; "equal" and "the same" mean the first data set's."""
    cell = first if cell in ("equal", "the same") else cell
    return WORDS.get(cell) or tuple(float(number) for number in NUMBER.findall(cell.split("=")[-1]))


def setting(preset, key):
    """The value of a preset's setting."""
    return reduce(getattr, key.split("."), load_config(preset))


def numbers(value):
    """A setting as numbers; what is neither a number nor a list of these has none."""
    if isinstance(value, tuple):
        return tuple(float(item) for item in value)
    return (float(value),) if isinstance(value, bool | int | float) else None


ROWS = [
    pytest.param(keys, cells, id=name)
    for name, keys, cells in rows()
    if keys and name not in IN_WORDS and None not in [numbers(setting("scannetv2", key)) for key in keys]
]


def test_the_tables_are_read():
    assert len(ROWS) >= 20


@pytest.mark.parametrize(("keys", "cells"), ROWS)
def test_presets_are_as_published(keys, cells):
    for data_set, cell in zip(DATA_SETS, cells, strict=True):
        ours = [number for key in keys for number in numbers(setting(data_set.lower(), key))]
        assert tuple(ours) == published(cell, cells[0]), data_set
