"""The canonical attributes that a registry may map its columns onto (configs/attributes.yaml)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from matching.standardise.types import VALUE_TYPES
from mdm.errors import ConfigurationError
from mdm.registries.yaml_source import read_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

SSN = "ssn"
"""The social-security number, beside golden attributes among what a registry may read."""
RecordKind = Literal["person", "household"]


class Attribute(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    type: str
    many: bool = False
    group: str | None = None
    alias: str | None = None
    made: bool = False
    """The engine makes it of other records; no registry maps a column onto it."""
    vi: str
    en: str


class Attributes(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    person: dict[str, Attribute]
    household: dict[str, Attribute] = {}

    def of(self, kind: RecordKind) -> Mapping[str, Attribute]:
        """What records of a kind hold."""
        return {name: attribute for name, attribute in self.golden(kind).items() if not attribute.made}

    def golden(self, kind: RecordKind) -> Mapping[str, Attribute]:
        """What golden records of a kind hold."""
        return self.person if kind == "person" else self.household


def load_attributes(path: Path) -> Attributes:
    source = read_yaml(path)
    try:
        attributes = Attributes.model_validate(source.data)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigurationError(first["msg"], where=source.where(tuple(first["loc"]))) from error
    for kind in ("person", "household"):
        for name, attribute in attributes.golden(kind).items():
            if attribute.type not in VALUE_TYPES:
                raise ConfigurationError(
                    f"type `{attribute.type}` is not known",
                    where=source.where((kind, name, "type")),
                    hint=f"Known types: {', '.join(sorted(VALUE_TYPES))}.",
                )
    return attributes
