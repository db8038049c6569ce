"""YAML read as plain text values, each with its place in the file.

Scalars keep the text as written: a code `01` stays "01" and `No` stays "No"; the declaration model decides types.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from ruamel.yaml import YAML
from ruamel.yaml.error import MarkedYAMLError, YAMLError
from ruamel.yaml.nodes import MappingNode, Node, ScalarNode, SequenceNode

from mdm.errors import ConfigurationError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

KeyPath = tuple[str | int, ...]

MAX_BYTES = 1_000_000


@dataclass(frozen=True, slots=True)
class YamlSource:
    """`places` maps a key path to its line and column, both from 1."""

    name: str
    data: dict[str, Any]
    places: Mapping[KeyPath, tuple[int, int]]

    def line(self, path: KeyPath) -> int:
        return next(
            (self.places[path[:n]][0] for n in range(len(path), -1, -1) if path[:n] in self.places), 0
        )

    def where(self, path: KeyPath) -> str:
        """The place of the nearest enclosing key that is written in the file."""
        for length in range(len(path), -1, -1):
            place = self.places.get(path[:length])
            if place is not None:
                return f"{self.name}:{place[0]}:{place[1]}"
        return self.name


def read_yaml(path: Path) -> YamlSource:
    try:
        content = path.read_bytes()
    except OSError as error:
        raise ConfigurationError(f"cannot be read: {error.strerror}", where=str(path)) from error
    if len(content) > MAX_BYTES:
        raise ConfigurationError("is larger than 1 MB", where=str(path), hint="Is this a data file?")
    try:
        text = content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        raise ConfigurationError("is not UTF-8", where=f"{path}:{line}", hint="Save it as UTF-8.") from error
    return parse_yaml(text, name=str(path))


@lru_cache(maxsize=256)
def parse_yaml(text: str, *, name: str) -> YamlSource:
    """Of one text and name always the same object, which nobody changes: a server and a run read each file many times."""
    try:
        root = YAML(typ="rt", pure=True).compose(text)
    except MarkedYAMLError as error:
        mark = error.problem_mark
        where = f"{name}:{mark.line + 1}:{mark.column + 1}" if mark else name
        raise ConfigurationError(f"is not valid YAML: {error.problem}", where=where) from error
    except YAMLError as error:
        raise ConfigurationError("is not valid YAML", where=name) from error
    if not isinstance(root, MappingNode):
        raise ConfigurationError("must be a mapping of keys to values", where=f"{name}:1:1")
    places: dict[KeyPath, tuple[int, int]] = {}
    data = _plain(root, (), places, name)
    return YamlSource(name=name, data=data, places=places)


def _plain(node: Node, path: KeyPath, places: dict[KeyPath, tuple[int, int]], name: str) -> Any:
    places.setdefault(path, _place(node))
    if isinstance(node, ScalarNode):
        # A plain empty value is "nothing"; a quoted one is the empty text.
        return None if node.style is None and node.value in {"", "~", "null"} else node.value
    if isinstance(node, SequenceNode):
        return [_plain(item, (*path, index), places, name) for index, item in enumerate(node.value)]
    if isinstance(node, MappingNode):
        return _mapping(node, path, places, name)
    raise ConfigurationError("holds something that is not a value", where=f"{name}:{_place(node)[0]}")


def _mapping(
    node: MappingNode, path: KeyPath, places: dict[KeyPath, tuple[int, int]], name: str
) -> dict[str, Any]:
    merged: dict[str, Any] = {}
    own: dict[str, Any] = {}
    for key_node, value_node in node.value:
        line, column = _place(key_node)
        if not isinstance(key_node, ScalarNode):
            raise ConfigurationError("a key must be a plain word", where=f"{name}:{line}:{column}")
        key = key_node.value
        if key == "<<" and key_node.style is None:
            merged |= _plain(value_node, path, places, name)
            continue
        if key in own:
            raise ConfigurationError(f"key `{key}` is given twice", where=f"{name}:{line}:{column}")
        places[*path, key] = (line, column)
        own[key] = _plain(value_node, (*path, key), places, name)
    return merged | own


def _place(node: Node) -> tuple[int, int]:
    return node.start_mark.line + 1, node.start_mark.column + 1
