"""Around every request: its ID, a limit on how slowly it may come, a line in the log, counts, safe headers, no traceback."""

from __future__ import annotations

import asyncio
import re
import time
from typing import TYPE_CHECKING, Any

import structlog
import uuid_utils
from starlette.datastructures import MutableHeaders
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request

from api.problems import ProblemError, of_fault

if TYPE_CHECKING:
    from collections.abc import Mapping

    from starlette.types import ASGIApp, Message, Receive, Scope, Send

    from api.observing import Metrics

REQUEST_ID = "mdm.request_id"
_GIVEN = re.compile(r"[A-Za-z0-9._-]{1,64}")
_log = structlog.get_logger("mdm.api")

_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": "default-src 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


class Around:
    """The outermost layer."""

    def __init__(self, app: ASGIApp, *, metrics: Metrics, body_limit: int, body_seconds: float) -> None:
        self.app, self.metrics = app, metrics
        self.body_limit, self.body_seconds = body_limit, body_seconds

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        request = Request(scope)
        scope[REQUEST_ID] = request_id = _request_id(request)
        began, status = time.perf_counter(), 0

        async def answer(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                headers = MutableHeaders(scope=message)
                headers["X-Request-ID"] = request_id
                for name, value in _HEADERS.items():
                    headers.setdefault(name, value)
            await send(message)

        self.metrics.running.inc()
        try:
            await self.app(scope, self._limited(request, receive), answer)
        except ClientDisconnect:
            status = status or 499
        except Exception as error:  # noqa: BLE001  whatever it is, no traceback leaves this place
            response = of_fault(request, error)
            if status == 0:
                await response(scope, receive, answer)
        finally:
            self.metrics.running.dec()
            self._tell(scope, request.method, status or 499, time.perf_counter() - began)

    def _limited(self, request: Request, receive: Receive) -> Receive:
        """The body in time and no larger than allowed: whoever reads it gets HTTPException 408 or 413."""
        told = request.headers.get("content-length", "0")
        size = int(told) if told.isascii() and told.isdecimal() else 0
        whole = False

        async def limited() -> Message:
            nonlocal size, whole
            if whole:  # waiting for the client to hang up is no body
                return await receive()
            if size > self.body_limit:
                raise HTTPException(413)
            try:
                async with asyncio.timeout(self.body_seconds):
                    message = await receive()
            except TimeoutError:
                raise HTTPException(408) from None
            whole = message["type"] != "http.request" or not message.get("more_body", False)
            if told == "0":
                size += len(message.get("body", b""))
                if size > self.body_limit:
                    raise HTTPException(413)
            return message

        return limited

    def _tell(self, scope: Scope, method: str, status: int, seconds: float) -> None:
        route = getattr(scope.get("route"), "name", "none")
        method = method if method in _METHODS else "other"
        self.metrics.requests.labels(method, route, status).inc()
        self.metrics.seconds.labels(method, route).observe(seconds)
        told: dict[str, Any] = {"method": method, "route": route, "status": status}
        if (code := scope.get("mdm.code")) is not None:
            self.metrics.refused.labels(code).inc()
            told["code"] = code
        _log.info("request", request_id=scope[REQUEST_ID], ms=round(seconds * 1000, 2), **told)


_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})


def _request_id(request: Request) -> str:
    given = request.headers.get("x-request-id", "")
    return given if _GIVEN.fullmatch(given) else str(uuid_utils.uuid7())


def refuse_unknown_parameters(request: Request, known: Mapping[str, bool]) -> None:
    """Raises ProblemError for a query parameter that the route does not have, or one given twice that holds one value.

    `known`: name to whether it may be repeated.
    """
    names = [name for name, _ in request.query_params.multi_items()]
    if not known.keys() >= set(names):
        raise ProblemError(
            422, "request.invalid", "The query has a parameter that this path does not know.",
            hint=f"It knows {', '.join(sorted(known))}." if known else "It knows none.",
        )  # fmt: skip
    single = [name for name in names if not known[name]]
    if len(set(single)) != len(single):
        raise ProblemError(422, "request.invalid", "A parameter of the query is given twice.")
