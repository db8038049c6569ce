"""A table or query of a database: an SQLite or DuckDB file, or a `.url` file that names a database."""

from __future__ import annotations

from contextlib import closing
from typing import TYPE_CHECKING, Any

import duckdb
import pyarrow as pa
from sqlalchemy import create_engine
from sqlalchemy.exc import SQLAlchemyError

from mdm.errors import InputError
from mdm.registries.reading.raw import CHUNK_ROWS, ROW, Alternatives, RawChunk, named_columns, no_rows

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from mdm.registries.source import SourceDeclaration

SQLITE = b"SQLite format 3\x00"


def read_sql(path: Path, source: SourceDeclaration, *, needed: Sequence[Alternatives]) -> Iterator[RawChunk]:
    """Every column is cast to text by the database itself."""
    inner = (
        f"SELECT * FROM {quoted(source.table)}" if source.table else (source.query or "").strip().rstrip(";")
    )
    with path.open("rb") as file:
        start = file.read(len(SQLITE))
    if not start:
        raise InputError("is empty", where=path.name, hint="Ask the sender for the file again.")
    if start == SQLITE:
        url = f"sqlite:///file:{path.resolve()}?mode=ro&uri=true"
    elif path.suffix == ".url":
        url = path.read_text(encoding="utf-8").strip()
    else:
        yield from _from_duckdb(path, inner, needed)
        return
    yield from _from_sqlalchemy(path, url, inner, needed)


def _from_sqlalchemy(path: Path, url: str, inner: str, needed: Sequence[Alternatives]) -> Iterator[RawChunk]:
    try:
        engine = create_engine(url)
        with engine.connect() as connection:
            if engine.dialect.name == "sqlite":
                damage = connection.exec_driver_sql("PRAGMA quick_check(1)").scalar()
                if damage != "ok":
                    raise _unreadable(path, "the database file is damaged")
            cursor = connection.exec_driver_sql(f"SELECT * FROM ({inner}) AS rows_sent LIMIT 0")
            found = list(cursor.keys())
            names = named_columns(found, needed=needed, where=path.name)
            texts = ", ".join(f"CAST({quoted(name)} AS TEXT)" for name in found)
            streaming = connection.execution_options(yield_per=CHUNK_ROWS)
            result = streaming.exec_driver_sql(f"SELECT {texts} FROM ({inner}) AS rows_sent")
            row = 1
            for rows in result.partitions(CHUNK_ROWS):
                yield _chunk(rows, names, row)
                row += len(rows)
    except SQLAlchemyError as error:
        raise _unreadable(path, str(getattr(error, "orig", error))) from error
    if row == 1:
        raise no_rows(path)


def _chunk(rows: Sequence[Sequence[Any]], names: Sequence[str], first: int) -> RawChunk:
    columns = [pa.array(column, pa.string()).fill_null("") for column in zip(*rows, strict=True)]
    numbers = pa.array(range(first, first + len(rows)), pa.int64())
    return RawChunk(pa.table([*columns, numbers], names=[*names, ROW]))


def _from_duckdb(path: Path, inner: str, needed: Sequence[Alternatives]) -> Iterator[RawChunk]:
    try:
        with closing(duckdb.connect(str(path), read_only=True)) as connection:
            found = [column[0] for column in connection.execute(f"DESCRIBE {inner}").fetchall()]
            names = named_columns(found, needed=needed, where=path.name)
            texts = ", ".join(f'coalesce("{name}"::VARCHAR, \'\') AS "{name}"' for name in found)
            row = 1
            for batch in connection.sql(f"SELECT {texts} FROM ({inner})").to_arrow_reader(CHUNK_ROWS):
                numbers = pa.array(range(row, row + batch.num_rows), pa.int64())
                yield RawChunk(pa.table([*batch.columns, numbers], names=[*names, ROW]))
                row += batch.num_rows
    except duckdb.Error as error:
        raise _unreadable(path, str(error).partition("\n")[0]) from error
    if row == 1:
        raise no_rows(path)


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _unreadable(path: Path, reason: str) -> InputError:
    return InputError(
        f"cannot be read: {reason}", where=path.name, hint="Check `table` or `query` in the declaration."
    )
