"""Signing in with an account of this installation."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.concurrency import run_in_threadpool

from api.middleware import refuse_unknown_parameters
from api.schemas.audit import Session, SignIn
from api.schemas.common import problems
from api.security import Limits
from mdm.errors import UnknownCallerError
from mdm.queries.serving import Serving

routes = APIRouter(tags=["sessions"], responses=problems(400, 401, 413, 422, 429, 500, 503))


@routes.post("/sessions", name="sign_in", summary="Name and password for a short token")
async def sign_in(body: SignIn, request: Request) -> Session:
    refuse_unknown_parameters(request, {})
    serving: Serving = request.app.state.serving
    limits: Limits = request.app.state.limits
    serving.require_file()
    await limits.refuse_if_spent(request)
    token = await run_in_threadpool(serving.authenticator.sessions.begin, body.name, body.password)
    if token is None:
        await limits.unknown(request)
        raise UnknownCallerError("Name and password do not fit, or the account is disabled.")
    return Session(
        access_token=token, expires_in=int(serving.authenticator.sessions.lifetime.total_seconds())
    )
