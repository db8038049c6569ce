"""Which parameters of a query may be repeated."""

from typing import Annotated

import pytest
from fastapi import APIRouter, Query
from fastapi.testclient import TestClient

from api.app import create_app
from api.security import ByStaff
from tests.api.hamlet import Hamlet, open_hamlet
from tests.engines import SQLITE


@pytest.fixture
def with_a_list(engine_of, tmp_path):
    """A router of another room, put under /v1."""
    routes = APIRouter()

    @routes.get("/things")
    def things(
        asked: ByStaff, kinds: Annotated[list[str] | None, Query()] = None, one: str = ""
    ) -> dict[str, str]:
        return {"by": asked.actor, "kinds": ",".join(kinds or []), "one": one}

    settings = open_hamlet(engine_of(SQLITE), tmp_path)
    with TestClient(create_app(settings, more=[routes])) as client:
        yield Hamlet(client, settings)


def test_a_list_is_repeated_and_a_single_value_is_not(with_a_list: Hamlet):
    answer = with_a_list.get("/v1/things?kinds=a&kinds=b&one=c")
    assert answer.json() == {"by": "key:steward", "kinds": "a,b", "one": "c"}
    assert with_a_list.get("/v1/things?one=a&one=b").status_code == 422
    assert with_a_list.get("/v1/things?kind=a").status_code == 422
