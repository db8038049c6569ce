"""What people's data may be asked for: `configs/purposes.yaml`."""

from __future__ import annotations

from typing import TYPE_CHECKING

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from mdm.errors import ConfigurationError
from mdm.registries.yaml_source import read_yaml

if TYPE_CHECKING:
    from pathlib import Path


class Purpose(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    vi: str
    en: str
    legal_basis: str = Field("", description="The law or decree that allows it")


_PURPOSES = TypeAdapter(dict[str, Purpose])


def load_purposes(path: Path) -> dict[str, Purpose]:
    """By code. Raises ConfigurationError where the file cannot be read or is empty."""
    source = read_yaml(path)
    try:
        purposes = _PURPOSES.validate_python(source.data)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigurationError(first["msg"], where=source.where(tuple(first["loc"]))) from error
    if not purposes:
        raise ConfigurationError(
            "no purpose is declared", where=str(path), hint="Without one nobody may ask."
        )
    return purposes
