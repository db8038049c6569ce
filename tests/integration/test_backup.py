"""A backup is the store of one instant in one file; a restore leaves the old store or the new one, whatever happens meanwhile."""

import hashlib
import json
import os
import random
import signal
import subprocess
import sys
import threading
import time
import zipfile
from uuid import UUID

import pytest
from sqlalchemy import func, insert, select
from typer.testing import CliRunner

from mdm.cli import app
from mdm.errors import ConfigurationError, InputError, StoreError
from mdm.identity.events import EventKind
from mdm.pipeline import run as run_module
from mdm.pipeline.ingest import Ingest
from mdm.pipeline.run import STEPS, run
from mdm.pipeline.verify import verify
from mdm.settings import Settings
from mdm.store import tables
from mdm.store.backup import backup, restore
from mdm.store.backup.file import open_backup, write_backup
from mdm.store.backup.postgresql import failure, target_of
from mdm.store.engine import make_engine
from mdm.store.keys import make_key, make_log_key
from mdm.store.schema import create
from mdm.store.sequences import mark_file
from tests.engines import by_day_on_sqlite, environment
from tests.integration.test_delta import partition

RUNNER = CliRunner()


@pytest.fixture(scope="session")
def kept(finished, tmp_path_factory):
    """A backup of the finished store."""
    path = tmp_path_factory.mktemp("kept") / "finished.backup"
    backup(finished, path)
    return path


@pytest.fixture
def place(engine, tmp_path):
    """Where there is no store yet."""
    (tmp_path / "place").mkdir()
    return engine.settings(tmp_path / "place")


@pytest.fixture
def other(place):
    """Another store in that place, with keys of its own put away."""
    create(place)
    return place


def content(settings):
    """Every row of every table, save the events that tell of a restore."""
    engine = make_engine(settings)
    try:
        with engine.connect() as connection:
            return {
                table.name: sorted(map(repr, connection.execute(_but_restores(table)).all()))
                for table in tables.metadata.sorted_tables
            }
    finally:
        engine.dispose()


def _but_restores(table):
    every = select(table)
    return every.where(table.c.kind != EventKind.STORE_RESTORED) if table is tables.event else every


def wrong(settings):
    return [(check.name, check.wrong) for check in verify(settings) if check.wrong]


def without_store(settings):
    with pytest.raises(StoreError, match="store"):
        backup(settings, settings.beside_store / "never.backup")
    return True


def forged(path, into, *, part=None, **values):
    """The backup with a manifest that says something else, of itself or in a part (store, content), sealed anew."""

    def describe(written):
        made = opened.manifest.model_copy(update={"content": written})
        told = values if part is None else {part: getattr(made, part).model_copy(update=values)}
        return made.model_copy(update=told)

    with open_backup(path) as opened:
        name = opened.manifest.content.name
        write_backup(into, opened.content(), name=name, compress=False, describe=describe)
    return into


def test_what_is_restored_is_every_row_of_the_store(finished, kept, place):
    restored = restore(place, kept)
    assert content(place) == content(finished)
    assert wrong(place) == []
    assert (restored.older_schema, restored.missing_keys) == (False, ["SSN key", "log key"])


def test_the_manifest_tells_what_is_in_it(finished, kept):
    with zipfile.ZipFile(kept) as archive:
        told = json.loads(archive.read("manifest.json"))
        inside = archive.read(told["content"]["name"])
    assert told["content"]["size"] == len(inside)
    assert told["content"]["sha256"] == hashlib.sha256(inside).hexdigest()
    rows = content(finished)
    assert told["store"]["events"] == len(rows["event"]) > 1_000
    engine = make_engine(finished)
    with engine.connect() as connection:
        latest = select(tables.checkpoint).order_by(tables.checkpoint.c.size.desc())
        signed = connection.execute(latest).mappings().first()
        known = dict(connection.execute(select(tables.meta)).all())
    engine.dispose()
    assert told["store"]["checkpoint"] == {name: signed[name] for name in ("size", "at", "root")}
    assert told["store"]["store_id"] == known["store_id"]
    assert told["store"]["ssn_key_fingerprint"] == known["ssn_key_fingerprint"]
    assert told["store"]["log_public_key"] == known["log_public_key"]


def test_no_secret_key_is_in_it(finished, kept):
    with zipfile.ZipFile(kept) as archive:
        inside = b"".join(archive.read(name) for name in archive.namelist())
    secret = finished.key_file.read_text(encoding="ascii").strip()
    assert secret.encode() not in inside
    assert bytes.fromhex(secret) not in inside
    assert finished.log_key_file.read_bytes().splitlines()[1] not in inside


