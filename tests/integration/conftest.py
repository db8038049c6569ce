import pytest

from tests.integration.job import Country, finished_job, make_country


@pytest.fixture(scope="session")
def country(tmp_path_factory) -> Country:
    return make_country(tmp_path_factory.mktemp("country"))


@pytest.fixture(scope="session")
def finished(tmp_path_factory, country):
    """Settings of a store after the first delivery and a run. Tests that write work on a copy."""
    return finished_job(tmp_path_factory.mktemp("finished"), country)
