"""Every test that asks for `engine`, or for a store made with it, runs on SQLite and on PostgreSQL."""

from pathlib import Path

import pytest

from tests.engines import ENGINES, SQLITE, Engine
from tests.postgresql import PostgresqlMissing, Server, SessionFolder

_FOLDER = pytest.StashKey[SessionFolder]()
_GIVEN = "postgresql_folder"


def pytest_configure(config):
    if not hasattr(config, "workerinput"):
        config.stash[_FOLDER] = SessionFolder()


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node):
    """A worker of pytest-xdist is told where the session's server is."""
    node.workerinput[_GIVEN] = str(node.config.stash[_FOLDER].path)


def pytest_unconfigure(config):
    if _FOLDER in config.stash:
        config.stash[_FOLDER].close()


@pytest.fixture(scope="session")
def postgresql(pytestconfig) -> Server:
    given = getattr(pytestconfig, "workerinput", None)
    try:
        return Server(Path(given[_GIVEN]) if given else pytestconfig.stash[_FOLDER].path)
    except PostgresqlMissing as error:
        pytest.fail(str(error), pytrace=False)


@pytest.fixture(scope="session", params=ENGINES)
def engine(request) -> Engine:
    """Which engine the store is on."""
    name = request.param
    return Engine(name, None if name == SQLITE else request.getfixturevalue("postgresql"))


@pytest.fixture(autouse=True)
def _databases_go_with_their_folder(request):
    yield
    made = request.node.funcargs
    if (using := made.get("engine")) is not None and using.server is not None and "tmp_path" in made:
        using.server.drop_below(made["tmp_path"])
