import pytest

from tests.integration.job import Country, copied, finished_job, make_country
from tests.integration.story import Story, tell_story


@pytest.fixture(scope="session")
def country(tmp_path_factory) -> Country:
    return make_country(tmp_path_factory.mktemp("country"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory, country):
    """Settings of a store after the first delivery and a run. Tests that write work on a copy."""
    return finished_job(tmp_path_factory.mktemp("finished"), country)


@pytest.fixture(scope="session")
def story(tmp_path_factory, finished, country) -> Story:
    """A store of its own through everything that can happen to a person. Tests read it only."""
    folder = tmp_path_factory.mktemp("story")
    return tell_story(copied(finished, folder), country, folder)
