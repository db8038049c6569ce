"""Errors as problem details (RFC 9457) with stable codes. They repeat no value that a client sent."""

from __future__ import annotations

import re
from http import HTTPStatus
from typing import TYPE_CHECKING, Any

import orjson
import structlog
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response

from mdm.errors import (
    ApprovalNeededError,
    ClaimedError,
    IdentityError,
    InputError,
    MdmError,
    NoDeadLetterError,
    NoSubscriptionError,
    NotFoundError,
    PurposeError,
    RefusedError,
    RepeatedKeyError,
    StaleVersionError,
    StoreError,
    UnavailableError,
    UnknownCallerError,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from fastapi import FastAPI
    from starlette.requests import Request

MEDIA_TYPE = "application/problem+json"
_log = structlog.get_logger("mdm.api")

_STATUS: Mapping[type[MdmError], int] = {
    UnknownCallerError: 401,
    RefusedError: 403,
    PurposeError: 400,
    NotFoundError: 404,
    NoSubscriptionError: 404,
    NoDeadLetterError: 404,
    StaleVersionError: 412,
    RepeatedKeyError: 422,
    ClaimedError: 409,
    ApprovalNeededError: 409,
    IdentityError: 409,
    InputError: 400,
    StoreError: 503,
    UnavailableError: 503,
}
"""The nearest class of an error counts; what is not here is a fault of the installation or of ours: 500."""

_BY_STATUS: Mapping[int, str] = {
    400: "request.malformed",
    404: "route.unknown",
    405: "route.method",
    408: "request.slow",
    413: "request.too_large",
    415: "request.media_type",
}
_RETRY_SECONDS = "1"
_NAME = re.compile(r"[A-Za-z_][A-Za-z_-]{0,40}")


class ProblemError(Exception):
    """A refusal of the HTTP layer itself."""

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        hint: str = "",
        headers: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__(code)
        self.status, self.code, self.detail, self.hint = status, code, detail, hint
        self.headers = dict(headers or {})


def install(app: FastAPI) -> None:
    app.add_exception_handler(ProblemError, _of_ours)
    app.add_exception_handler(MdmError, _of_engine)
    app.add_exception_handler(RequestValidationError, _of_validation)
    app.add_exception_handler(HTTPException, _of_http)


def problem(
    request: Request,
    status: int,
    code: str,
    detail: str,
    *,
    hint: str = "",
    errors: list[dict[str, str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    body: dict[str, Any] = {
        "type": f"urn:mdm:problem:{code}",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": detail,
        "code": code,
        "request_id": request.scope.get("mdm.request_id", ""),
    }
    if hint:
        body["hint"] = hint
    if errors:
        body["errors"] = errors
    request.scope["mdm.code"] = code
    return Response(orjson.dumps(body), status, headers=dict(headers or {}), media_type=MEDIA_TYPE)


def status_of(error: MdmError) -> int:
    return next((_STATUS[kind] for kind in type(error).__mro__ if kind in _STATUS), 500)


async def _of_ours(request: Request, error: Exception) -> Response:
    assert isinstance(error, ProblemError)
    return problem(request, error.status, error.code, error.detail, hint=error.hint, headers=error.headers)


async def _of_engine(request: Request, error: Exception) -> Response:
    assert isinstance(error, MdmError)
    status = status_of(error)
    headers = {}
    if status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    if status == 503:
        headers["Retry-After"] = _RETRY_SECONDS
    if status >= 500:  # where and hint are for the operator, not for a client
        _log.error("refused", code=error.code, said=error.message, where=error.where, hint=error.hint)
        told = "The store does not answer now." if status == 503 else "The installation is not in order."
        return problem(request, status, error.code, told, headers=headers)
    return problem(request, status, error.code, error.message, hint=error.hint, headers=headers)


async def _of_validation(request: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)
    errors = [
        {"at": _pointer(found["loc"]), "code": found["type"], "message": _message(found)}
        for found in error.errors()
    ]
    malformed = any(found["type"] == "json_invalid" for found in error.errors())
    code = "request.malformed" if malformed else "request.invalid"
    return problem(
        request, 400 if malformed else 422, code, "The request is not as the API describes it.", errors=errors
    )


async def _of_http(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    code = _BY_STATUS.get(error.status_code, "request.refused")
    detail = {
        404: "There is no such path.",
        408: "The request came too slowly.",
        405: "This path does not take this method.",
        413: "The request is larger than this server takes.",
    }.get(error.status_code, "The request cannot be read.")
    return problem(request, error.status_code, code, detail, headers=error.headers)


def of_fault(request: Request, error: Exception) -> Response:
    """A fault of ours: its kind and place are logged, its words are not, for they may hold a value."""
    last = error.__traceback__
    while last is not None and last.tb_next is not None:
        last = last.tb_next
    where = f"{last.tb_frame.f_code.co_filename}:{last.tb_lineno}" if last else ""
    _log.error("fault", kind=type(error).__name__, where=where)
    return problem(request, 500, "fault", "Something went wrong here. It was noted under the request ID.")


def _pointer(loc: tuple[int | str, ...]) -> str:
    """Where in the request: body, query, path or header, and the way there."""
    return "/".join(str(step) if isinstance(step, int) or _NAME.fullmatch(step) else "?" for step in loc)


_SILENT = ("parsing", "parsing_size", "decoding", "value_error", "json_invalid")


def _message(found: Mapping[str, Any]) -> str:
    """Messages of parsers may hold what was sent."""
    kind = str(found["type"])
    if kind.endswith(_SILENT):
        return "This cannot be read as what it should be."
    return str(found["msg"])
