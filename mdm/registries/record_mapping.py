"""What one row of a source yields: how its columns become canonical attributes of a record."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

import pyarrow as pa
import pyarrow.compute as pc
from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    Tag,
    WithJsonSchema,
    model_validator,
)

from matching.standardise.dates import check_formats
from matching.standardise.encodings import LEGACY_ENCODINGS

if TYPE_CHECKING:
    from pydantic import GetJsonSchemaHandler
    from pydantic.json_schema import JsonSchemaValue
    from pydantic_core import CoreSchema

MAX_PATTERN = 300
ADDRESS = "address"


def _compiled(pattern: str) -> str:
    """Patterns run in RE2, whose time is linear in the text whatever the pattern."""
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"a pattern may have at most {MAX_PATTERN} characters")
    try:
        pc.match_substring_regex(pa.array([""]), pattern)
    except pa.ArrowInvalid as error:
        raise ValueError(f"not a valid RE2 pattern: {error}") from error
    return pattern


def _one_group(pattern: str) -> str:
    compiled = re.compile(pattern)
    if compiled.groups != 1 or len(compiled.groupindex) != 1:
        raise ValueError(r"must have exactly one group, with a name: `(?P<number>\d+)`")
    return pattern


def _date_formats(formats: list[str]) -> list[str]:
    check_formats(formats)
    return formats


def _cell_encoding(name: str) -> str:
    if name not in {*LEGACY_ENCODINGS, "utf-8"}:
        raise ValueError(
            f"a cell's encoding is utf-8 or one of {', '.join(LEGACY_ENCODINGS)}; codecs are of files"
        )
    return name


# Values in YAML are read as written; an editor should not complain about a number.
Text = Annotated[str, WithJsonSchema({"type": ["string", "number", "boolean"]})]
Pattern = Annotated[str, AfterValidator(_compiled), Field(description="RE2 regular expression")]
CellEncoding = Annotated[str, AfterValidator(_cell_encoding)]
DateFormats = Annotated[list[str], Field(min_length=1), AfterValidator(_date_formats)]
GroupPattern = Annotated[Pattern, AfterValidator(_one_group)]
ColumnName = Annotated[str, Field(min_length=1, description="A column of the file, as its header says")]


def long_form(given: Any) -> Any:
    """`HoTen` is short for `{column: HoTen}`."""
    return {"column": given} if isinstance(given, str) else given


class OrText:
    """In the JSON Schema: a plain text stands for the mapping."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        return {"anyOf": [{"type": "string"}, handler(schema)]}


def listed(given: Any) -> Any:
    return given if isinstance(given, list) or given is None else [given]


class OrOne:
    """In the JSON Schema: one item stands for a list of one."""

    def __get_pydantic_json_schema__(
        self, schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        many = handler(schema)
        return {"anyOf": [many["items"], many]}


class Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, populate_by_name=True)


class EncodingByValue(Model):
    """The encoding of a cell is told by another column of its row."""

    column: ColumnName
    values: dict[str, CellEncoding]
    otherwise: CellEncoding = Field(default="utf-8", alias="else")


class ValueMapping(Model):
    """Where a value comes from: exactly one of column, join, first_of, constant, marked, or day/month/year."""

    column: ColumnName | None = None
    join: list[ColumnName] | None = Field(default=None, min_length=2, description="Columns joined by a space")
    first_of: list[Annotated[ValueMapping, BeforeValidator(long_form), OrText()]] | None = Field(
        default=None, min_length=2, description="The first that is not empty"
    )
    constant: Text | None = None
    marked: dict[str, ColumnName] | None = Field(
        default=None, min_length=1, description="Value -> column in which a mark stands for it"
    )
    day: ColumnName | None = None
    month: ColumnName | None = None
    year: ColumnName | None = None

    separator: str = Field(default=" ", description="Between joined columns")
    valid: bool = Field(default=False, description="first_of: the first that also parses")
    extract: GroupPattern | None = Field(default=None, description="The part of the cell to take")
    split: Pattern | None = Field(default=None, description="Separates several values in one cell")
    values: dict[str, Text] | None = Field(default=None, description="Code -> value")
    otherwise: Text | None = Field(
        default=None, alias="else", description="For codes not in `values`; `keep` passes the text on"
    )
    formats: DateFormats | None = Field(default=None, description="Date formats by preference")
    calendar: Literal["solar", "lunar"] = "solar"
    encoding: CellEncoding | EncodingByValue | None = None
    options: dict[str, Text] = Field(default_factory=dict, description="Passed to the type's parser")

    @model_validator(mode="after")
    def _one_origin(self) -> Self:
        origins = [name for name in ("column", "join", "first_of", "constant", "marked") if self._has(name)]
        if self.day or self.month or self.year:
            if not self.year:
                raise ValueError("a date in several columns needs `year`")
            origins.append("day/month/year")
        if len(origins) != 1:
            found = " and ".join(origins) or "none"
            raise ValueError(
                f"give exactly one of column, join, first_of, constant, marked, day/month/year; found {found}"
            )
        if self.otherwise is not None and self.values is None:
            raise ValueError("`else` needs `values`")
        if self.valid and self.first_of is None:
            raise ValueError("`valid` belongs to `first_of`")
        if self.first_of and any(part.split for part in self.first_of):
            raise ValueError("give `split` beside `first_of`, not inside it")
        return self

    def _has(self, name: str) -> bool:
        return getattr(self, name) is not None

    def column_groups(self) -> list[tuple[str, ...]]:
        """Groups of columns of which a file must have at least one: alternatives stand together."""
        if self.first_of:
            return [tuple(column for part in self.first_of for column in part.columns_used())]
        return [(column,) for column in self.columns_used()]

    def columns_used(self) -> list[str]:
        used = [
            self.column,
            self.day,
            self.month,
            self.year,
            *(self.join or ()),
            *(self.marked or {}).values(),
        ]
        if isinstance(self.encoding, EncodingByValue):
            used.append(self.encoding.column)
        for part in self.first_of or ():
            used += part.columns_used()
        return [name for name in used if name is not None]


