"""A village behind the API: three registries, one of them sealed, and somebody in each role."""

import pytest
from fastapi.testclient import TestClient

from api.app import create_app
from mdm.settings import Settings
from tests.api.hamlet import Hamlet, open_hamlet
from tests.engines import SQLITE
from tests.sharing import once


@pytest.fixture(scope="session")
def hamlet_store(engine, shared_folder) -> Settings:
    """Nobody writes to it: tests work on copies."""

    def make(folder):
        made = open_hamlet(engine, folder)
        (folder / "store").write_text(made.model_dump_json())

    folder = once(shared_folder / f"hamlet-{engine.name}", make)
    return Settings.model_validate_json((folder / "store").read_text())


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
