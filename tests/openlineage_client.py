"""Events rebuilt by the classes of `openlineage-python`, which are generated from the specification's JSON schemas."""

import importlib
import pkgutil
import typing
from enum import Enum
from types import UnionType

import attr
from openlineage.client import generated
from openlineage.client.event_v2 import RunEvent
from openlineage.client.serde import Serde

_MODULES = [
    importlib.import_module(f"openlineage.client.generated.{module.name}")
    for module in pkgutil.iter_modules(generated.__path__)
]
_CLASSES = [kind for module in _MODULES for kind in vars(module).values() if attr.has(kind)]
_BY_ADDRESS = {kind._get_schema(): kind for kind in _CLASSES if hasattr(kind, "_get_schema")}
_CONDITIONS = {"partition": "PartitionSubsetCondition"}


def told_by_the_client(event):
    """The event as the client would write it; an unknown or missing field, or a facet of an unknown schema, is an error."""
    return without_empty(Serde.to_dict(_rebuilt(RunEvent, event)))


def without_empty(value):
    if isinstance(value, dict):
        plain = {name: without_empty(part) for name, part in value.items()}
        return {name: part for name, part in plain.items() if part not in (None, {}, [])}
    return [without_empty(part) for part in value] if isinstance(value, list) else value


def _rebuilt(kind, value):
    origin, parts = typing.get_origin(kind), typing.get_args(kind)
    if origin in (typing.Union, UnionType):
        return _rebuilt(_chosen([part for part in parts if part is not type(None)], value), value)
    if origin is list:
        return [_rebuilt(parts[0], part) for part in value]
    if origin is dict:
        return {name: _rebuilt(_facet(parts[1], part), part) for name, part in value.items()}
    if attr.has(kind):
        return _object(kind, value)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(value)
    assert kind is typing.Any or isinstance(value, kind), (kind, value)
    return value


def _object(kind, value):
    hints = typing.get_type_hints(kind)
    fields = {field.name: field for field in attr.fields(kind)}
    assert value.keys() <= fields.keys(), f"{kind.__name__} has no {value.keys() - fields.keys()}"
    made = kind(
        **{
            field.alias: _rebuilt(hints[name], value[name])
            for name, field in fields.items()
            if field.init and name in value
        }
    )
    for name in ("schemaURL", "_schemaURL"):
        assert value.get(name) == getattr(made, name, None)
    return made


def _facet(kind, value):
    """A facet's class is named by the address of its schema, and must be of the sort that its place asks for."""
    if not (attr.has(kind) and isinstance(value, dict) and "_schemaURL" in value):
        return kind
    found = _BY_ADDRESS[value["_schemaURL"]]
    assert issubclass(found, kind), (found, kind)
    return found


def _chosen(kinds, value):
    if len(kinds) == 1:
        return kinds[0]
    (found,) = [kind for kind in kinds if kind.__name__ == _CONDITIONS[value["type"]]]
    return found