Value = Annotated[ValueMapping, BeforeValidator(long_form), OrText()]


class AddressMapping(Model):
    """Parts of one address, in columns of their own or as one text; read with the vocabulary of the record's date."""

    street: Value | None = None
    commune: Value | None = None
    district: Value | None = None
    province: Value | None = None
    text: Value | None = None
    commune_code: Value | None = None

    @model_validator(mode="after")
    def _not_empty(self) -> Self:
        if not self.parts():
            raise ValueError("give at least one of street, commune, district, province, text, commune_code")
        return self

    def parts(self) -> dict[str, ValueMapping]:
        parts = {name: getattr(self, name) for name in AddressMapping.model_fields}
        return {name: part for name, part in parts.items() if part is not None}


def _parts(mapping: ValueMapping | AddressMapping) -> list[ValueMapping]:
    return list(mapping.parts().values()) if isinstance(mapping, AddressMapping) else [mapping]


def _column_tag(given: Any) -> str:
    if isinstance(given, AddressMapping):
        return "address"
    return (
        "address"
        if isinstance(given, dict) and given.keys() & AddressMapping.model_fields.keys()
        else "value"
    )


AttributeMapping = Annotated[
    Annotated[Value, Tag("value")] | Annotated[AddressMapping, Tag("address")],
    Discriminator(_column_tag),
]


class Condition(Model):
    """Holds for a row: the column's text is in a list, not in a list, filled or not, or matches a pattern."""

    column: ColumnName
    among: list[Text] | None = Field(default=None, alias="in", min_length=1)
    not_in: list[Text] | None = Field(default=None, min_length=1)
    filled: bool | None = None
    pattern: Pattern | None = None

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        given = [name for name in ("among", "not_in", "filled", "pattern") if getattr(self, name) is not None]
        if len(given) != 1:
            raise ValueError("give exactly one of in, not_in, filled, pattern")
        return self


class Operation(Model):
    """What a change delivery says about a row."""

    column: ColumnName
    values: dict[str, Literal["new", "corrected", "withdrawn"]] = Field(min_length=1)
    otherwise: Literal["new", "corrected", "withdrawn"] | None = Field(default=None, alias="else")


Conditions = Annotated[list[Condition], BeforeValidator(listed), OrOne()]


class RecordMapping(Model):
    kind: Literal["person", "household"]
    key: list[ColumnName] = Field(
        min_length=1, description="Columns whose texts, joined by |, name the record"
    )
    key_prefix: str = Field(default="", description="Put before the key, where two kinds would share keys")
    once_per_key: bool = Field(default=False, description="Rows repeat the record: the first row gives it")
    when: Conditions = Field(default_factory=list, description="Rows that yield this record; all must hold")
    operation: Operation | None = None
    document_date: Value | None = Field(default=None, description="The day at which the row is true")
    columns: dict[str, AttributeMapping] = Field(
        min_length=1, description="Canonical attribute -> its columns"
    )
    required: list[str] = Field(
        default_factory=list, description="Missing or invalid: the row is quarantined"
    )
    valid: list[str] = Field(
        default_factory=list, description="May be missing; invalid: the row is quarantined"
    )

    def column_groups(self) -> list[tuple[str, ...]]:
        groups: list[tuple[str, ...]] = [
            (column,) for column in [*self.key, *(condition.column for condition in self.when)]
        ]
        if self.operation:
            groups.append((self.operation.column,))
        if self.document_date:
            groups += self.document_date.column_groups()
        for mapping in self.columns.values():
            for part in _parts(mapping):
                groups += part.column_groups()
        return groups

    def columns_by_attribute(self) -> dict[str, set[str]]:
        """An address counts as `address_unit`."""
        used: dict[str, set[str]] = {}
        for name, mapping in self.columns.items():
            attribute = "address_unit" if isinstance(mapping, AddressMapping) else name
            used[attribute] = {column for part in _parts(mapping) for column in part.columns_used()}
        return used


class RenumberingColumns(Model):
    attribute: str = Field(description="The canonical attribute whose numbers were re-established")
    old: Value
    new: Value
    date: Value | None = None


class RenumberingMapping(Model):
    """A list of re-established numbers: old to new."""

    kind: Literal["renumbering"]
    when: Conditions = Field(default_factory=list)
    columns: RenumberingColumns

    def column_groups(self) -> list[tuple[str, ...]]:
        groups: list[tuple[str, ...]] = [(condition.column,) for condition in self.when]
        for part in (self.columns.old, self.columns.new, self.columns.date):
            if part is not None:
                groups += part.column_groups()
        return groups


RowMapping = Annotated[RecordMapping | RenumberingMapping, Field(discriminator="kind")]
