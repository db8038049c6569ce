"""Backup and restore of a PostgreSQL store, by the server's own programs pg_dump, pg_restore and psql.

A dump is of the schema that the store's tables are in, and of the snapshot that the manifest was read from. A restore is one
transaction: the script of `pg_restore` runs in `psql` between a BEGIN and a COMMIT that is sent last, after everything was checked.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from psycopg.conninfo import conninfo_to_dict, make_conninfo
from sqlalchemy import func, inspect, select, text
from sqlalchemy.exc import OperationalError

from mdm.errors import ConfigurationError, StoreError
from mdm.store.backup.facts import GIVE_UP_RUNS, StoreFacts, read_facts
from mdm.store.engine import make_engine
from mdm.store.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
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
    program, environment, target = _program("pg_dump"), *_target(settings)
    with _connected(settings) as connection:
        connection.execution_options(isolation_level="REPEATABLE READ")
        facts, schema = read_facts(connection), _schema(connection)
        exported = connection.execute(select(func.pg_export_snapshot())).scalar_one()
        tables = [f'--table="{schema}"."{name}"' for name in inspect(connection).get_table_names(schema)]
        command = [program, *_DUMP, f"--snapshot={exported}", *tables, f"--dbname={target}"]
        with tempfile.TemporaryFile() as said:
            process = subprocess.Popen(  # noqa: S603
                command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=said, env=environment
            )
            try:
                yield facts, schema, _output(process, said)
            finally:
                process.kill()
                process.wait()


def present(settings: Settings) -> bool:
    with _connected(settings) as connection:
        found = inspect(connection).get_table_names(_schema(connection))
    return not set(_TABLES).isdisjoint(found)


def put(
    settings: Settings,
    content: Iterable[bytes],
    facts: StoreFacts,
    *,
    schema: str,
    size: int,
    tell: Callable[[float, str], None],
) -> None:
    """Makes the store what the content is; the present one stays until all of it is there.

    Raises:
        StoreError: the content is not what `facts` say; or the present store is in use.
    """
    reader, loader = _program("pg_restore"), _program("psql")
    environment, target = _target(settings)
    with _connected(settings) as connection:
        here = _schema(connection)
    if here != schema:
        raise StoreError(
            f"The backup is of the schema {schema}, and the tables would go to {here}.",
            hint="Set search_path in the store's URL.",
        )
    with tempfile.TemporaryFile() as said:
        psql = subprocess.Popen(  # noqa: S603
            [loader, *_PSQL, f"--dbname={target}"],
            stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=said, env=environment,
        )  # fmt: skip
        assert psql.stdin is not None
        try:
            with suppress(BrokenPipeError):  # psql has ended, and says why
                _send(psql.stdin, _beginning(schema))
                if _read_script(reader, content, size, into=psql.stdin, tell=tell):
                    _send(psql.stdin, _ending(schema, facts))
            with suppress(BrokenPipeError):
                psql.stdin.close()
            if psql.wait() != 0:
                raise _failed("psql", said)
        finally:
            psql.kill()
            psql.wait()


def _read_script(
    reader: str, content: Iterable[bytes], size: int, *, into: IO[bytes], tell: Callable[[float, str], None]
) -> bool:
    """Lets pg_restore write its script; False where nobody takes it any more."""
    with tempfile.TemporaryFile() as said:
        process = subprocess.Popen(  # noqa: S603
            [reader, *_SCRIPT], stdin=subprocess.PIPE, stdout=into, stderr=said
        )
        assert process.stdin is not None
        try:
            done = 0
            with suppress(BrokenPipeError):
                for block in content:
                    process.stdin.write(block)
                    done += len(block)
                    tell(done / size, "restoring")
            with suppress(BrokenPipeError):
                process.stdin.close()
            if done < size:
                return False
            if process.wait() != 0:
                raise _failed("pg_restore", said)
            return True
        finally:
            process.kill()
            process.wait()


def _beginning(schema: str) -> str:
    """The tables of a later version may not be in the backup, so that it would not replace them."""
    names = ", ".join(f'"{schema}"."{name}"' for name in _TABLES)
    return (
        "BEGIN; SET LOCAL client_min_messages = warning; SET LOCAL lock_timeout = '5s';\n"
        f"DROP TABLE IF EXISTS {names};\n"
    )


def _ending(schema: str, facts: StoreFacts) -> str:
    event, meta, run, run_step = (f'"{schema}"."{name}"' for name in ("event", "meta", "run", "run_step"))
    return f"""
        DO $$ BEGIN
            IF (SELECT COUNT(*) FROM {event}) <> {facts.events}
                OR NOT EXISTS (SELECT 1 FROM {meta} WHERE name = 'store_id' AND value = '{facts.store_id}')
            THEN RAISE EXCEPTION 'the backup holds another store than its manifest says';
            END IF;
        END $$;
        {GIVE_UP_RUNS.format(run=run, run_step=run_step)};
        COMMIT;
    """


def _send(pipe: IO[bytes], script: str) -> None:
    pipe.write(script.encode())
    pipe.flush()


def _output(process: subprocess.Popen[bytes], said: IO[bytes]) -> Iterator[bytes]:
    assert process.stdout is not None
    while block := process.stdout.read(_AT_ONCE):
        yield block
    if process.wait() != 0:
        raise _failed("pg_dump", said)


def _failed(program: str, said: IO[bytes]) -> StoreError:
    """The first error's own line: the lines that follow it may show a row."""
    said.seek(0)
    lines = said.read().decode(errors="replace").splitlines()
    first = next((line for line in lines if "error:" in line.lower()), "it said no more")
    reason = first.partition("rror:")[2].strip() or first
    hint = "Nothing was changed."
    if "lock timeout" in reason:
        hint = "The store is in use: stop what works with it, then try again."
    elif "version mismatch" in reason:
        hint = "Install PostgreSQL's client programs of the server's version or newer."
    return StoreError(f"{program} has failed: {reason}", where="PostgreSQL", hint=hint)


def _program(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        raise ConfigurationError(
            f"{name} is not installed.",
            hint="Install PostgreSQL's client programs of the server's version or newer (Debian: apt-get install"
            " postgresql-client; Fedora: dnf install postgresql), or add their folder to PATH.",
        )
    return found


def _target(settings: Settings) -> tuple[dict[str, str], str]:
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
        with engine.connect() as connection:
            yield connection
    except OperationalError as error:
        raise StoreError(
            "The store cannot be opened.",
            where="PostgreSQL",
            hint="Check --store or MDM_STORE, and that the server runs.",
        ) from error
    finally:
        engine.dispose()


def _schema(connection: Connection) -> str:
    return str(connection.execute(text("SELECT current_schema()")).scalar_one())
