# SPDX-License-Identifier: Apache-2.0
"""Configurations made to break their reader: one line each, at once."""

import pytest

from sphmask_core.config.overrides import override
from sphmask_core.config.ranges import ConfigError
from sphmask_core.config.reading import load_config

LAUGHS = "a0: &a0 [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 9)}]\n" for i in range(1, 9)
)
TEXTS = {
    "billion laughs": (LAUGHS + "voxel_size: *a8\n", "aliases"),
    "deep": ("voxel_size: " + "[" * 5000, "nested more than 16 deep"),
    "long number": ("voxel_size: " + "9" * 400, "too large a number"),
    "longer number": ("voxel_size: 0x" + "f" * 9000, "more than 1000 characters"),
    "mixed keys": ("{1: a, name: b, 2.5: c, null: d}", "unknown key"),
    "no date": ("voxel_size: 2026-99-99", "not YAML"),
    "date": ("voxel_size: 2026-01-01", "expected float"),
    "no bool": ("voxel_size: !!bool maybe", "not YAML"),
    "no integer": ('voxel_size: !!int ""', "not YAML"),
    "long": ("#" * (1 << 21), "longer than"),
    "empty": ("", "names no semantic_classes"),
    "list as key": ("? [1, 2]\n: 3", "not YAML"),
    "large value": ("voxel_size: [" + "1, " * 9999 + "1]", "expected float"),
    "tag": ("voxel_size: !!python/object/apply:os.system [ls]", "not YAML"),
}


@pytest.mark.parametrize("name", TEXTS)
def test_a_hostile_configuration_is_one_line(tmp_path, name):
    text, says = TEXTS[name]
    path = tmp_path / "a.yaml"
    path.write_text(text)
    with pytest.raises(ConfigError) as caught:
        load_config(path)
    assert says in str(caught.value)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 2000


@pytest.mark.parametrize(
    "value", ["9" * 400, "[" * 5000, "&a [*a]", "!!bool maybe", "2026-99-99", "0x" + "f" * 9000]
)
def test_a_hostile_setting_is_one_line(value):
    with pytest.raises(ConfigError) as caught:
        override(load_config("tabletop"), [f"voxel_size={value}"])
    assert "\n" not in str(caught.value)
