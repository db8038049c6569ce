"""Faults of a declaration, told with the line, the key and what is expected."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Any

from mdm.errors import ConfigurationError
from mdm.registries.attributes import SSN
from mdm.registries.record_mapping import ADDRESS, AddressMapping, RecordMapping

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from pydantic import BaseModel, ValidationError
    from pydantic_core import ErrorDetails

    from mdm.registries.declaration import RegistryDeclaration
    from mdm.registries.source import SourceDeclaration
    from mdm.registries.yaml_source import KeyPath, YamlSource

Fault = tuple["KeyPath", str, str]
SHOWN = 8


def from_pydantic(
    source: YamlSource, error: ValidationError, *, model: type[BaseModel]
) -> ConfigurationError:
    keys = _all_keys(model)
    faults: dict[KeyPath, Fault] = {}
    for details in error.errors(include_url=False):
        path = _written_path(source.data, details["loc"])
        # A union tells each alternative's complaint: the one that reached deepest is the useful one.
        message, hint = _told(details, keys)
        faults[path] = (path, message, hint) if path not in faults or hint else faults[path]
    return configuration_error(
        source, [fault for path, fault in faults.items() if not _is_prefix(path, faults)]
    )


def configuration_error(source: YamlSource, faults: Iterable[Fault]) -> ConfigurationError:
    listed = sorted(faults, key=lambda fault: source.line(fault[0]))
    lines = [
        f"{source.where(path)} ({dotted(path)}): {message} {hint}".rstrip()
        for path, message, hint in listed[1:SHOWN]
    ]
    path, message, hint = listed[0]
    more = [f"and {len(listed) - SHOWN} more"] if len(listed) > SHOWN else []
    return ConfigurationError(
        message,
        where=f"{source.where(path)} ({dotted(path)})",
        hint="\n".join([hint, *lines, *more]).strip("\n"),
    )


def cross_faults(declaration: RegistryDeclaration) -> Iterator[Fault]:
    """What no single key can show: names that must exist elsewhere."""
    known = {**declaration.attributes.person, **declaration.attributes.household}
    for name in declaration.trust:
        if name not in known and name not in {"default", ADDRESS}:
            yield ("trust", name), f"`{name}` is not a canonical attribute", suggestion(name, known)
    for index, name in enumerate(declaration.reads):
        if name not in known and name != SSN:
            message = f"`{name}` is neither a canonical attribute nor `{SSN}`"
            yield ("reads", index), message, suggestion(name, {*known, SSN})
    names = [source.name for source in declaration.sources]
    for index, source in enumerate(declaration.sources):
        here = ("sources", index)
        if names.index(source.name) != index:
            yield (*here, "name"), f"source `{source.name}` is declared twice", ""
        yield from _lookup_faults(source, names, here)
        for position, record in enumerate(source.records):
            at = (*here, "records", position)
            if isinstance(record, RecordMapping):
                yield from _attribute_faults(record, declaration, at)
            elif record.columns.attribute not in declaration.attributes.person:
                name = record.columns.attribute
                yield (
                    (*at, "columns", "attribute"),
                    f"`{name}` is not a canonical attribute",
                    suggestion(name, declaration.attributes.person),
                )


def _lookup_faults(source: SourceDeclaration, names: list[str], here: KeyPath) -> Iterator[Fault]:
    looked_up = {lookup.source for lookup in source.lookup}
    for position, lookup in enumerate(source.lookup):
        if lookup.source not in names or lookup.source == source.name:
            yield (
                (*here, "lookup", position, "source"),
                f"`{lookup.source}` is not another source of this registry",
                suggestion(lookup.source, names),
            )
    for column in source.columns_used():
        prefix = column.partition(".")[0]
        if "." in column and prefix in names and prefix not in looked_up and prefix != source.name:
            yield (*here, "lookup"), f"column `{column}` needs a lookup of source `{prefix}`", ""


def _attribute_faults(
    record: RecordMapping, declaration: RegistryDeclaration, at: KeyPath
) -> Iterator[Fault]:
    known = declaration.attributes.of(record.kind)
    for name, mapping in record.columns.items():
        path = (*at, "columns", name)
        if isinstance(mapping, AddressMapping) != (name == ADDRESS):
            parts = ", ".join(AddressMapping.model_fields)
            yield (
                path,
                f"`{name}` cannot be mapped so",
                f"Only `address` has the parts {parts}, and needs one.",
            )
        elif name != ADDRESS and name not in known:
            yield (
                path,
                f"`{name}` is not a canonical attribute of a {record.kind}",
                suggestion(name, [*known, ADDRESS]),
            )
        elif not isinstance(mapping, AddressMapping) and mapping.split and not known[name].many:
            yield (
                (*path, "split"),
                f"`{name}` holds one value",
                "Only attributes with `many: true` can be split.",
            )
    for listed in ("required", "valid"):
        for name in getattr(record, listed):
            if name not in record.columns:
                yield (*at, listed), f"`{name}` is not among the columns", suggestion(name, record.columns)


def suggestion(name: str, known: Iterable[str]) -> str:
    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.6)
    return f"Did you mean `{near[0]}`?" if near else ""


def dotted(path: KeyPath) -> str:
    return (
        "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in path).lstrip(".")
        or "top level"
    )


def _told(details: ErrorDetails, keys: set[str]) -> tuple[str, str]:
    last = str(details["loc"][-1]) if details["loc"] else ""
    match details["type"]:
        case "extra_forbidden":
            return f"key `{last}` is not known", suggestion(last, keys)
        case "missing":
            return f"key `{last}` is missing", ""
        case "value_error":
            return details["msg"].removeprefix("Value error, "), ""
        case _:
            return details["msg"], ""


def _written_path(data: Any, loc: tuple[int | str, ...]) -> KeyPath:
    """The part of pydantic's location that is written in the file: names of union members are left out."""
    path: list[int | str] = []
    for part in loc:
        in_list = isinstance(data, list) and isinstance(part, int) and part < len(data)
        if in_list or (isinstance(data, dict) and part in data):
            data = data[part]
            path.append(part)
    return tuple(path)


def _is_prefix(path: KeyPath, others: Iterable[KeyPath]) -> bool:
    return any(len(other) > len(path) and other[: len(path)] == path for other in others)


def _all_keys(model: type[BaseModel]) -> set[str]:
    schema = model.model_json_schema(by_alias=True)
    parts = [schema, *schema.get("$defs", {}).values()]
    return {key for part in parts for key in part.get("properties", {})}
