# SPDX-License-Identifier: Apache-2.0
"""Configurations from YAML and from plain values, every key known and every value of its type."""

from __future__ import annotations

import dataclasses
import difflib
import re
import typing
from pathlib import Path
from typing import Any, Literal

import yaml

from sphmask_core.config.old_keys import modernize
from sphmask_core.config.preset import Config
from sphmask_core.config.ranges import ConfigError

_PACKAGE = Path(__file__).resolve().parent.parent
PRESET_DIR = _PACKAGE / "presets" if (_PACKAGE / "presets").is_dir() else _PACKAGE.parent / "config"
"""Of an installed package, or of a checkout, where the node's parameters lie beside the presets."""
NODE_PARAMETERS = "segment_node"


class _Loader(yaml.SafeLoader):
    """YAML 1.1 as PyYAML reads it, but 1e-3 is a number, as in YAML 1.2."""


_Loader.yaml_implicit_resolvers = {
    first: list(resolvers) for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+"), list("-+.0123456789")
)


def parse_yaml(text: str) -> Any:
    """Plain values of a YAML text; raises yaml.YAMLError."""
    return yaml.load(text, _Loader)


def preset_names() -> list[str]:
    """Names of the presets, sorted."""
    return sorted({path.stem for path in PRESET_DIR.glob("*.yaml")} - {NODE_PARAMETERS})


def load_config(source: str | Path) -> Config:
    """Read a preset by name (`tabletop`) or by path; every key must be known."""
    path = Path(source)
    if path.suffix not in (".yaml", ".yml"):
        path = PRESET_DIR / f"{source}.yaml"
    if not path.is_file():
        presets = ", ".join(preset_names())
        raise ConfigError(f"{source}: no such configuration; give a .yaml file or one of: {presets}")
    try:
        values = parse_yaml(path.read_text()) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML ({' '.join(str(error).split())[:120]})") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: a configuration is a mapping of keys to values")
    return from_dict({"name": path.stem, **values})


def from_dict(values: dict[str, Any]) -> Config:
    """Build a Config from nested plain values, as YAML and weight files store it."""
    return typing.cast(Config, _build(Config, modernize(values), ""))


def to_dict(config: Config) -> dict[str, Any]:
    """Nested plain values, the inverse of `from_dict`."""
    return dataclasses.asdict(config)


def _build(cls: type, values: Any, prefix: str) -> Any:
    if not isinstance(values, dict):
        raise ConfigError(f"{prefix.rstrip('.')}: expected a mapping, got {values!r}")
    hints = typing.get_type_hints(cls)
    unknown = sorted(map(str, set(values) - set(hints)))
    if unknown:
        near = difflib.get_close_matches(str(unknown[0]), hints, 1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise ConfigError(f"{prefix}{unknown[0]}: unknown key; {hint}known: {', '.join(hints)}")
    return cls(**{key: _coerce(hints[key], value, prefix + key) for key, value in values.items()})


def _coerce(hint: Any, value: Any, key: str) -> Any:
    if dataclasses.is_dataclass(hint):
        return _build(typing.cast(type, hint), value, key + ".")
    origin = typing.get_origin(hint)
    if origin is Literal:
        return _one_of(typing.get_args(hint), value, key)
    if origin is tuple:
        return _tuple(typing.get_args(hint), value, key)
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise ConfigError(f"{key}: expected {hint.__name__}, got {value!r}")
    return value


def _one_of(choices: tuple[Any, ...], value: Any, key: str) -> Any:
    if value not in choices:
        raise ConfigError(f"{key}: must be one of {', '.join(map(str, choices))}, not {value!r}")
    return value


def _tuple(hints: tuple[Any, ...], value: Any, key: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{key}: expected a list, got {value!r}")
    if Ellipsis not in hints and len(value) != len(hints):
        raise ConfigError(f"{key}: expected {len(hints)} values, got {len(value)}")
    return tuple(_coerce(hints[0], item, f"{key}[{i}]") for i, item in enumerate(value))
