"""JSON documents and JSON lines, read in a stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import ijson
import orjson

from mdm.errors import InputError
from mdm.registries.reading.flattening import ROOT, expand, row_fields, steps_of, text_of, text_table
from mdm.registries.reading.raw import CHUNK_ROWS, Alternatives, BadRow, RawChunk, no_rows, require_columns
from mdm.registries.reading.transcoding import byte_encoding, check_text_file, open_utf8

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

    from mdm.registries.source import SourceDeclaration

Item = tuple[int, dict[str, str]] | BadRow


def read_jsonl(
    path: Path, source: SourceDeclaration, *, needed: Sequence[Alternatives]
) -> Iterator[RawChunk]:
    encoding = byte_encoding(path, source.encoding_of(path.name))
    tail, _ = check_text_file(path, encoding, lines=True)
    last = tail.rstrip().rpartition(b"\n")[2]
    if not tail.endswith(b"\n") and _parsed(last) is None:
        raise _cut(path, "its last line is not complete")
    yield from _chunks(_lines(path, encoding, source), path, needed)


def read_json(path: Path, source: SourceDeclaration, *, needed: Sequence[Alternatives]) -> Iterator[RawChunk]:
    encoding = byte_encoding(path, source.encoding_of(path.name))
    check_text_file(path, encoding, lines=False)
    steps = steps_of(source.rows or "[]")
    around = _check_document(path, encoding, steps[0])
    yield from _chunks(_elements(path, encoding, steps, around), path, needed)


def _lines(path: Path, encoding: str, source: SourceDeclaration) -> Iterator[Item]:
    steps = steps_of(source.rows) if source.rows else []
    ordinal = 0
    with open_utf8(path, encoding) as stream:
        for number, line in enumerate(stream, start=1):
            if not line.strip():
                continue
            document = _parsed(line)
            if document is None:
                ordinal += 1
                place = ordinal if steps else number
                text = line.decode("utf-8", "replace").rstrip("\r\n")
                yield BadRow(place, text, "row.malformed", f"line {number} is no JSON object")
            elif not steps:
                yield number, row_fields(document)
            else:
                for row in expand(document, steps, {}, ROOT):
                    ordinal += 1
                    yield ordinal, row


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        document = orjson.loads(line)
    except orjson.JSONDecodeError:
        return None
    return document if isinstance(document, dict) else None


def _check_document(path: Path, encoding: str, first_step: str) -> dict[str, str]:
    """Go through the whole document once; returns the plain fields outside the repeated element."""
    around: dict[str, str] = {}
    repeated = f"{first_step}.item" if first_step else "item"
    found = False
    try:
        with open_utf8(path, encoding) as stream:
            for prefix, event, value in ijson.parse(stream):
                if prefix == repeated or prefix.startswith(f"{repeated}."):
                    found = True
                elif event in {"string", "number", "boolean"} and ".item" not in prefix:
                    around[f"{ROOT}.{prefix}"] = text_of(value)
    except ijson.IncompleteJSONError as error:
        raise _cut(path, "the document ends too early or is malformed") from error
    except ijson.JSONError as error:
        raise InputError(
            "is no valid JSON", where=path.name, hint="Is it one JSON document a line? Then `format: jsonl`."
        ) from error
    if not found:
        name = f"`{first_step}[]`" if first_step else "a list at the top"
        raise InputError(
            f"has no elements at {name}", where=path.name, hint="Check `rows` in the declaration."
        )
    return around


def _elements(path: Path, encoding: str, steps: Sequence[str], around: dict[str, str]) -> Iterator[Item]:
    first = f"{steps[0]}.item" if steps[0] else "item"
    below = f"{ROOT}.{steps[0]}" if steps[0] else ROOT
    ordinal = 0
    with open_utf8(path, encoding) as stream:
        for element in ijson.items(stream, first):
            for row in expand(element, steps[1:], around, below):
                ordinal += 1
                yield ordinal, row


def _chunks(items: Iterable[Item], path: Path, needed: Sequence[Alternatives]) -> Iterator[RawChunk]:
    rows: list[dict[str, str]] = []
    numbers: list[int] = []
    bad: list[BadRow] = []
    first = True
    for item in items:
        if isinstance(item, BadRow):
            bad.append(item)
        else:
            numbers.append(item[0])
            rows.append(item[1])
        if len(rows) + len(bad) >= CHUNK_ROWS:
            yield _chunk(rows, numbers, bad, path, needed if first else ())
            rows, numbers, bad, first = [], [], [], False
    if rows or bad:
        yield _chunk(rows, numbers, bad, path, needed if first else ())
    elif first:
        raise no_rows(path)


def _chunk(
    rows: list[dict[str, str]],
    numbers: list[int],
    bad: list[BadRow],
    path: Path,
    needed: Sequence[Alternatives],
) -> RawChunk:
    table = text_table(rows, numbers)
    if rows:
        # Fields are often left out where empty; only what every record needs must occur.
        require_columns(needed, found=table.column_names, where=path.name)
    return RawChunk(table, bad)


def _cut(path: Path, reason: str) -> InputError:
    return InputError(f"is cut off: {reason}", where=path.name, hint="Ask the sender for the file again.")
