"""What a request leaves behind: a line in the log, a count in the metrics. Neither holds a value, a path or a name."""

from __future__ import annotations

import logging
import os
import sys
from typing import Any

import orjson
import structlog
from prometheus_client import (
    CONTENT_TYPE_LATEST,
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    generate_latest,
    multiprocess,
)

_BUCKETS = (0.001, 0.002, 0.003, 0.005, 0.008, 0.015, 0.025, 0.04, 0.08, 0.15, 0.3, 1, 3, 10, 30)
SEVERAL = "PROMETHEUS_MULTIPROC_DIR"
"""Names the folder in which several workers share their counts."""


class Metrics:
    """Of one app; routes by the names of their operations."""

    media_type = CONTENT_TYPE_LATEST

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        labels = ("method", "route")
        self.requests = Counter(
            "mdm_http_requests", "Requests answered", (*labels, "status"), registry=self.registry
        )
        self.seconds = Histogram(
            "mdm_http_request_seconds",
            "Time to answer",
            labels,
            buckets=_BUCKETS,
            registry=self.registry,
        )
        self.running = Gauge(
            "mdm_http_requests_running",
            "Requests at work",
            registry=self.registry,
            multiprocess_mode="livesum",
        )
        self.refused = Counter(
            "mdm_http_refused",
            "Requests refused, by the code of the problem",
            ("code",),
            registry=self.registry,
        )

    def text(self) -> bytes:
        if SEVERAL not in os.environ:
            return generate_latest(self.registry)
        shared = CollectorRegistry()
        multiprocess.MultiProcessCollector(shared)  # type: ignore[no-untyped-call]
        return generate_latest(shared)


def log_as_json(level: int = logging.INFO) -> None:
    """One JSON object a line on the error stream, for our words and, by the standard library's way, for the server's."""
    shared: list[Any] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    structlog.configure(
        processors=[*shared, _without_traceback, structlog.processors.JSONRenderer(serializer=orjson.dumps)],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.BytesLoggerFactory(sys.stderr.buffer),
        cache_logger_on_first_use=True,
    )
    formatter = structlog.stdlib.ProcessorFormatter(
        foreign_pre_chain=shared,
        processors=[
            structlog.stdlib.ProcessorFormatter.remove_processors_meta,
            _without_traceback,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
    )
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for name in ("uvicorn", "uvicorn.error", "uvicorn.access"):
        logger = logging.getLogger(name)
        logger.handlers.clear()
        logger.propagate = name != "uvicorn.access"
    for name in ("alembic", "httpx2"):
        logging.getLogger(name).setLevel(logging.WARNING)


def _without_traceback(_logger: Any, _method: str, event: Any) -> Any:
    """A traceback ends in an exception's words, which may hold a value: its kind is enough here."""
    told = event.pop("exc_info", None)
    if told:
        kind = told[0] if isinstance(told, tuple) else type(told) if isinstance(told, BaseException) else None
        event["kind"] = getattr(kind, "__name__", "unknown")
        event["event"] = "fault outside a request"
    return event
