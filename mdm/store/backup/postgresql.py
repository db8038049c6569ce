"""Backup and restore of a PostgreSQL store, by the server's own programs pg_dump, pg_restore and psql.

A dump is of the schema that the store's tables are in, and of the snapshot that the manifest was read from. A restore is one
transaction: the script of `pg_restore` runs in `psql` between a BEGIN and a COMMIT that is sent last, after everything was checked.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import func, inspect, select, text

from mdm.errors import ConfigurationError, StoreError
from mdm.store.backup.facts import GIVE_UP_RUNS, StoreFacts, read_facts
from mdm.store.engine import looking, make_engine
from mdm.store.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping
    from typing import IO

    from sqlalchemy import Connection

    from mdm.settings import Settings

CONTENT = "store.pgdump"
_AT_ONCE = 1 << 20
_DUMP = ["--format=custom", "--compress=1", "--no-owner", "--no-privileges", "--no-password"]
_SCRIPT = ["--clean", "--if-exists", "--no-owner", "--no-privileges", "--file=-"]
_PSQL = ["--no-psqlrc", "--quiet", "--no-password", "--set=ON_ERROR_STOP=1", "--file=-"]
_TABLES = [*metadata.tables, "alembic_version"]


@contextmanager
def snapshot(settings: Settings) -> Iterator[tuple[StoreFacts | None, str, Iterator[bytes]]]:
    """What the store holds at one instant: facts, the schema it is in, and its dump."""
    _path("pg_dump")
    environment, target = target_of(settings)
    with _connected(settings) as connection:
        connection.execution_options(isolation_level="REPEATABLE READ")
        facts, schema = read_facts(connection), _schema(connection)
        exported = connection.execute(select(func.pg_export_snapshot())).scalar_one()
        tables = [f'--table="{schema}"."{name}"' for name in inspect(connection).get_table_names(schema)]
        asked = [*_DUMP, f"--snapshot={exported}", *tables, f"--dbname={target}"]
        with _running(
            "pg_dump", asked, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=environment
        ) as dump:
            yield facts, schema, dump.output()


def present(settings: Settings) -> bool:
    with _connected(settings) as connection:
        found = inspect(connection).get_table_names(_schema(connection))
    return not set(_TABLES).isdisjoint(found)


def put(
    settings: Settings,
    content: Iterable[bytes],
    facts: StoreFacts,
    *,
    event: Mapping[str, Any],
    schema: str,
    size: int,
    tell: Callable[[float, str], None],
) -> None:
    """Makes the store what the content is, and one more event; the present one stays until all of it is there.

    Raises:
        StoreError: the content is not what `facts` say; or the present store is in use.
    """
    environment, target = target_of(settings)
    with _connected(settings) as connection:
        here = _schema(connection)
    if here != schema:
        raise StoreError(
            f"The backup is of the schema {schema}, and the tables would go to {here}.",
            hint="Set search_path in the store's URL.",
        )
    loading = [*_PSQL, f"--dbname={target}"]
    with _running("psql", loading, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, env=environment) as psql:
        psql.send(_beginning(schema))
        with _running("pg_restore", _SCRIPT, stdin=subprocess.PIPE, stdout=psql.process.stdin) as restore:
            done = 0
            for block in content:
                restore.send(block)
                done += len(block)
                tell(done / size, "restoring")
            try:
                restore.finish()
            except StoreError:
                psql.finish()  # nobody to write to is a failure too: then it is psql that tells why
                raise
        psql.send(_ending(schema, facts, event))
        psql.finish()


@dataclass(frozen=True)
class _Running:
    name: str
    process: subprocess.Popen[bytes]
    said: IO[bytes]

    def send(self, block: bytes) -> None:
        """To a program that has ended nothing more is sent: `finish` tells why it has."""
        assert self.process.stdin is not None
        with suppress(BrokenPipeError):
            self.process.stdin.write(block)
            self.process.stdin.flush()

    def output(self) -> Iterator[bytes]:
        assert self.process.stdout is not None
        while block := self.process.stdout.read(_AT_ONCE):
            yield block
        self.finish()

    def finish(self) -> None:
        self.close()
        if self.process.wait() != 0:
            self.said.seek(0)
            raise failure(self.name, self.said.read().decode(errors="replace"))

    def close(self) -> None:
        if self.process.stdin is not None:
            with suppress(BrokenPipeError):
                self.process.stdin.close()


@contextmanager
def _running(program: str, arguments: list[str], **given: Any) -> Iterator[_Running]:
    """The program does not outlive the block."""
    with (
        tempfile.TemporaryFile() as said,
        subprocess.Popen([_path(program), *arguments], stderr=said, **given) as process,  # noqa: S603
    ):
        running = _Running(program, process, said)
        try:
            yield running
        finally:
            process.kill()
            running.close()


def _beginning(schema: str) -> bytes:
    """The tables of a later version may not be in the backup, so that it would not replace them."""
    names = ", ".join(f'"{schema}"."{name}"' for name in _TABLES)
    return (
        "BEGIN; SET LOCAL client_min_messages = warning; SET LOCAL lock_timeout = '5s';\n"
        f"DROP TABLE IF EXISTS {names};\n"
    ).encode()


def _ending(schema: str, facts: StoreFacts, restored: Mapping[str, Any]) -> bytes:
    event, meta, run, run_step = (f'"{schema}"."{name}"' for name in ("event", "meta", "run", "run_step"))
    values = ", ".join(_literal(value) for value in restored.values())
    return f"""
        DO $$ BEGIN
            IF (SELECT COUNT(*) FROM {event}) <> {facts.events}
                OR NOT EXISTS (SELECT 1 FROM {meta} WHERE name = 'store_id' AND value = '{facts.store_id}')
            THEN RAISE EXCEPTION 'the backup holds another store than its manifest says';
            END IF;
        END $$;
        {GIVE_UP_RUNS.format(run=run, run_step=run_step)};
        INSERT INTO {event} ({", ".join(restored)}) VALUES ({values});
        COMMIT;
    """.encode()


def _literal(value: str | int | None) -> str:
    if value is None:
        return "NULL"
    return str(value) if isinstance(value, int) else "'" + value.replace("'", "''") + "'"


def failure(program: str, said: str) -> StoreError:
    """The first error's own line: the lines that follow it may show a row."""
    told = re.search("error: *(.*)", said, re.IGNORECASE)
    reason = told[1] if told else "it does not say why"
    hint = "Nothing was changed."
    if "lock timeout" in reason:
        hint = "The store is in use: stop what works with it, then try again."
    elif "version mismatch" in reason:
        hint = "Install PostgreSQL's client programs of the server's version or newer."
    return StoreError(f"{program} has failed: {reason}", where="PostgreSQL", hint=hint)


def _path(program: str) -> str:
    found = shutil.which(program)
    if found is None:
        raise ConfigurationError(
            f"{program} is not installed.",
            hint="Install PostgreSQL's client programs of the server's version or newer (Debian: apt-get install"
            " postgresql-client; Fedora: dnf install postgresql), or add their folder to PATH.",
        )
    return found


def target_of(settings: Settings) -> tuple[dict[str, str], str]:
    """Environment and connection: the password is in the former, for the latter is seen by all users of the machine."""
    given = {
        name: str(value) for name, value in conninfo_to_dict(settings.store).items() if value is not None
    }
    password = given.pop("password", None)
    secret = {} if password is None else {"PGPASSWORD": password}
    return {**os.environ, **secret}, make_conninfo(**given)


@contextmanager
def _connected(settings: Settings) -> Iterator[Connection]:
    engine = make_engine(settings)
    try:
        with looking(engine) as connection:
            yield connection
    finally:
        engine.dispose()


def _schema(connection: Connection) -> str:
    return str(connection.execute(text("SELECT current_schema()")).scalar_one())
