"""The files of a registry and how to read them."""

from __future__ import annotations

import codecs
import re
from fnmatch import fnmatchcase
from typing import Annotated, Literal, Self

from pydantic import AfterValidator, BeforeValidator, Field, model_validator

from matching.standardise.encodings import LEGACY_ENCODINGS
from mdm.registries.record_mapping import (
    MAX_PATTERN,
    ColumnName,
    Model,
    OrOne,
    Pattern,
    RowMapping,
    Text,
    listed,
)


def _known_encoding(name: str) -> str:
    if name in LEGACY_ENCODINGS:
        return name
    try:
        return codecs.lookup(name).name
    except LookupError as error:
        raise ValueError(
            f"encoding `{name}` is not known: any Python codec, or {', '.join(LEGACY_ENCODINGS)}"
        ) from error


def _file_pattern(pattern: str) -> str:
    if len(pattern) > MAX_PATTERN:
        raise ValueError(f"a pattern may have at most {MAX_PATTERN} characters")
    try:
        re.compile(pattern)
    except re.error as error:
        raise ValueError(f"not a valid regular expression: {error}") from error
    return pattern


Encoding = Annotated[str, AfterValidator(_known_encoding)]
Format = Literal["csv", "xlsx", "jsonl", "json", "parquet", "sql"]


class EncodingByFile(Model):
    default: Encoding = "utf-8"
    files: dict[str, Encoding] = Field(default_factory=dict, description="Glob of file names -> encoding")


class Skip(Model):
    """A row that is no record: a section title, a total."""

    column: ColumnName
    pattern: Pattern | None = None
    filled: bool | None = None

    @model_validator(mode="after")
    def _one_test(self) -> Self:
        if (self.pattern is None) == (self.filled is None):
            raise ValueError("give one of pattern, filled")
        return self


class Lookup(Model):
    """Columns of another source of this registry, found by equal keys."""

    source: str
    on: dict[str, str] = Field(min_length=1, description="Column here -> column there")


Lookups = Annotated[list[Lookup], BeforeValidator(listed), OrOne()]


class SourceDeclaration(Model):
    name: str = Field(pattern=r"^[a-z][a-z0-9_]*$")
    files: list[str] = Field(min_length=1, description="Globs below the registry's folder in a delivery")
    name_pattern: Annotated[str, AfterValidator(_file_pattern)] | None = Field(
        default=None, description="Named groups become columns; the group `date` gives the delivery date"
    )
    date_format: str = "%Y%m%d"
    format: Format
    encoding: Encoding | EncodingByFile = "utf-8"
    delimiter: str = Field(default=",", min_length=1, max_length=1)
    quote: Literal['"', "'", "none"] = '"'
    header: list[Annotated[int, Field(ge=1)]] = Field(
        default=[1], max_length=3, description="Header rows from 1; several are joined with ' / '; none: []"
    )
    column_names: list[str] = Field(default_factory=list, description="Names, where the file has no header")
    sheet: Text = Field(
        default="1", description="A sheet's name or a glob of names, its number from 1, or `all`"
    )
    sheet_column: str | None = Field(default=None, description="A column that holds the sheet's name")
    skip: list[Skip] = Field(default_factory=list)
    rows: str | None = Field(
        default=None, description="JSON path of the repeated element: danhSach[].thanhVien[]"
    )
    table: str | None = None
    query: str | None = None
    lookup: Lookups = Field(default_factory=list)
    records: list[RowMapping] = Field(default_factory=list, description="What one row yields")

    @model_validator(mode="after")
    def _fits_format(self) -> Self:
        if self.format == "sql" and (self.table is None) == (self.query is None):
            raise ValueError("format sql needs one of table, query")
        if self.query is not None and not re.match(r"\s*(select|with)\b", self.query, re.IGNORECASE):
            raise ValueError("a query starts with SELECT or WITH")
        if not self.header and not self.column_names and self.format in {"csv", "xlsx"}:
            raise ValueError("a file without header rows needs column_names")
        if self.header and self.header != list(range(self.header[0], self.header[0] + len(self.header))):
            raise ValueError("header rows must follow each other")
        if self.sheet_column is not None and self.format != "xlsx":
            raise ValueError("`sheet_column` belongs to xlsx")
        if self.rows is not None:
            if self.format not in {"json", "jsonl"}:
                raise ValueError("`rows` belongs to json and jsonl")
            if not self.rows.endswith("[]"):
                raise ValueError("`rows` names a repeated element and ends with []")
        return self

    def encoding_of(self, file_name: str) -> str:
        if isinstance(self.encoding, str):
            return self.encoding
        for glob, encoding in self.encoding.files.items():
            if fnmatchcase(file_name, glob):
                return encoding
        return self.encoding.default

    def name_columns(self) -> list[str]:
        return list(re.compile(self.name_pattern).groupindex) if self.name_pattern else []

    def given_columns(self) -> list[str]:
        """Columns that are not in the rows: the file's name and the sheet's name give them."""
        return [*self.name_columns(), *([self.sheet_column] if self.sheet_column else [])]

    def columns_of_rows(self) -> list[str]:
        """Columns that concern rows, whatever they yield."""
        return [*(skip.column for skip in self.skip), *(here for lookup in self.lookup for here in lookup.on)]

    def columns_used(self) -> list[str]:
        """Every column the declaration names, looked-up ones included, each once."""
        used = self.columns_of_rows()
        for record in self.records:
            used += [column for group in record.column_groups() for column in group]
        return list(dict.fromkeys(used))
