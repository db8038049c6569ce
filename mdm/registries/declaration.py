"""A registry as declared in configs/registries/<code>.yaml."""

from __future__ import annotations

import hashlib
import json
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, PrivateAttr, ValidationError, ValidationInfo, model_validator

from mdm.errors import ConfigurationError
from mdm.registries.attributes import Attributes, load_attributes
from mdm.registries.faults import configuration_error, cross_faults, from_pydantic
from mdm.registries.record_mapping import Model, OrOne, listed
from mdm.registries.source import SourceDeclaration  # noqa: TC001  pydantic reads it at run time
from mdm.registries.yaml_source import YamlSource, parse_yaml, read_yaml

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Share = Annotated[float, Field(ge=0, le=1)]
Holding = Literal["people", "households", "events"]
SCHEMA_LINE = "# yaml-language-server: $schema=schema.json"


class Bilingual(Model):
    vi: str
    en: str


class RegistryDeclaration(Model):
    code: str = Field(pattern=r"^[a-z][a-z0-9_]{0,39}$")
    name: Bilingual
    owner: Bilingual
    legal_basis: str = ""
    holds: Annotated[list[Holding], BeforeValidator(listed), OrOne()] = Field(min_length=1)
    anchor: bool = Field(default=False, description="True only for the population database")
    duplicate_free: bool = Field(
        default=False, description="Two records of this registry are never the same person"
    )
    sensitivity: Literal["normal", "sensitive", "sealed"] = "normal"
    trust: dict[str, Share] = Field(description="0 to 1 by attribute; `default` for the others")
    reads: list[str] = Field(
        default_factory=list,
        description="Golden attributes, and `ssn`, that this registry may read of a person; always ID and status",
    )
    sources: list[SourceDeclaration] = Field(min_length=1)

    _attributes: Attributes = PrivateAttr()

    @property
    def attributes(self) -> Attributes:
        """The canonical attributes this declaration was checked against."""
        return self._attributes

    def source(self, name: str) -> SourceDeclaration:
        return next(source for source in self.sources if source.name == name)

    def trust_in(self, attribute: str) -> float:
        return self.trust.get(attribute, self.trust["default"])

    @model_validator(mode="after")
    def _default_trust(self, info: ValidationInfo) -> Self:
        if "default" not in self.trust:
            raise ValueError("trust needs `default`")
        if not info.context:
            raise ValueError("a declaration is read by load_registry, which knows the canonical attributes")
        self._attributes = info.context["attributes"]
        return self


def load_registry(path: Path, *, attributes: Attributes | None = None) -> RegistryDeclaration:
    """Read and check one declaration. Canonical attributes default to `attributes.yaml` a folder above."""
    return check_declaration(read_yaml(path), attributes=attributes or _attributes_beside(path.parent))


def load_registries(folder: Path, *, attributes: Attributes | None = None) -> dict[str, RegistryDeclaration]:
    """All declarations of a folder by code, in order of code."""
    known = attributes or _attributes_beside(folder)
    registries: dict[str, RegistryDeclaration] = {}
    for path in sorted(folder.glob("*.yaml")):
        declaration = load_registry(path, attributes=known)
        if declaration.code != path.stem:
            raise ConfigurationError(
                f"code `{declaration.code}` must equal the file's name",
                where=str(path),
                hint=f"Expected {path.stem}.",
            )
        registries[declaration.code] = declaration
    return registries


def sealed_codes(registries: Mapping[str, RegistryDeclaration]) -> frozenset[str]:
    """Registries of which even membership is a secret."""
    return frozenset(code for code, declared in registries.items() if declared.sensitivity == "sealed")


def parse_registry(text: str, *, name: str, attributes: Attributes) -> RegistryDeclaration:
    """Check a declaration that is not (yet) in a file."""
    return check_declaration(parse_yaml(text, name=name), attributes=attributes)


def declaration_hash(declaration: RegistryDeclaration) -> str:
    """SHA-256 of what the declaration says of its records, whatever its layout and comments.

    What the registry may read of others does not count: a right that is given or taken back is no reason to match anew.
    """
    said = declaration.model_dump(mode="json", by_alias=True, exclude={"reads"})
    types = declaration.attributes.model_dump(mode="json", exclude={"person": {"__all__": {"vi", "en"}}})
    text = json.dumps([said, types], sort_keys=True, ensure_ascii=False, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()


def json_schema() -> dict[str, Any]:
    """JSON Schema of a declaration, for an editor to complete and check it."""
    schema = RegistryDeclaration.model_json_schema(by_alias=True)
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", **schema}


def write_json_schema(path: Path) -> None:
    path.write_text(json.dumps(json_schema(), indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _attributes_beside(folder: Path) -> Attributes:
    return load_attributes(folder.parent / "attributes.yaml")


def check_declaration(source: YamlSource, *, attributes: Attributes) -> RegistryDeclaration:
    try:
        declaration = RegistryDeclaration.model_validate(source.data, context={"attributes": attributes})
    except ValidationError as error:
        raise from_pydantic(source, error, model=RegistryDeclaration) from error
    faults = list(cross_faults(declaration))
    if faults:
        raise configuration_error(source, faults)
    return declaration
