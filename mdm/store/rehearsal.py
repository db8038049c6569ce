"""A transaction that reads the store and writes nothing: steps of a run work in it as ever, and leave no trace."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from mdm.store.engine import Bulk, bulk

if TYPE_CHECKING:
    from collections.abc import Iterator

    import pyarrow as pa

    from mdm.settings import Settings


class Rehearsal(Bulk):
    """`staged`: the temporary tables, by name, as they were last put: what a step had to ask or to say."""

    def __init__(self, store: Bulk) -> None:
        super().__init__(store._connection, sqlite=store.sqlite)  # noqa: SLF001  one class of transactions
        self.staged: dict[str, list[pa.Table]] = {}

    def append(self, table: str, rows: pa.Table) -> int:  # noqa: ARG002
        return int(rows.num_rows)

    def execute(self, sql: str) -> None:
        pass

    def take_turn(self) -> None:
        pass

    def stage(self, name: str, rows: pa.Table) -> None:
        self.staged.setdefault(name, []).append(rows)
        super().stage(name, rows)


@contextmanager
def rehearsing(settings: Settings) -> Iterator[Rehearsal]:
    with bulk(settings) as store:
        yield Rehearsal(store)
