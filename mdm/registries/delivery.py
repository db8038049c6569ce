"""A registry's files in a delivery, read and landed."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass, replace
from datetime import date, datetime
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from mdm.errors import InputError
from mdm.registries.cells import Cells, holds
from mdm.registries.landing import LandedChunk, Landing
from mdm.registries.lookup import LoadedLookup, load_lookup
from mdm.registries.reading import ROW, Alternatives, RawChunk, header_name, read_file
from mdm.registries.record_mapping import RecordMapping

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from matching.standardise.units import Units
    from mdm.registries.declaration import RegistryDeclaration
    from mdm.registries.source import SourceDeclaration


@dataclass(frozen=True, slots=True)
class DeliveryFile:
    """A file of a source. `constants`: columns that the file's name gives; `dated`: the day its name tells."""

    source: str
    path: Path
    name: str
    constants: Mapping[str, str]
    dated: date | None


@dataclass(frozen=True, slots=True)
class FoundFiles:
    """`unmatched`: files below the folder that no source declares. They are told, never ignored silently."""

    files: Sequence[DeliveryFile]
    unmatched: Sequence[Path]


def find_files(declaration: RegistryDeclaration, folder: Path) -> FoundFiles:
    """Files of the registry's folder by source, in order of declaration and name."""
    if not folder.is_dir():
        raise InputError("is no folder", where=str(folder))
    present = sorted(
        path for path in folder.rglob("*") if path.is_file() and not path.name.startswith((".", "~$"))
    )
    files: list[DeliveryFile] = []
    for source in declaration.sources:
        matched = {path for glob in source.files for path in folder.glob(glob)}
        files += [delivery_file(source, path, folder) for path in present if path in matched]
    taken = {file.path for file in files}
    return FoundFiles(files, [path for path in present if path not in taken])


def delivery_file(source: SourceDeclaration, path: Path, folder: Path | None = None) -> DeliveryFile:
    name = path.relative_to(folder).as_posix() if folder else path.name
    if source.name_pattern is None:
        return DeliveryFile(source.name, path, name, {}, None)
    match = re.fullmatch(source.name_pattern, unicodedata.normalize("NFC", path.name))
    if match is None:
        raise InputError(
            f"has a name that does not fit `name_pattern` of source {source.name}",
            where=name,
            hint=f"Expected {source.name_pattern}.",
        )
    constants = {group: value for group, value in match.groupdict().items() if value is not None}
    dated = None
    if "date" in constants:
        try:
            dated = datetime.strptime(constants["date"], source.date_format).date()  # noqa: DTZ007  a day has no zone
        except ValueError as error:
            raise InputError(
                f"has a name whose date does not fit {source.date_format}", where=name
            ) from error
    return DeliveryFile(source.name, path, name, constants, dated)


def read_delivery(
    declaration: RegistryDeclaration,
    files: Iterable[DeliveryFile],
    *,
    delivered_on: date | None,
    units: Units,
    beside: Iterable[DeliveryFile] = (),
    progress: Callable[[DeliveryFile, int], None] | None = None,
) -> Iterator[LandedChunk]:
    """Records and quarantined rows of the given files, file by file.

    Faults of a whole file raise InputError before anything of it is yielded. `delivered_on` stands for the day at
    which rows are true where neither they nor the file's name tell it. `beside`: more files of the delivery, read for
    lookups only. `progress` is called with a file and the rows read of it so far.
    """
    listed = list(files)
    for_lookup = [*listed, *(file for file in beside if file not in listed)]
    loaded: dict[str, list[LoadedLookup]] = {}
    for file in listed:
        source = declaration.source(file.source)
        if not source.records:
            continue
        if source.name not in loaded:
            loaded[source.name] = [
                load_lookup(source, lookup, _rows_of(declaration, lookup.source, for_lookup))
                for lookup in source.lookup
            ]
        lookups = loaded[source.name]
        landing = Landing(declaration, source, units, file.dated or delivered_on, file.name)
        rows = 0
        for chunk in file_rows(file, source):
            kept, skipped = without_sections(chunk, source)
            for lookup in lookups:
                kept = replace(kept, columns=lookup.beside(kept.columns))
            yield from landing.land(kept, skipped=skipped)
            rows += chunk.columns.num_rows + len(chunk.bad)
            if progress is not None:
                progress(file, rows)


