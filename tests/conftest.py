"""Every test that asks for `engine`, or for a store made with it, runs on SQLite and on PostgreSQL."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.engines import ENGINES, SQLITE, Engine
from tests.postgresql import PostgresqlMissingError, Server, SessionFolder

_FOLDER = pytest.StashKey[SessionFolder]()
_SERVER = pytest.StashKey[Server]()
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
def shared_folder(pytestconfig, tmp_path_factory) -> Path:
    """The same for all workers of the session."""
    base = tmp_path_factory.getbasetemp()
    return base.parent if hasattr(pytestconfig, "workerinput") else base


@pytest.fixture(scope="session")
def postgresql(pytestconfig) -> Iterator[Server]:
    """The session's server; its client programs come first in PATH."""
    given = getattr(pytestconfig, "workerinput", None)
    try:
        server = Server(Path(given[_GIVEN]) if given else pytestconfig.stash[_FOLDER].path)
    except PostgresqlMissingError as error:
        pytest.fail(str(error), pytrace=False)
    pytestconfig.stash[_SERVER] = server
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", str(server.programs), prepend=os.pathsep)
        yield server


@pytest.fixture(scope="session")
def engine_of(request) -> Callable[[str], Engine]:
    """The engine of a name, for a test that wants both at once."""
    return lambda name: Engine(name, None if name == SQLITE else request.getfixturevalue("postgresql"))


@pytest.fixture(scope="session", params=ENGINES)
def engine(request, engine_of) -> Engine:
    """Which engine the store is on."""
    return engine_of(request.param)


@pytest.fixture(autouse=True)
def _databases_go_with_their_folder(request, pytestconfig):
    yield
    if (server := pytestconfig.stash.get(_SERVER, None)) and "tmp_path" in request.node.funcargs:
        server.drop_below(request.node.funcargs["tmp_path"])
