"""Spans of requests, as they leave for a collector of OpenTelemetry: method, route, status, times, and nothing else.

FastAPI puts paths, queries and hosts into spans, and clients send a trace state of theirs. None of it is on the list of what is kept.
"""

from __future__ import annotations

from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, OTELResourceDetector, Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor, SpanExporter, SpanExportResult
from opentelemetry.trace import SpanContext, Status

METHOD, ROUTE, STATUS = "http.request.method", "http.route", "http.response.status_code"


class Redacting(SpanExporter):
    def __init__(self, exporter: SpanExporter) -> None:
        self._exporter = exporter

    def export(self, spans: Sequence[ReadableSpan]) -> SpanExportResult:
        return self._exporter.export([_redacted(span) for span in spans])

    def shutdown(self) -> None:
        self._exporter.shutdown()

    def force_flush(self, timeout_millis: int = 30_000) -> bool:
        return self._exporter.force_flush(timeout_millis)


def provider_of(processor: SpanProcessor) -> TracerProvider:
    """Whoever has it shuts it down. Sampling and resource are as the standard variables say."""
    named = {SERVICE_NAME: "mdm", **OTELResourceDetector().detect().attributes}
    provider = TracerProvider(resource=Resource.create(named), shutdown_on_exit=False)
    provider.add_span_processor(processor)
    return provider


def collector() -> TracerProvider:
    """Sends spans, redacted, to the collector of the standard variables."""
    return provider_of(BatchSpanProcessor(Redacting(OTLPSpanExporter())))


def _redacted(span: ReadableSpan) -> ReadableSpan:
    said = span.attributes or {}
    return ReadableSpan(
        name=f"{said.get(METHOD, '')} {said.get(ROUTE, 'none')}",
        context=_without_state(span.context),
        parent=_without_state(span.parent),
        resource=span.resource,
        attributes={name: said[name] for name in (METHOD, ROUTE, STATUS) if name in said},
        kind=span.kind,
        status=Status(span.status.status_code),
        start_time=span.start_time,
        end_time=span.end_time,
        instrumentation_scope=span.instrumentation_scope,
    )


def _without_state(context: SpanContext | None) -> SpanContext | None:
    if context is None:
        return None
    return SpanContext(context.trace_id, context.span_id, context.is_remote, context.trace_flags)
