"""Which cells of a row as received a canonical value was read from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePath
from typing import TYPE_CHECKING, Any

from mdm.registries.cells import Cells, all_hold
from mdm.registries.mapping import local_ids
from mdm.registries.reading import header_name, row_fields, text_table
from mdm.registries.record_mapping import RecordMapping

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pyarrow as pa

    from mdm.registries.declaration import RegistryDeclaration
    from mdm.registries.source import SourceDeclaration

_ADDRESS_UNIT = "address_unit"


@dataclass(frozen=True)
class ReceivedRow:
    """A row and the declared mappings that give a record of its key from it."""

    declaration: RegistryDeclaration
    mappings: Sequence[RecordMapping]
    fields: Mapping[str, str]

    def cells_of(self, attribute: str) -> dict[str, str | None] | None:
        """The office's columns of an attribute or group, with what the row says in each (None: nothing).

        None where it cannot be told: no mapping reads the attribute from a column, or mappings differ in the columns.
        """
        found = {
            frozenset(columns) for mapping in self.mappings if (columns := self._columns(mapping, attribute))
        }
        if len(found) != 1:
            return None
        (read,) = found
        return {column: self.fields.get(header_name(column)) for column in sorted(read)}

    def _columns(self, mapping: RecordMapping, attribute: str) -> set[str]:
        """An address in parts is read as a whole, so its cells are those of all its parts; a group's are those of its attributes."""
        declared = self.declaration.attributes.of(mapping.kind)
        by_attribute = mapping.columns_by_attribute()
        group = declared[attribute].group if attribute in declared else attribute
        in_parts = _ADDRESS_UNIT in declared and declared[_ADDRESS_UNIT].group == group
        whole = by_attribute.get(_ADDRESS_UNIT, set()) if in_parts else set()
        within = {attribute, *(name for name, known in declared.items() if known.group == attribute)}
        return whole.union(*(by_attribute.get(name, set()) for name in within))


def received_row(
    declaration: RegistryDeclaration, raw: Mapping[str, Any], *, file: str, kind: str, local_id: str
) -> ReceivedRow:
    """By the declaration as it is now, which may differ from that of the day.

    Args:
        declaration: the registry.
        raw: the row as received, keys being the office's column names.
        file: the delivered file's name.
        kind: of the record.
        local_id: of the record.
    """
    fields = row_fields(dict(raw))
    table = text_table([fields], [1])
    named = [source for source in declaration.sources if _is_of(source, file)]
    mappings = [
        mapping
        for source in named or declaration.sources
        for mapping in source.records
        if isinstance(mapping, RecordMapping) and mapping.kind == kind and _gives(mapping, table, local_id)
    ]
    return ReceivedRow(declaration, mappings, {header_name(name): text for name, text in fields.items()})


def _is_of(source: SourceDeclaration, file: str) -> bool:
    """Repaired rows keep their file's name and say so behind it."""
    name = PurePath(file.removesuffix(" (repaired)"))
    return any(name.match(glob) for glob in source.files)


def _gives(mapping: RecordMapping, table: pa.Table, local_id: str) -> bool:
    cells = Cells(table)
    return bool(all_hold(mapping.when, cells)[0].as_py()) and local_ids(mapping, cells)[0].as_py() == local_id
