"""Spans of requests: route, method and status, and nothing of what was asked or answered."""

import pytest
from fastapi.testclient import TestClient
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from api.app import create_app
from api.spans import METHOD, ROUTE, STATUS, Redacting, provider_of
from mdm.errors import ConfigurationError
from mdm.tracing import is_tracing
from tests.api.hamlet import Hamlet

COLLECTOR = "OTEL_EXPORTER_OTLP_ENDPOINT"


@pytest.fixture
def traced(hamlet: Hamlet):
    """A server of the same store, and where its spans go."""
    kept = InMemorySpanExporter()
    app = create_app(hamlet.settings, traces=provider_of(SimpleSpanProcessor(Redacting(kept))))
    with TestClient(app) as client:
        yield Hamlet(client, hamlet.settings), kept


def test_spans_tell_nothing_of_people(traced):
    hamlet, kept = traced
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    sent = {
        "traceparent": f"00-{trace}-00f067aa0ba902b7-01",
        "tracestate": "vendor=001099000001",
        "baggage": "who=001099000001",
        "Host": "001099000001.example",
    }
    an = hamlet.get("/v1/xref?registry=tax&local_id=123456789", **sent).json()["matches"][0]["id"]
    hamlet.get("/v1/xref?personal_id=001099000001")
    hamlet.get(f"/v1/persons/{an}")
    hamlet.get("/v1/persons/001099000001")
    hamlet.get("/nowhere/001099000001")
    hamlet.ask("001099000001", "/v1/xref?ssn=1")
    hamlet.post("/v1/sessions", {"name": "lan", "password": "001099000001"}, by=None, purpose=None)
    spans = kept.get_finished_spans()
    assert [(span.name, span.attributes.get(STATUS)) for span in spans] == [
        ("GET /v1/xref", 200),
        ("GET /v1/xref", 200),
        ("GET /v1/persons/{id}", 200),
        ("GET /v1/persons/{id}", 422),
        ("GET none", 404),
        ("_OTHER /v1/xref", 405),
        ("POST /v1/sessions", 401),
    ]
    told = " ".join(span.to_json() for span in spans)
    for secret in ("123456789", "001099000001", "Ngô Chi", an, '"lan"', "tax", "testserver"):
        assert secret not in told, secret
    assert {name for span in spans for name in span.attributes} == {METHOD, ROUTE, STATUS}
    assert f"{spans[0].context.trace_id:032x}" == trace


@pytest.mark.parametrize(
    ("given", "is_on"),
    [
        ({}, False),
        ({COLLECTOR: "http://127.0.0.1:4318"}, True),
        ({"OTEL_EXPORTER_OTLP_TRACES_ENDPOINT": "http://127.0.0.1:4318/v1/traces"}, True),
        ({COLLECTOR: "http://127.0.0.1:4318", "OTEL_SDK_DISABLED": "true"}, False),
        ({COLLECTOR: "http://127.0.0.1:4318", "OTEL_TRACES_EXPORTER": "none"}, False),
        ({COLLECTOR: "http://127.0.0.1:4318", "OTEL_EXPORTER_OTLP_PROTOCOL": "http/protobuf"}, True),
    ],
)
def test_standard_variables_say_whether_spans_are_sent(monkeypatch, given, is_on):
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    assert is_tracing() is is_on


def test_what_cannot_be_done_is_told(monkeypatch):
    monkeypatch.setenv(COLLECTOR, "http://127.0.0.1:4317")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_PROTOCOL", "grpc")
    with pytest.raises(ConfigurationError, match="http/protobuf"):
        is_tracing()
    monkeypatch.delenv("OTEL_EXPORTER_OTLP_PROTOCOL")
    monkeypatch.setattr("mdm.tracing.find_spec", lambda name: None)
    with pytest.raises(ConfigurationError, match=r"asxh-mdm\[telemetry\]"):
        is_tracing()