def _rows_of(
    declaration: RegistryDeclaration, name: str, files: Sequence[DeliveryFile]
) -> Iterator[RawChunk]:
    source = declaration.source(name)
    chosen = [file for file in files if file.source == name]
    if not chosen:
        raise InputError(
            f"no file of source {name} is in the delivery, and another source looks up its columns",
            where=declaration.code,
            hint=f"Its files are named {', '.join(source.files)}.",
        )
    for file in chosen:
        for chunk in file_rows(file, source):
            yield without_sections(chunk, source)[0]


def file_rows(file: DeliveryFile, source: SourceDeclaration) -> Iterator[RawChunk]:
    """The rows of a file, with the columns that its name gives."""
    given = source.name_columns()
    for chunk in read_file(file.path, source, needed=needed_columns(source)):
        columns = chunk.columns
        for name in given:
            if name in columns.column_names:
                raise InputError(
                    f"has a column `{name}`, and its name gives one too",
                    where=file.name,
                    hint=f"Call the group in `name_pattern` of source {source.name} otherwise.",
                )
            value = pa.scalar(file.constants.get(name, ""))
            columns = columns.append_column(name, pa.repeat(value, columns.num_rows))
        yield replace(chunk, columns=columns)


def needed_columns(source: SourceDeclaration) -> list[Alternatives]:
    """Columns a file must have: all that are declared; of JSON, where empty fields are left out, the keys only."""
    given = source.given_columns()
    looked_up = tuple(f"{lookup.source}." for lookup in source.lookup)
    groups: list[Alternatives] = [(column,) for column in source.columns_of_rows()]
    for record in source.records:
        if source.format not in {"json", "jsonl"}:
            groups += record.column_groups()
        elif isinstance(record, RecordMapping):
            groups += [(column,) for column in record.key]
    elsewhere = {name for group in groups for name in group if name in given or name.startswith(looked_up)}
    tidied = [tuple(header_name(name) for name in group) for group in groups if elsewhere.isdisjoint(group)]
    return list(dict.fromkeys(tidied))


def without_sections(chunk: RawChunk, source: SourceDeclaration) -> tuple[RawChunk, int]:
    """The rows without empty ones and those that `skip` leaves out; and how many these were."""
    own = [name for name in chunk.columns.column_names if name != ROW and name not in source.given_columns()]
    bad = [row for row in chunk.bad if not _is_section(row.text, own, source)]
    cells = Cells(chunk.columns)
    left_out = pa.repeat(pa.scalar(True), len(cells))
    for name in own:
        left_out = pc.and_(left_out, pc.is_null(cells.text(name)))
        if not pc.any(left_out).as_py():
            break
    for skip in source.skip:
        left_out = pc.or_(left_out, holds(skip, cells))
    kept = chunk.columns.filter(pc.invert(left_out))
    count = chunk.columns.num_rows - kept.num_rows + len(chunk.bad) - len(bad)
    return replace(chunk, columns=kept, bad=bad), count


def _is_section(text: str, names: Sequence[str], source: SourceDeclaration) -> bool:
    """A title or total that was typed without the delimiters of the other columns."""
    patterns = {header_name(skip.column): skip.pattern for skip in source.skip if skip.pattern}
    if source.format != "csv" or not patterns:
        return False
    cells = dict(zip(names, text.split(source.delimiter), strict=False))
    return any(re.search(pattern, cells.get(column, "").strip()) for column, pattern in patterns.items())
