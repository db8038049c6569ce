"""For whoever runs the server: is it alive, can it serve, what did it do."""

from __future__ import annotations

from fastapi import APIRouter, Request, Response

from api.observing import Metrics
from api.schemas.audit import Alive, Ready
from api.schemas.common import problems
from api.security import ByOperator
from mdm.queries.serving import Serving

routes = APIRouter(tags=["operating"])


@routes.get("/healthz", name="healthz", summary="The process runs")
async def healthz() -> Alive:
    return Alive()


@routes.get(
    "/readyz",
    name="readyz",
    summary="Store, keys and log of accesses are as they must be",
    responses={503: {"model": Ready, "description": "Something is not: `failing` says what"}},
)
def readyz(request: Request, response: Response) -> Ready:
    serving: Serving = request.app.state.serving
    failing = serving.failing()
    if failing:
        response.status_code = 503
    return Ready(ready=not failing, failing=failing)


@routes.get(
    "/metrics",
    name="metrics",
    summary="Counts and times, in the format of Prometheus",
    response_class=Response,
    responses={
        200: {"content": {"text/plain": {"schema": {"type": "string"}}}},
        **problems(401, 403, 422, 429, 500, 503),
    },
)
def metrics(request: Request, asked: ByOperator) -> Response:  # noqa: ARG001
    found: Metrics = request.app.state.metrics
    return Response(found.text(), media_type=found.media_type)
