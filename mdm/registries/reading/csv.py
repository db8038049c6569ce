"""CSV of any encoding and delimiter, read in a stream."""

from __future__ import annotations

import csv
import io
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv as arrow_csv

from mdm.errors import InputError
from mdm.registries.reading.raw import CHUNK_ROWS, ROW, Alternatives, BadRow, RawChunk, named_columns, no_rows
from mdm.registries.reading.transcoding import MAX_LINE, byte_encoding, check_text_file, open_utf8

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mdm.registries.source import SourceDeclaration

BLOCK = 4 << 20
DELIMITERS = ",;\t|"


@dataclass(frozen=True, slots=True)
class _Layout:
    """`lines`: physical lines of the header; `rows`: rows of the header as a spreadsheet counts them."""

    names: Sequence[str]
    lines: int
    rows: int
    encoding: str
    quoted: bool


def read_csv(path: Path, source: SourceDeclaration, *, needed: Sequence[Alternatives]) -> Iterator[RawChunk]:
    encoding = byte_encoding(path, source.encoding_of(path.name))
    tail, has_quotes = check_text_file(path, encoding, lines=True)
    layout = _layout(path, source, encoding=encoding, needed=needed, has_quotes=has_quotes)
    _check_end(path, source, layout, tail)
    yield from _chunks(path, source, layout)


def _layout(
    path: Path, source: SourceDeclaration, *, encoding: str, needed: Sequence[Alternatives], has_quotes: bool
) -> _Layout:
    quoted = source.quote == "'" or (has_quotes and source.quote == '"')
    if not source.header:
        return _Layout(source.column_names, 0, 0, encoding, quoted)
    with open_utf8(path, encoding) as stream:
        text = io.TextIOWrapper(stream, encoding="utf-8", newline="")
        reader = csv.reader(text, **_dialect(source))
        try:
            rows = [row for _, row in zip(range(source.header[-1]), reader, strict=False)]
        except csv.Error as error:
            raise InputError("has a header that cannot be read", where=path.name, hint=f"{error}.") from error
        lines = reader.line_num
    if len(rows) < source.header[-1]:
        raise InputError(f"ends before its header row {source.header[-1]}", where=path.name)
    cells = join_header([rows[number - 1] for number in source.header])
    where = f"{path.name}:{source.header[-1]}"
    _check_delimiter(cells, source, needed, where)
    names = named_columns(cells, needed=needed, where=where, encoding=source.encoding_of(path.name))
    return _Layout(names, lines, source.header[-1], encoding, quoted)


def join_header(rows: Sequence[Sequence[str]]) -> list[str]:
    width = max(len(row) for row in rows)
    columns = [[row[place].strip() if place < len(row) else "" for row in rows] for place in range(width)]
    return [" / ".join(dict.fromkeys(part for part in column if part)) for column in columns]


def _dialect(source: SourceDeclaration) -> dict[str, Any]:
    if source.quote == "none":
        return {"delimiter": source.delimiter, "quoting": csv.QUOTE_NONE}
    return {"delimiter": source.delimiter, "quotechar": source.quote}


def _check_delimiter(
    cells: Sequence[str], source: SourceDeclaration, needed: Sequence[Alternatives], where: str
) -> None:
    if len(cells) > 1 or len(needed) <= 1:
        return
    counts = {mark: cells[0].count(mark) for mark in DELIMITERS if mark != source.delimiter}
    best = max(counts, key=lambda mark: counts[mark])
    if counts[best]:
        raise InputError(
            f"only one column is found with the delimiter {source.delimiter!r}",
            where=where,
            hint=f"Its header is separated by {best!r}: set `delimiter` in the source's declaration.",
        )


def _check_end(path: Path, source: SourceDeclaration, layout: _Layout, tail: bytes) -> None:
    """A file cut in the middle: a short last line without line end, or a quote never closed."""
    cut = InputError(
        "is cut off: its last row is not complete", where=path.name, hint="Ask the sender for the file again."
    )
    end = tail.decode("utf-8", "ignore")
    if not end.endswith(("\n", "\r")):
        last = end.splitlines()[-1]
        if _width(last, source) < len(layout.names):
            raise cut
        if layout.quoted and last.count(source.quote) % 2 and not last.endswith(source.quote):
            raise cut
    if layout.quoted:
        # With quotes, only the parser knows where rows end: it goes through the file once before anything is yielded.
        last_text = _last_text(path, source, layout)
        swallowed = last_text[-200:].rstrip("\r\n")
        bare = end.rstrip("\r\n")
        if "\n" in last_text and bare.endswith(swallowed) and not bare.endswith(source.quote):
            raise cut


