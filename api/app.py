"""The HTTP API: thin over `mdm`, made anew by each call, with nothing at import."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi
from starlette.concurrency import run_in_threadpool
from starlette.middleware import Middleware

from api import docs, problems
from api.middleware import Around
from api.observing import Metrics
from api.routers import (
    approvals,
    audit,
    crosswalk,
    decisions,
    events,
    matching,
    merges,
    numbers,
    operating,
    people,
    records,
    reviews,
    sessions,
    subscriptions,
)
from api.schemas.common import Problem
from api.schemas.records import LineAnswer, RecordLine
from api.security import Limits
from mdm.feed.worker import in_background
from mdm.queries.serving import Serving
from mdm.settings import Settings

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

_DESCRIPTION = """
Who is who: canonical IDs, golden records, merges and what undoes them, the stewards' queue, proofs.

Send `Authorization: Bearer` with a machine's key (`mdm key add`), a token of `POST /v1/sessions`, or a token of your identity
provider; and `X-Purpose`, what you ask for. Every read of a person is kept with who, when and what for.

Each error is a problem detail (RFC 9457) with a stable `code`. Times are UTC (RFC 3339). Unknown fields and parameters are refused.
"""
_TAGS = {
    "persons": "People: golden record, history, lineage, members, provenance",
    "households": "The same of households",
    "records": "Search before you create; bring, change and withdraw records, each matched at once",
    "crosswalk": "A registry's own ID or a number to the canonical ID, and back",
    "merges": "Merge, undo a merge, split",
    "decisions": "One person or never, between two records",
    "reviews": "What the matching leaves to a person",
    "approvals": "What needs a second person",
    "numbers": "Social-security numbers by hand",
    "events": "What has changed, in order",
    "subscriptions": "Webhooks: who is told of events",
    "audit": "The signed log, proofs, who read whom",
    "sessions": "Signing in without an identity provider",
    "operating": "For whoever runs the server",
}


def create_app(
    settings: Settings, *, sends_webhooks: bool = False, traces: TracerProvider | None = None
) -> FastAPI:
    """The app of one store, which is opened when the app starts.

    Args:
        settings: of the installation.
        sends_webhooks: whether a thread of this process does.
        traces: where a span of each request goes; shut down with the app.
    """
    metrics = Metrics()

    @asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        current_default_thread_limiter().total_tokens = settings.api_threads
        app.state.serving = serving = await run_in_threadpool(Serving, settings)
        with_it = ExitStack()
        if traces is not None:
            with_it.callback(traces.shutdown)
        with_it.callback(serving.close)
        if sends_webhooks:
            with_it.enter_context(in_background(settings))
        try:
            yield
        finally:
            await run_in_threadpool(with_it.close)

    app = FastAPI(
        title="Master data of people and households",
        version=version("asxh-mdm"),
        description=_DESCRIPTION,
        openapi_tags=[{"name": name, "description": text} for name, text in _TAGS.items()],
        docs_url=None,
        redoc_url=None,
        redirect_slashes=False,
        lifespan=lifespan,
        telemetry={
            "tracing": traces is not None,
            "tracer_provider": traces,
            "operation_spans": False,
            "metrics": False,
            "logs": False,
            "auto_configure": False,
        },
        generate_unique_id_function=lambda route: route.name,
        middleware=[
            Middleware(
                Around,
                metrics=metrics,
                body_limit=settings.api_body_limit,
                body_seconds=settings.api_body_seconds,
            )
        ],
    )
    app.state.metrics, app.state.limits = metrics, Limits(settings)
    problems.install(app)
    native = [  # a request is held against one path after the other: those that are asked most come first
        *(room.routes for room in (crosswalk, matching, records)),
        people.router("persons", "person"),
        people.router("households", "household"),
        *(
            room.routes
            for room in (
                merges,
                decisions,
                reviews,
                approvals,
                numbers,
                events,
                subscriptions,
                audit,
                sessions,
            )
        ),
    ]
    for routes in native:
        app.include_router(routes, prefix="/v1")
    app.include_router(operating.routes)
    app.include_router(docs.routes)
    app.openapi = lambda: _openapi(app)  # type: ignore[method-assign]
    return app


def _parameters(made: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """But those of paths that answer nothing about people."""
    for path, methods in made["paths"].items():
        if path.startswith("/v1/"):
            for operation in methods.values():
                yield from operation.get("parameters", ())


def _openapi(app: FastAPI) -> dict[str, Any]:
    if app.openapi_schema is None:
        made = get_openapi(
            title=app.title,
            version=app.version,
            description=app.description,
            tags=app.openapi_tags,
            routes=app.routes,
        )
        schemas = made["components"]["schemas"]
        for model in (Problem, RecordLine, LineAnswer):
            described = model.model_json_schema(ref_template="#/components/schemas/{model}")
            for name, part in described.pop("$defs", {}).items():
                schemas.setdefault(name, part)
            schemas[model.__name__] = described
        for name in ("HTTPValidationError", "ValidationError"):
            schemas.pop(name, None)
        for parameter in _parameters(made):
            if parameter["name"] == "x-purpose":
                parameter["required"] = True
                parameter["schema"] = {"type": "string", "examples": ["stewardship"]}
        app.openapi_schema = made
    return app.openapi_schema
