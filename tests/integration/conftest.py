import os
import pickle
import shutil
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import pytest

from mdm.pipeline.indexing import make_index
from mdm.pipeline.ingest import Ingest
from mdm.pipeline.run import run
from mdm.settings import Settings, default_configs
from tests.engines import Engine
from tests.integration.job import KEY, Country, finished_job, fixed_source, make_country
from tests.integration.stewards import work_on
from tests.integration.story import Story, tell_story
from tests.integration.test_concurrency import people
from tests.sharing import once
from tests.village import Village


@pytest.fixture(scope="session", autouse=True)
def _small_samples(shared_folder) -> Iterator[None]:
    """The product's own declarations, but training draws a twentieth of the random pairs: for 400 people that is enough."""

    def make(folder: Path) -> None:
        shutil.copytree(default_configs(), folder, dirs_exist_ok=True)
        model = folder / "matching" / "person.yaml"
        declared = model.read_text(encoding="utf-8")
        assert "random_pairs: 2000000" in declared
        model.write_text(declared.replace("random_pairs: 2000000", "random_pairs: 100000"), encoding="utf-8")

    configs = once(shared_folder / "configs", make)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(os.environ, "MDM_CONFIGS", str(configs))
        yield


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
def lived_in(tmp_path_factory, shared_folder, country, engine, finished) -> Settings:
    """A store in which every table but a few has rows: two deliveries, stewards at work, and a match index."""

    def make(folder):
        made = engine.copy(finished, folder)
        make_index(made)
        Ingest(made).folder(country.files / "delivery-2")
        run(made)
        work_on(made)
        (folder / "store").write_text(made.model_dump_json())

    folder = once(shared_folder / f"lived-in-{engine.name}", make)
    made = Settings.model_validate_json((folder / "store").read_text())
    return engine.copy(made, tmp_path_factory.mktemp("lived-in"))


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