def test_only_its_owner_can_read_it_and_its_seal_can_be_checked_by_hand(kept):
    assert kept.stat().st_mode & 0o777 == 0o600
    data = kept.read_bytes()
    assert hashlib.sha256(data[:-64]).hexdigest().encode() == data[-64:]


def test_a_backup_is_of_one_instant_while_others_write(engine, finished, tmp_path):
    """The writer puts a row into each of two tables in one transaction; no backup may have one without the other."""
    (tmp_path / "written").mkdir()
    settings = engine.copy(finished, tmp_path / "written")
    stop, writes = threading.Event(), []
    node, key = tables.log_node, tables.idempotency

    def write():
        made = make_engine(settings)
        while not stop.is_set():
            number = len(writes)
            with made.begin() as connection:
                connection.execute(insert(node).values(level=62, position=number, hash="a"))
                connection.execute(
                    insert(key).values(key=f"k{number}", request="r", first_event=1, last_event=1)
                )
            writes.append(number)
        made.dispose()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for number in range(4):
            seen = len(writes)
            while len(writes) == seen and writer.is_alive():
                time.sleep(0.001)
            backup(settings, tmp_path / f"{number}.backup")
    finally:
        stop.set()
        writer.join()
    counts = []
    for number in range(4):
        (tmp_path / str(number)).mkdir()
        place = engine.settings(tmp_path / str(number))
        restore(place, tmp_path / f"{number}.backup")
        made = make_engine(place)
        with made.connect() as connection:
            nodes = connection.execute(
                select(func.count()).select_from(node).where(node.c.level == 62)
            ).scalar_one()
            assert connection.execute(select(func.count()).select_from(key)).scalar_one() == nodes
        made.dispose()
        counts.append(nodes)
    assert counts == sorted(set(counts))
    assert 0 < counts[0] <= counts[-1] <= len(writes)


