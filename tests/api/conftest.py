"""A village behind the API: three registries, one of them sealed, and somebody in each role."""

from functools import partial

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from mdm.pipeline.run import run
from mdm.settings import Settings
from tests.api.hamlet import Hamlet, add_people, configure, open_hamlet
from tests.engines import SQLITE
from tests.sharing import once
from tests.village import Village, village_settings


@pytest.fixture(scope="session")
def hamlet_store(engine, shared_folder) -> Settings:
    """Nobody writes to it: tests work on copies."""

    def make(folder):
        made = open_hamlet(engine, folder)
        (folder / "store").write_text(made.model_dump_json())

    folder = once(shared_folder / f"hamlet-{engine.name}", make)
    return Settings.model_validate_json((folder / "store").read_text())


@pytest.fixture(scope="session")
def asking_on(shared_folder):
    """Of an engine: four corrections that would split people with numbers, three of `tax`, one of the sealed `school`."""

    def make(engine, folder):
        settings = village_settings(engine, folder)
        configure(settings)
        village = Village(settings)
        people = {f"p{n}": {"full_name": "Lê An", "file_no": f"F{n}"} for n in range(4)}
        village.deliver_rows("population", people)
        village.deliver_rows(
            "tax", {f"90000000{n}": {"full_name": "Lê An", "file_no": f"F{n}"} for n in range(3)}
        )
        village.deliver_rows("school", {"s3": {"full_name": "Lê An", "file_no": "F3"}})
        run(settings)
        village.deliver_rows(
            "tax", {f"90000000{n}": {"full_name": "Lê An", "file_no": f"G{n}"} for n in range(3)}
        )
        village.deliver_rows("school", {"s3": {"full_name": "Lê An", "file_no": "G3"}})
        run(settings)
        village.close()
        add_people(settings)
        (folder / "store").write_text(settings.model_dump_json())

    return lambda engine: once(shared_folder / f"asking-{engine.name}", partial(make, engine))


@pytest.fixture(scope="session")
def asking_store(engine, asking_on):
    return asking_on(engine)


@pytest.fixture
def hamlet(engine, hamlet_store, tmp_path):
    """The store of its own for a test, with the server's app running on it."""
    copied = engine.copy(hamlet_store, tmp_path)
    settings = copied.model_copy(update={"configs": hamlet_store.configs, "threads": 1})
    with TestClient(create_app(settings)) as client:
        yield Hamlet(client, settings)


@pytest.fixture(scope="module")
def role_hamlet(engine_of, tmp_path_factory):
    """On one engine: what a role may do is decided before the store is asked."""
    settings = open_hamlet(engine_of(SQLITE), tmp_path_factory.mktemp("roles"))
    with TestClient(create_app(settings)) as client:
        yield Hamlet(client, settings)


@pytest.fixture(scope="module")
def shared_hamlet(engine, hamlet_store, tmp_path_factory):
    """As `hamlet`, for tests that only read."""
    folder = tmp_path_factory.mktemp("hamlet")
    copied = engine.copy(hamlet_store, folder)
    settings = copied.model_copy(update={"configs": hamlet_store.configs, "threads": 1})
    with TestClient(create_app(settings)) as client:
        yield Hamlet(client, settings)
