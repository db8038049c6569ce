"""The description of the API: complete, and what the server does is what it says (schemathesis)."""

import json
import re

import pytest
import schemathesis
from fastapi.testclient import TestClient
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.app import create_app
from mdm.settings import Settings
from tests.api.hamlet import Hamlet, open_hamlet
from tests.engines import SQLITE

CHECKS = (
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
)


@pytest.fixture(scope="module")
def described():
    return create_app(Settings()).openapi()


def operations(described):
    return [
        (path, method, operation)
        for path, methods in described["paths"].items()
        for method, operation in methods.items()
    ]


def test_every_operation_is_described(described):
    tags = {tag["name"] for tag in described["tags"]}
    ids = [operation["operationId"] for _, _, operation in operations(described)]
    assert len(set(ids)) == len(ids)
    for path, _, operation in operations(described):
        assert operation["summary"], path
        assert set(operation["tags"]) <= tags, path
        if path.startswith("/v1/") and path != "/v1/sessions":
            assert operation["security"] == [{"bearer": []}], path
            assert {"401", "403", "422", "429"} <= set(operation["responses"]), path
            assert [p["required"] for p in operation["parameters"] if p["name"] == "x-purpose"] == [True], (
                path
            )


def test_every_problem_is_a_problem_detail(described):
    for path, _, operation in operations(described):
        for status, answer in operation["responses"].items():
            if status >= "400" and path != "/readyz":
                assert list(answer["content"]) == ["application/problem+json"], (path, status)
    assert "HTTPValidationError" not in json.dumps(described)


def test_every_body_refuses_unknown_fields_and_has_examples(described):
    schemas = described["components"]["schemas"]
    for path, _, operation in operations(described):
        body = operation.get("requestBody")
        if body is not None:
            (content,) = body["content"].values()
            name = content["schema"]["$ref"].rsplit("/", 1)[1]
            assert schemas[name]["additionalProperties"] is False, path
    for name, schema in schemas.items():
        for field, said in schema.get("properties", {}).items():
            kinds = {part.get("type") for part in said.get("anyOf", [said])}
            if kinds & {"string", "integer", "number"} and "Proof" not in name and name != "Problem":
                shown = json.dumps(said)
                assert "example" in shown or "enum" in shown or "const" in shown or "description" in shown, (
                    name,
                    field,
                )


def test_the_pages_of_the_description_need_no_network():
    app = create_app(Settings())
    client = TestClient(app)
    page = client.get("/docs").text
    links = re.findall(r'(?:src|href)="([^"]+)"', page)
    assert links
    for link in links:
        assert client.get(f"/{link}").status_code == 200
    assert "://" not in page
    assert "<script>" not in page


# --- schemathesis ----------------------------------------------------------------------------------------------------


@schemathesis.serializer("application/x-ndjson")
def one_line(_context, value):
    return json.dumps(value).encode()


@schemathesis.deserializer("application/x-ndjson")
def first_line(_context, response):
    return json.loads(response.content.split(b"\n")[0])


@pytest.fixture(scope="module")
def tested(engine_of, tmp_path_factory):
    made = open_hamlet(engine_of(SQLITE), tmp_path_factory.mktemp("described"))
    made = made.model_copy(update={"api_rate_limit": "1000000/second", "api_login_limit": "1000000/second"})
    app = create_app(made)
    with TestClient(app) as client:
        yield app, Hamlet(client, made)


def try_out(tested, examples):
    app, hamlet = tested
    schema = schemathesis.openapi.from_dict(app.openapi())
    for found in schema.get_all_operations():
        operation = found.ok()
        by = "tax" if "/v1/registries/" in operation.label else "everybody"
        headers = {"Authorization": f"Bearer {hamlet.keys[by]}", "X-Purpose": "audit"}
        check = checked(operation, app, headers)
        settings(
            max_examples=examples,
            derandomize=True,
            database=None,
            deadline=None,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )(check)()


def checked(operation, app, headers):
    @given(data=st.data())
    def check(data):
        case = data.draw(operation.as_strategy())
        case.headers = {**(case.headers or {}), **headers}
        if "registry" in (case.path_parameters or {}):
            case.path_parameters["registry"] = "tax"
        # a machine at work on other things may take its time
        case.validate_response(case.call(app=app, timeout=300), checks=CHECKS)

    return check


def test_what_it_answers_is_what_it_describes(tested):
    try_out(tested, 2)


@pytest.mark.nightly
def test_what_it_answers_is_what_it_describes_at_length(tested):
    try_out(tested, 300)