def test_a_backup_that_was_cut_is_refused_and_nothing_is_changed(kept, other, tmp_path):
    before, data = content(other), kept.read_bytes()
    cut = tmp_path / "cut.backup"
    for length in (0, 1, 70, 71, 1000, len(data) // 2, len(data) - 65, len(data) - 64, len(data) - 1):
        cut.write_bytes(data[:length])
        with pytest.raises(InputError, match="cut or changed"):
            restore(other, cut, force=True)
    cut.write_bytes(data + b"0")
    with pytest.raises(InputError, match="cut or changed"):
        restore(other, cut, force=True)
    assert content(other) == before


def test_a_backup_of_which_any_byte_was_changed_is_refused(kept, place, tmp_path):
    data, draw = kept.read_bytes(), random.Random(5)
    spoilt = tmp_path / "spoilt.backup"
    places = {
        0,
        10,
        len(data) - 1,
        len(data) - 64,
        len(data) - 65,
        len(data) - 80,
        data.index(b"manifest.json"),
    }
    for position in sorted(places | {draw.randrange(len(data)) for _ in range(20)}):
        spoilt.write_bytes(
            data[:position] + bytes([data[position] ^ 1 << draw.randrange(8)]) + data[position + 1 :]
        )
        with pytest.raises(InputError, match="cut or changed"):
            restore(place, spoilt)
    assert without_store(place)


def test_content_that_is_not_the_manifests_is_refused_though_the_seal_is_whole(kept, other, tmp_path):
    before = content(other)
    for name, value in (("events", 7), ("store_id", UUID("6ee19f34-9b5c-4ef7-b13f-2f6a3a1b9f53"))):
        path = forged(kept, tmp_path / name, part="store", **{name: value})
        with pytest.raises(StoreError, match="another store than its manifest"):
            restore(other, path, force=True)
    path = forged(kept, tmp_path / "hash", part="content", sha256="0" * 64)
    with pytest.raises(InputError, match="cut or changed"):
        restore(other, path, force=True)
    assert content(other) == before


def test_a_file_that_is_no_backup_is_refused(place, tmp_path):
    (tmp_path / "any.zip").write_bytes(b"PK" + bytes(5000))
    for path in (tmp_path / "any.zip", tmp_path / "none", tmp_path):
        with pytest.raises(InputError):
            restore(place, path)
    assert without_store(place)


def test_a_store_that_is_there_is_replaced_only_on_demand(finished, kept, other):
    before = content(other)
    with pytest.raises(StoreError, match="--force"):
        restore(other, kept)
    assert content(other) == before
    restore(other, kept, force=True)
    assert content(other) == content(finished) != before


def test_a_restored_store_goes_on_as_if_nothing_had_happened(engine, finished, kept, country, tmp_path):
    """With its keys beside it: the next delivery and run give a sound store."""
    (tmp_path / "copy").mkdir()
    settings = engine.copy(finished, tmp_path / "copy")
    restored = restore(settings, kept, force=True)
    assert restored.missing_keys == []
    assert run(settings).nothing_to_do
    assert Ingest(settings).folder(country.files / "delivery-2").failed == []
    run(settings)
    assert wrong(settings) == []


KILLED = """
import os, signal, sys
from pathlib import Path
from mdm.settings import Settings
from mdm.store.backup import file, restore, sqlite
file._AT_ONCE, sqlite._PAGES_AT_ONCE = 1 << 14, 40
share = float(sys.argv[2])
def tell(done, doing):
    if done >= share:
        os.kill(os.getpid(), signal.SIGKILL)
restore(Settings(), Path(sys.argv[1]), force=True, tell=tell)
"""


@pytest.mark.parametrize("share", [0.0, 0.5, 0.97])
def test_a_restore_that_is_killed_leaves_the_old_store(finished, kept, other, share):
    before = content(other)
    process = subprocess.run(
        [sys.executable, "-c", KILLED, str(kept), str(share)],
        check=False,
        env={**os.environ, **environment(other)},
    )
    assert process.returncode == -signal.SIGKILL
    assert content(other) == before
    restore(other, kept, force=True)
    assert content(other) == content(finished)


def test_a_restore_that_is_killed_at_any_instant_leaves_one_store_or_the_other(
    engine, finished, kept, tmp_path
):
    draw, new = random.Random(3), content(finished)
    for number in range(4):
        folder = tmp_path / str(number)
        folder.mkdir()
        settings = engine.settings(folder)
        create(settings)
        old = content(settings)
        process = subprocess.Popen(
            [sys.executable, "-m", "mdm.cli", "restore", str(kept), "--force"],
            env={**os.environ, **environment(settings)}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        time.sleep(draw.uniform(0.5, 1.6))
        process.kill()
        process.wait()
        assert content(settings) in (old, new)


@by_day_on_sqlite
def test_a_run_that_was_not_finished_begins_anew_after_a_restore(
    engine, finished, country, place, tmp_path, monkeypatch
):
    """Its working files are not in the backup."""
    (tmp_path / "stopped").mkdir()
    settings = engine.copy(finished, tmp_path / "stopped")
    Ingest(settings).folder(country.files / "delivery-2")

    def stopped(*_):
        raise RuntimeError("stopped")

    with monkeypatch.context() as patch:
        patch.setitem(run_module.STEPS, "golden", stopped)
        with pytest.raises(RuntimeError, match="stopped"):
            run(settings)
    backup(settings, tmp_path / "stopped.backup")
    for file in (settings.key_file, settings.log_key_file, mark_file(settings)):
        place.key_file.parent.mkdir(parents=True, exist_ok=True)
        (place.key_file.parent / file.name).write_bytes(file.read_bytes())
    restore(place, tmp_path / "stopped.backup")
    report = run(place)
    assert report.resumed
    assert [(step.step, step.earlier) for step in report.steps] == [(name, False) for name in STEPS]
    assert wrong(place) == []
    run(settings)
    assert partition(place) == partition(settings)
    assert run(place, force=True).changed_anything is False


def test_a_wrong_key_in_its_place_refuses_the_restore_and_a_right_one_is_told(engine, finished, kept, other):
    before = content(other)
    make_key(other)
    with pytest.raises(ConfigurationError, match="SSN key is not the one"):
        restore(other, kept, force=True)
    other.key_file.write_bytes(finished.key_file.read_bytes())
    make_log_key(other)
    after = content(other)
    with pytest.raises(ConfigurationError, match="log key is not the one"):
        restore(other, kept, force=True)
    assert content(other) == after != before
    other.log_key_file.write_bytes(finished.log_key_file.read_bytes())
    assert restore(other, kept, force=True).missing_keys == []


def test_a_backup_that_fails_leaves_the_earlier_one(finished, place, tmp_path):
    path = tmp_path / "mine.backup"
    path.write_text("earlier")
    with pytest.raises(StoreError):
        backup(place, path)
    create(place)
    with pytest.raises(StoreError, match="cannot be written"):
        backup(place, tmp_path / "nowhere" / "mine.backup")

    def failing():
        yield b"x" * 5000
        raise RuntimeError("failing")

    with pytest.raises(RuntimeError, match="failing"):
        write_backup(path, failing(), name="x", compress=True, describe=lambda _: None)
    assert path.read_text() == "earlier"
    assert sorted(entry.name for entry in tmp_path.iterdir() if entry.is_file()) == ["mine.backup"]


def test_a_backup_of_another_engine_or_a_newer_version_is_refused(engine, kept, place, tmp_path):
    opposite = "postgresql" if engine.name == "sqlite" else "sqlite"
    path = forged(kept, tmp_path / "engine", engine=opposite)
    with pytest.raises(StoreError, match=f"on {opposite}"):
        restore(place, path)
    path = forged(kept, tmp_path / "newer", part="store", revision="9999")
    with pytest.raises(StoreError, match="newer version"):
        restore(place, path)
    path = forged(kept, tmp_path / "format", format="mdm-backup/2")
    with pytest.raises(InputError, match="not understood"):
        restore(place, path)
    assert without_store(place)


def test_the_commands_say_what_was_done_and_what_is_missing(finished, place, tmp_path):
    def mdm(*arguments, status=0):
        result = RUNNER.invoke(app, [str(a) for a in arguments], env={"COLUMNS": "200"})
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        return result

    work = {} if place.work is None else {"MDM_WORK": str(place.work)}
    os.environ.update(work)
    try:
        path = tmp_path / "store.backup"
        mdm("backup", "--out", path, "--store", finished.store)
        assert "--force" in mdm("backup", "--out", path, "--store", finished.store, status=4).output
        told = json.loads(mdm("backup", "--out", path, "--force", "--json", "--store", finished.store).stdout)
        said = mdm("restore", path, "--store", place.store).output
        assert f"{told['store']['events']:,} events" in said
        assert "mdm verify" in said
        assert "SSN key and log key" in said
        assert "--force" in mdm("restore", path, "--store", place.store, status=5).output
        again = json.loads(mdm("restore", path, "--force", "--json", "--store", place.store).stdout)
        assert again["missing_keys"] == ["SSN key", "log key"]
        assert again["content"] == told["content"]
        assert "sound" in mdm("verify", "--store", place.store).output
    finally:
        for name in work:
            del os.environ[name]


def test_missing_programs_of_postgresql_are_named_with_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    settings = Settings(store="postgresql:///none", work=tmp_path)
    with pytest.raises(ConfigurationError, match=r"pg_dump is not installed.*postgresql-client"):
        backup(settings, tmp_path / "x.backup")


def test_a_password_is_not_among_the_arguments_of_a_program():
    environment, target = target_of(
        Settings(store="postgresql://me:s3cret@localhost:5433/db?sslmode=require")
    )
    assert environment["PGPASSWORD"] == "s3cret"
    assert "s3cret" not in target
    assert all(part in target for part in ("me", "localhost", "5433", "db", "sslmode=require"))


def test_what_a_program_says_of_a_row_is_not_passed_on():
    said = (
        'psql:<stdin>:7: ERROR:  duplicate key value violates unique constraint "pk_ssn"\n'
        "DETAIL:  Key (number)=(212345678901) already exists.\nCONTEXT:  COPY ssn, line 3\n"
    )
    text = str(failure("psql", said))
    assert "pk_ssn" in text
    assert "212345678901" not in text


def test_a_store_that_is_in_use_is_left_as_it_is(kept, other):
    before = content(other)
    engine = make_engine(other)
    with engine.connect() as connection:
        connection.execute(select(tables.meta)).all()
        with pytest.raises(StoreError, match="in use"):
            restore(other, kept, force=True)
    engine.dispose()
    assert content(other) == before
    restore(other, kept, force=True)


@pytest.fixture
def on_sqlite(tmp_path):
    """Settings of no store yet, and a backup for them."""
    first = Settings(store=str(tmp_path / "first.db"))
    create(first)
    backup(first, tmp_path / "first.backup")
    return Settings(store=str(tmp_path / "mdm.db")), tmp_path / "first.backup"


def test_a_damaged_file_is_left_for_the_user_to_move_away(on_sqlite):
    settings, path = on_sqlite
    settings.store_file.write_bytes(b"no store at all " * 4096)
    with pytest.raises(StoreError, match="move it away"):
        restore(settings, path, force=True)
    assert settings.store_file.read_bytes() == b"no store at all " * 4096


def test_the_log_of_a_store_that_is_gone_is_not_read_into_the_restored_one(on_sqlite):
    settings, path = on_sqlite
    settings.store_file.with_name("mdm.db-wal").write_bytes(b"left")
    with pytest.raises(StoreError, match="Move it away"):
        restore(settings, path)
    assert not settings.store_file.exists()
