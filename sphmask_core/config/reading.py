# SPDX-License-Identifier: Apache-2.0
"""Configurations from YAML and from plain values, every key known and every value of its type."""

from __future__ import annotations

import dataclasses
import difflib
import re
import reprlib
import typing
from pathlib import Path
from typing import Any, Literal

import yaml

from sphmask_core.config.old_keys import modernize
from sphmask_core.config.preset import Config
from sphmask_core.config.ranges import ConfigError
from sphmask_core.runtime.wording import one_line

_PACKAGE = Path(__file__).resolve().parent.parent
PRESET_DIR = _PACKAGE / "presets" if (_PACKAGE / "presets").is_dir() else _PACKAGE.parent / "config"
"""Folder of an installed package, or of a checkout, where the node's parameters lie beside the presets."""
NODE_PARAMETERS = "segment_node"
MAX_TEXT = 1 << 20
MAX_DEPTH = 16
MAX_SCALAR = 1000
"""Characters of a text, nodes around a node, and characters of a value: far beyond every preset's."""
LARGEST_INTEGER = 2**63 - 1
"""That C++ and torch can hold."""


class _Loader(yaml.SafeLoader):
    """YAML 1.1 as PyYAML reads it, but 1e-3 is a number as in YAML 1.2, and nothing is larger than its text.

    Aliases, of which a few lines can make billions of values, deep nesting and endless numbers are refused.
    """

    depth = 0

    def compose_node(self, parent: Any, index: Any) -> Any:
        """Returns a node of the text; raises YAMLError for an alias, a long value, and nodes too deep in
        others."""
        if self.check_event(yaml.AliasEvent):
            raise yaml.YAMLError("aliases (*name) are not used in configurations; write the value out")
        if self.check_event(yaml.ScalarEvent) and len(self.peek_event().value) > MAX_SCALAR:
            raise yaml.YAMLError(f"a value has more than {MAX_SCALAR} characters")
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise yaml.YAMLError(f"nested more than {MAX_DEPTH} deep")
        node = super().compose_node(parent, index)
        self.depth -= 1
        return node


_Loader.yaml_implicit_resolvers = {
    first: list(resolvers) for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(
    "tag:yaml.org,2002:float", re.compile(r"[-+]?(\d+\.?\d*|\.\d+)[eE][-+]?\d+"), list("-+.0123456789")
)


def parse_yaml(text: str) -> Any:
    """Returns plain values of a YAML text; raises yaml.YAMLError, for whatever is wrong with it."""
    if len(text) > MAX_TEXT:
        raise yaml.YAMLError(f"longer than {MAX_TEXT} characters")
    try:
        return yaml.load(text, _Loader)
    except yaml.YAMLError:
        raise
    except Exception as error:  # of PyYAML's constructors: no such date, `!!bool maybe`, `!!int ""`
        raise yaml.YAMLError(str(error) or type(error).__name__) from None


def preset_names() -> list[str]:
    """Returns the names of the presets, sorted."""
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
        with path.open(encoding="utf-8") as file:
            values = parse_yaml(file.read(MAX_TEXT + 1)) or {}
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path}: not YAML ({one_line(error)})") from None
    if not isinstance(values, dict):
        raise ConfigError(f"{path}: a configuration is a mapping of keys to values")
    config = from_dict({"name": path.stem, **values})
    if not config.semantic_classes:
        raise ConfigError(
            f"{path}: names no semantic_classes; see {PRESET_DIR / 'tabletop.yaml'} for all keys"
        )
    return config


def from_dict(values: dict[str, Any]) -> Config:
    """Build a Config from nested plain values, as YAML and weight files store it."""
    return typing.cast(Config, _build(Config, modernize(values), ""))


def to_dict(config: Config) -> dict[str, Any]:
    """Returns nested plain values, the inverse of `from_dict`."""
    return dataclasses.asdict(config)


def shown(value: Any) -> str:
    """Returns a value in a message: a few words of it, however large it is."""
    return reprlib.repr(value)


def _build(cls: type, values: Any, prefix: str) -> Any:
    if not isinstance(values, dict):
        raise ConfigError(f"{prefix.rstrip('.')}: expected a mapping, got {shown(values)}")
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
    if isinstance(value, int) and abs(value) > LARGEST_INTEGER:
        raise ConfigError(f"{key}: {shown(value)} is too large a number")
    if hint is float and isinstance(value, (int, float)) and not isinstance(value, bool):
        return float(value)
    if type(value) is not hint:
        raise ConfigError(f"{key}: expected {hint.__name__}, got {shown(value)}")
    return value


def _one_of(choices: tuple[Any, ...], value: Any, key: str) -> Any:
    if value not in choices:
        raise ConfigError(f"{key}: must be one of {', '.join(map(str, choices))}, not {shown(value)}")
    return value


def _tuple(hints: tuple[Any, ...], value: Any, key: str) -> tuple[Any, ...]:
    if not isinstance(value, (list, tuple)):
        raise ConfigError(f"{key}: expected a list, got {shown(value)}")
    if Ellipsis not in hints and len(value) != len(hints):
        raise ConfigError(f"{key}: expected {len(hints)} values, got {len(value)}")
    return tuple(_coerce(hints[0], item, f"{key}[{i}]") for i, item in enumerate(value))
