# SPDX-License-Identifier: Apache-2.0
"""Settings given on the command line, `section.key=value`; none is ever lost without a word."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from typing import Any

import yaml

from sphmask_core.config.old_keys import current_path
from sphmask_core.config.preset import Config
from sphmask_core.config.ranges import ConfigError
from sphmask_core.config.reading import from_dict, parse_yaml, to_dict
from sphmask_core.runtime.wording import one_line

SIMILAR = 0.5
"""Least similarity, in [0, 1], of a setting that is named in place of an unknown one."""


def override(config: Config, settings: Sequence[str]) -> Config:
    """Returns the configuration with settings `section.key=value` applied; values are YAML, the last one
    counts.

    Raises ConfigError for a setting that does not exist, and names the nearest that does.
    """
    values = to_dict(config)
    for setting in settings:
        path, separator, value = setting.partition("=")
        if not separator:
            raise ConfigError(f"--set {setting}: expected key=value, as in train.lr=0.001")
        section, key = _place(values, current_path(path.strip()), setting)
        section[key] = _value(value, setting)
    return from_dict(values)


def _place(values: dict[str, Any], path: str, setting: str) -> tuple[dict[str, Any], str]:
    """Returns the mapping that holds a setting, and its key there."""
    section: Any = values
    *parents, key = path.split(".")
    for parent in parents:
        section = section.get(parent) if isinstance(section, dict) else None
    if not isinstance(section, dict) or key not in section:
        raise ConfigError(f"--set {setting}: there is no setting {path}{_hint(values, path)}")
    if isinstance(section[key], dict):
        example = f"{path}.{next(iter(section[key]))}"
        raise ConfigError(f"--set {setting}: {path} is a section; set its keys one by one, as {example}=...")
    return section, key


def _value(text: str, setting: str) -> Any:
    try:
        return parse_yaml(text)
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        raise ConfigError(f"--set {setting[:60]}: the value is not YAML ({one_line(error)})") from None


def _hint(values: dict[str, Any], path: str) -> str:
    """Returns the existing setting that is most like an unknown one, as the end of a message."""
    known = list(_paths(values, ""))
    near = difflib.get_close_matches(path, known, 1, SIMILAR)
    near = near or [other for other in known if other.rpartition(".")[2] == path.rpartition(".")[2]]
    return f"; did you mean {min(near, key=len)}?" if near else ""


def _paths(section: dict[str, Any], prefix: str) -> Iterator[str]:
    """Gives the paths of all settings of nested sections."""
    for key, value in section.items():
        if isinstance(value, dict):
            yield from _paths(value, f"{prefix}{key}.")
        else:
            yield prefix + key