def _width(line: str, source: SourceDeclaration) -> int:
    try:
        return len(next(csv.reader([line], **_dialect(source))))
    except csv.Error:
        return 0  # a cell longer than any real one: the row is not whole


def _last_text(path: Path, source: SourceDeclaration, layout: _Layout) -> str:
    """The last cell of the file, or its last malformed row. Raises InputError for a cell longer than a line may be."""
    last = ""
    for batch, bad in _batches(path, source, layout):
        widths = [pc.max(pc.binary_length(column)).as_py() or 0 for column in batch.columns]
        if max(widths, default=0) > MAX_LINE or any(len(row.text) > MAX_LINE for row in bad):
            raise _quote_left_open(path)
        if batch.num_rows:
            last = batch.column(batch.num_columns - 1)[-1].as_py()
        elif bad:
            last = bad[-1].text
    return last


def _batches(
    path: Path, source: SourceDeclaration, layout: _Layout
) -> Iterator[tuple[pa.RecordBatch, list[BadRow]]]:
    bad: list[BadRow] = []

    def keep_bad(row: arrow_csv.InvalidRow) -> str:
        number = row.number - layout.lines + layout.rows
        detail = f"{row.actual_columns} columns instead of {row.expected_columns}"
        bad.append(BadRow(number, row.text, "row.malformed", detail))
        return "skip"

    positions = [str(place) for place in range(len(layout.names))]
    with open_utf8(path, layout.encoding) as stream:
        try:
            reader = arrow_csv.open_csv(
                stream,
                read_options=arrow_csv.ReadOptions(
                    use_threads=False, block_size=BLOCK, column_names=positions, skip_rows=layout.lines
                ),
                parse_options=arrow_csv.ParseOptions(
                    delimiter=source.delimiter,
                    quote_char=source.quote if layout.quoted else False,
                    newlines_in_values=layout.quoted,
                    ignore_empty_lines=False,
                    invalid_row_handler=keep_bad,
                ),
                convert_options=arrow_csv.ConvertOptions(
                    column_types=dict.fromkeys(positions, pa.string()), strings_can_be_null=False
                ),
            )
            for batch in reader:
                yield batch, bad
        except pa.ArrowInvalid as error:
            raise _unparsable(path, error) from error
    yield pa.RecordBatch.from_pylist([], schema=pa.schema([(name, pa.string()) for name in positions])), bad


def _unparsable(path: Path, error: pa.ArrowInvalid) -> InputError:
    if "straddling" in str(error):
        return _quote_left_open(path)
    if "Empty CSV" in str(error):
        return no_rows(path)
    return InputError("cannot be read as CSV", where=path.name, hint=str(error).partition("\n")[0])


def _quote_left_open(path: Path) -> InputError:
    return InputError(
        f"has a row longer than {MAX_LINE:,} bytes: a quote is opened and not closed",
        where=path.name,
        hint="Ask for the file again, or set `quote: none` if quotes are plain text in it.",
    )


def _chunks(path: Path, source: SourceDeclaration, layout: _Layout) -> Iterator[RawChunk]:
    waiting: list[pa.RecordBatch] = []
    waiting_rows = good_rows = told_bad = 0
    bad: list[BadRow] = []
    for batch, bad in _batches(path, source, layout):
        waiting.append(batch)
        waiting_rows += batch.num_rows
        if waiting_rows >= CHUNK_ROWS:
            known = bad.copy()  # the parser reads ahead and may tell of more while the chunk is worked on
            yield RawChunk(_numbered(waiting, layout, good_rows, known), known[told_bad:])
            good_rows, told_bad = good_rows + waiting_rows, len(known)
            waiting, waiting_rows = [], 0
    if waiting_rows or told_bad < len(bad):
        yield RawChunk(_numbered(waiting, layout, good_rows, bad), bad[told_bad:])
    elif good_rows == 0:
        raise no_rows(path)


def _numbered(
    batches: Sequence[pa.RecordBatch], layout: _Layout, good_before: int, bad: Sequence[BadRow]
) -> pa.Table:
    """Puts row numbers beside the good rows: a good row comes after all bad rows with a smaller number."""
    table = pa.Table.from_batches(batches).rename_columns(list(layout.names))
    first = layout.rows + 1
    bad_numbers = np.array([row.row for row in bad], dtype=np.int64)
    good_before_bad = bad_numbers - first - np.arange(len(bad_numbers))
    places = good_before + np.arange(table.num_rows)
    numbers = first + places + np.searchsorted(good_before_bad, places, side="right")
    return table.append_column(ROW, pa.array(numbers, pa.int64()))
