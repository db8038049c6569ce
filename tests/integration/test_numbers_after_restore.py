"""No number is given to two people, also where the store goes back to a backup that does not know it."""

import pickle

import pyarrow as pa
import pytest

from mdm.errors import StoreError
from mdm.pipeline import number_step
from mdm.pipeline.ingest import Ingest
from mdm.pipeline.run import run
from mdm.pipeline.verify import verify
from mdm.settings import Settings
from mdm.store.backup import backup, restore
from mdm.store.sequences import Mark, mark_file
from tests.engines import by_day_on_sqlite
from tests.integration.job import rows, scalar
from tests.sharing import once

NUMBERS = pa.schema([("number", pa.string())])


@pytest.fixture(scope="session")
def went_on(engine, finished, country, shared_folder):
    """A folder with a store that issued numbers after its backup, the backup, and the numbers before and after."""

    def make(folder):
        settings = engine.copy(finished, folder)
        before = numbers(settings)
        backup(settings, folder / "old.backup")
        go_on(settings, country)
        after = numbers(settings) - before
        assert after
        (folder / "told").write_bytes(pickle.dumps((settings.model_dump(), before, after)))

    return once(shared_folder / f"went-on-{engine.name}", make)


@pytest.fixture
def lives(engine, went_on, tmp_path):
    """A copy of such a store: its settings, the backup, numbers before and after."""
    settings, before, after = pickle.loads((went_on / "told").read_bytes())
    (tmp_path / "live").mkdir()
    copied = engine.copy(Settings.model_validate(settings), tmp_path / "live")
    return copied, went_on / "old.backup", before, after


@pytest.fixture
def elsewhere(engine, tmp_path):
    """Where there is no store yet."""
    (tmp_path / "elsewhere").mkdir()
    return engine.settings(tmp_path / "elsewhere")


def numbers(settings):
    return {row["number"] for row in rows(settings, "SELECT number FROM ssn", NUMBERS)}


def go_on(settings, country):
    assert Ingest(settings).folder(country.files / "delivery-2").failed == []
    run(settings)


def wrong(settings):
    return [(check.name, check.wrong) for check in verify(settings) if check.wrong]


def bring(files, settings):
    settings.key_file.parent.mkdir(parents=True, exist_ok=True)
    for file in files:
        (settings.key_file.parent / file.name).write_bytes(file.read_bytes())


def check_none_twice(settings, country, before, after):
    go_on(settings, country)
    issued = numbers(settings) - before
    assert len(issued) == len(after)
    assert issued.isdisjoint(after)
    assert wrong(settings) == []


def test_over_the_store_that_issued_them(lives, country):
    settings, old, before, after = lives
    mark_file(settings).unlink()
    assert restore(settings, old, force=True).numbers_known
    assert wrong(settings) == []
    check_none_twice(settings, country, before, after)


@by_day_on_sqlite
def test_twice_over_itself(lives, country):
    settings, old, before, after = lives
    restore(settings, old, force=True)
    go_on(settings, country)
    second = numbers(settings) - before
    mark_file(settings).unlink()
    restore(settings, old, force=True)
    check_none_twice(settings, country, before, after)
    assert (numbers(settings) - before).isdisjoint(second)


def test_elsewhere_with_the_mark(lives, elsewhere, country):
    settings, old, before, after = lives
    bring([settings.key_file, settings.log_key_file, mark_file(settings)], elsewhere)
    assert restore(elsewhere, old).numbers_known
    check_none_twice(elsewhere, country, before, after)


@by_day_on_sqlite
def test_where_nothing_tells_none_is_issued_until_a_person_says(lives, elsewhere, country):
    settings, old, before, after = lives
    bring([settings.key_file, settings.log_key_file], elsewhere)
    assert not restore(elsewhere, old).numbers_known
    assert wrong(elsewhere) == []
    assert Ingest(elsewhere).folder(country.files / "delivery-2").failed == []
    events = scalar(elsewhere, "SELECT COUNT(*) FROM event")
    with pytest.raises(StoreError, match="not known which numbers"):
        run(elsewhere)
    assert scalar(elsewhere, "SELECT COUNT(*) FROM event") == events
    assert not restore(elsewhere, old, force=True).numbers_known  # what is replaced knows no more
    assert restore(elsewhere, old, force=True, skip_numbers=1_000_000).numbers_known
    check_none_twice(elsewhere, country, before, after)
    assert scalar(elsewhere, "SELECT MAX(sequence) FROM ssn") > 1_000_000


def test_a_mark_that_knows_of_fewer_numbers_than_the_backup_is_not_taken(lives, elsewhere):
    settings, old, _, _ = lives
    bring([settings.key_file, mark_file(settings)], elsewhere)
    mark = Mark.model_validate_json(mark_file(elsewhere).read_bytes())
    fewer = {kind: places.model_copy(update={"before": 0, "after": 1}) for kind, places in mark.kinds.items()}
    mark_file(elsewhere).write_text(mark.model_copy(update={"kinds": fewer}).model_dump_json())
    assert not restore(elsewhere, old).numbers_known


def test_a_store_that_went_back_by_other_means_issues_none(engine, finished, lives, country, tmp_path):
    """A snapshot of its disk was brought back, and the mark is newer."""
    settings, _, _, _ = lives
    (tmp_path / "back").mkdir()
    back = engine.copy(finished, tmp_path / "back")
    bring([mark_file(settings)], back)
    assert Ingest(back).folder(country.files / "delivery-2").failed == []
    with pytest.raises(StoreError, match="earlier state of itself"):
        run(back)
    backup(back, tmp_path / "back.backup")
    restore(back, tmp_path / "back.backup", force=True)
    run(back)
    assert (numbers(back) - numbers(finished)).isdisjoint(numbers(settings))


def test_a_number_out_of_turn_is_found(lives, country, monkeypatch):
    settings, old, _, _ = lives
    restore(settings, old, force=True)
    monkeypatch.setattr(
        number_step,
        "set_aside",
        lambda _settings, scalar, kind, **_: scalar(
            f"SELECT MAX(sequence) + 1 FROM ssn WHERE kind = '{kind}'"
        ),
    )
    go_on(settings, country)
    ((name, found),) = wrong(settings)
    assert name == "numbers"
    assert "out of turn" in found
