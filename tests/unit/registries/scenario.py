"""A registry declared in a test, its files written by the test, and what became of them."""

from __future__ import annotations

from dataclasses import dataclass, field
from textwrap import dedent, indent
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from mdm.registries.declaration import RegistryDeclaration, parse_registry
from mdm.registries.delivery import find_files, read_delivery

if TYPE_CHECKING:
    from datetime import date
    from pathlib import Path

    from matching.standardise.units import Units
    from mdm.registries.attributes import Attributes
    from mdm.registries.landing import LandedChunk

HEAD = """\
code: tro_cap
name: {vi: Trợ cấp xã hội, en: Social assistance}
owner: {vi: Sở Y tế, en: Department of Health}
holds: [people, households]
trust: {default: 0.5}
sources:
"""


def declaration_text(sources: str) -> str:
    return HEAD + indent(dedent(sources).strip("\n"), "  ") + "\n"


@dataclass
class Landed:
    chunks: list[LandedChunk]
    records: list[dict[str, Any]] = field(init=False)
    quarantine: list[dict[str, Any]] = field(init=False)

    def __post_init__(self) -> None:
        self.records = [
            {name: value for name, value in row.items() if value is not None}
            for chunk in self.chunks
            for row in chunk.table.to_pylist()
        ]
        self.quarantine = pa.concat_tables(chunk.quarantine for chunk in self.chunks).to_pylist()

    @property
    def received(self) -> int:
        return sum(chunk.received for chunk in self.chunks)

    @property
    def accepted_rows(self) -> int:
        return sum(chunk.accepted_rows for chunk in self.chunks)

    @property
    def skipped(self) -> int:
        return sum(chunk.skipped for chunk in self.chunks)

    @property
    def reasons(self) -> list[tuple[int, str]]:
        return [(row["row_number"], row["reason"]) for row in self.quarantine]

    @property
    def renumbering(self) -> list[dict[str, Any]]:
        return pa.concat_tables(chunk.renumbering for chunk in self.chunks).to_pylist()

    def values(self, attribute: str) -> list[Any]:
        return [record.get(attribute) for record in self.records]

    def issues(self, attribute: str) -> list[str | None]:
        return [orjson.loads(record.get("issues", "{}")).get(attribute) for record in self.records]


@dataclass
class Delivery:
    folder: Path
    attributes: Attributes
    units: Units

    def declare(self, sources: str) -> RegistryDeclaration:
        return parse_registry(declaration_text(sources), name="tro_cap.yaml", attributes=self.attributes)

    def write(self, name: str, content: str | bytes, encoding: str = "utf-8") -> Path:
        path = self.folder / name
        path.write_bytes(content if isinstance(content, bytes) else content.encode(encoding))
        return path

    def land(self, sources: str, *, delivered_on: date | None = None) -> Landed:
        declaration = self.declare(sources)
        found = find_files(declaration, self.folder)
        chunks = read_delivery(declaration, found.files, delivered_on=delivered_on, units=self.units)
        return Landed(list(chunks))
