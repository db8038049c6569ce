import pickle
from collections.abc import Callable
from functools import cache
from pathlib import Path

import pytest

from mdm.settings import Settings
from tests.engines import Engine
from tests.integration.job import KEY, Country, finished_job, fixed_source, make_country
from tests.integration.story import Story, tell_story
from tests.integration.test_concurrency import people
from tests.sharing import once
from tests.village import Village


@pytest.fixture(scope="session")
def country(shared_folder) -> Country:
    return Country(once(shared_folder / "country", make_country))


@pytest.fixture(scope="session")
def finished_on(tmp_path_factory, shared_folder, country) -> Callable[[Engine], Settings]:
    """A store of an engine after the first delivery and a run; moments, IDs and key are the same on every engine."""

    @cache
    def on(engine: Engine) -> Settings:
        def make(folder):
            made = finished_job(engine, folder, country, source=fixed_source(), key=KEY)
            (folder / "store").write_text(made.model_dump_json())

        folder = once(shared_folder / f"finished-{engine.name}", make)
        made = Settings.model_validate_json((folder / "store").read_text())
        return engine.copy(made, tmp_path_factory.mktemp("finished"))

    return on


@pytest.fixture(scope="session")
def finished(engine, finished_on) -> Settings:
    """Tests that write work on a copy: `engine.copy(finished, tmp_path)`."""
    return finished_on(engine)


@pytest.fixture(scope="session")
def story(engine, shared_folder, country) -> Story:
    """A store of its own through everything that can happen to a person. All workers read it; nobody writes."""

    def make(folder):
        told = tell_story(finished_job(engine, folder, country, key=KEY), country, folder)
        (folder / "story.pickle").write_bytes(pickle.dumps(told))

    folder = once(shared_folder / f"story-{engine.name}", make)
    return pickle.loads((folder / "story.pickle").read_bytes())


@pytest.fixture(scope="session")
def small_village_on(tmp_path_factory) -> Callable[[Engine, Path], Village]:
    """A village of six people after a run, in a folder."""

    @cache
    def made(engine: Engine) -> Settings:
        village = people(tmp_path_factory.mktemp("village"), engine, count=6)
        village.close()
        return village.settings

    def on(engine: Engine, folder: Path) -> Village:
        like = made(engine)
        copied = engine.copy(like, folder)
        return Village(copied.model_copy(update={"configs": like.configs, "threads": 1}), new=False)

    return on
