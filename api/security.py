"""Who may call what. A route names the roles that may; who calls must also say what for."""

from __future__ import annotations

import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Any, get_args, get_origin

from fastapi import Depends, Header, Request
from fastapi.dependencies.utils import get_flat_params
from fastapi.params import Query
from fastapi.security import HTTPAuthorizationCredentials, HTTPBearer
from limits import RateLimitItem, parse
from limits.aio.storage import MemoryStorage
from limits.aio.strategies import SlidingWindowCounterRateLimiter
from starlette.concurrency import run_in_threadpool

from api.middleware import REQUEST_ID, refuse_unknown_parameters
from api.problems import ProblemError
from mdm.access.principal import Principal, Role
from mdm.errors import PurposeError, RefusedError, UnknownCallerError
from mdm.queries.viewer import Viewer, viewer_of

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Collection, Mapping

    from mdm.queries.serving import Serving
    from mdm.settings import Settings

_BEARER = HTTPBearer(
    auto_error=False,
    scheme_name="bearer",
    description="A machine's key (`mdm key add`), the token of `POST /v1/sessions`, or a token of your identity provider.",
)


class Limits:
    """Requests of one client in this process, in memory.

    Counted in the event loop: the library's other storage starts a thread for every other request.
    """

    def __init__(self, settings: Settings) -> None:
        self._limiter = SlidingWindowCounterRateLimiter(MemoryStorage())
        self._each, self._sign_in = parse(settings.api_rate_limit), parse(settings.api_login_limit)

    async def request(self, actor: str) -> None:
        """Counts one. Raises ProblemError beyond the limit."""
        if not await self._limiter.hit(self._each, "request", actor):
            raise await self._refused(self._each, "request", actor)

    async def unknown(self, request: Request) -> None:
        """Counts an attempt of somebody unknown, by address."""
        address = _address(request)
        if not await self._limiter.hit(self._sign_in, "unknown", address):
            raise await self._refused(self._sign_in, "unknown", address)

    async def refuse_if_spent(self, request: Request) -> None:
        """Raises ProblemError for an address that has made too many attempts."""
        address = _address(request)
        if not await self._limiter.test(self._sign_in, "unknown", address):
            raise await self._refused(self._sign_in, "unknown", address)

    async def _refused(self, limit: RateLimitItem, *names: str) -> ProblemError:
        stats = await self._limiter.get_window_stats(limit, *names)
        seconds = max(1, round(stats.reset_time - time.time()))
        return ProblemError(
            429,
            "rate.exceeded",
            "There were too many requests.",
            hint=f"Wait {seconds} seconds.",
            headers={"Retry-After": str(seconds)},
        )


@dataclass(frozen=True)
class Asked:
    """A request of a caller who may make it."""

    serving: Serving
    principal: Principal
    viewer: Viewer
    purpose: str
    request_id: str

    @property
    def actor(self) -> str:
        return self.principal.actor

    def note(self, operation: str, read: Mapping[str, Collection[str]]) -> None:
        """Keeps who read whom: entity to what was read of it. Comes before the answer."""
        self.serving.access_log.note(
            read,
            actor=self.actor,
            purpose=self.purpose,
            operation=operation,
            request_id=self.request_id,
        )


class Allowed:
    """A dependency of a route: the roles that may call it, and whether they must say what for."""

    def __init__(self, *roles: Role, purpose: bool = True) -> None:
        self.roles, self.purpose = frozenset(roles), purpose
        self._known: dict[int, dict[str, bool]] = {}

    async def __call__(
        self,
        request: Request,
        shown: Annotated[HTTPAuthorizationCredentials | None, Depends(_BEARER)],
        x_purpose: Annotated[
            str | None,
            Header(description="What for: a code of configs/purposes.yaml", examples=["stewardship"]),
        ] = None,
    ) -> Asked:
        serving: Serving = request.app.state.serving
        serving.require_file()
        principal = await _principal(request, serving, shown)
        await request.app.state.limits.request(principal.actor)
        if not self.roles & principal.roles:
            raise RefusedError(
                "Your role may not do this.", hint=f"It takes {' or '.join(sorted(self.roles))}."
            )
        if self.purpose and x_purpose not in serving.purposes:
            raise PurposeError(
                "State what you ask for." if x_purpose is None else "This purpose is not known here.",
                hint=f"X-Purpose is one of {', '.join(serving.purposes)}.",
            )
        refuse_unknown_parameters(request, _query_names(request.scope["route"], self._known))
        viewer = viewer_of(principal, serving.people.registries)
        return Asked(serving, principal, viewer, x_purpose or "", request.scope[REQUEST_ID])


async def _principal(
    request: Request, serving: Serving, shown: HTTPAuthorizationCredentials | None
) -> Principal:
    if shown is None:
        raise UnknownCallerError("Who are you?", hint="Send Authorization: Bearer with a key or a token.")
    known = serving.authenticator.remembered(shown.credentials)
    if known is not None:
        return known
    limits: Limits = request.app.state.limits
    await limits.refuse_if_spent(request)
    found = await run_in_threadpool(serving.authenticator.holder, shown.credentials)
    if found is None:
        await limits.unknown(request)
        raise UnknownCallerError(
            "This key or token is not valid here, or not any more.",
            hint="Sign in again, or ask for a new key.",
        )
    return found


def _query_names(route: Any, known: dict[int, dict[str, bool]]) -> dict[str, bool]:
    if id(route) not in known:
        fields = get_flat_params(route.dependant)
        known[id(route)] = {
            field.alias: _is_list(field.field_info.annotation)
            for field in fields
            if isinstance(field.field_info, Query)
        }
    return known[id(route)]


def _is_list(annotation: Any) -> bool:
    return get_origin(annotation) is list or any(_is_list(part) for part in get_args(annotation))


def _address(request: Request) -> str:
    return request.client.host if request.client else "unknown"


async def _turn() -> AsyncIterator[None]:
    yield


# One after the other in a worker, without a thread while they wait; after who asks, so that whoever may not does not wait
WritingInTurn = Annotated[None, Depends(_turn, scope="function", max_concurrency=1)]
"""Of records that are brought: the store takes one at a time."""
LookingInTurn = Annotated[None, Depends(_turn, scope="function", max_concurrency=1)]
"""Of questions that take milliseconds: threads that share a processor would only take turns at each of them."""
_EVERYONE = (Role.STEWARD, Role.APPROVER, Role.AUDITOR, Role.REGISTRY)
ByReader = Annotated[Asked, Depends(Allowed(*_EVERYONE))]
"""Whoever may read people: staff whole ones, registries what they are granted."""
ByStaff = Annotated[Asked, Depends(Allowed(Role.STEWARD, Role.APPROVER, Role.AUDITOR))]
ByRegistry = Annotated[Asked, Depends(Allowed(Role.REGISTRY))]
BySteward = Annotated[Asked, Depends(Allowed(Role.STEWARD))]
ByApprover = Annotated[Asked, Depends(Allowed(Role.APPROVER))]
ByAuditor = Annotated[Asked, Depends(Allowed(Role.AUDITOR))]
ByAuditorOrAdmin = Annotated[Asked, Depends(Allowed(Role.AUDITOR, Role.ADMIN))]
ByOwnerOfSubscriptions = Annotated[Asked, Depends(Allowed(Role.ADMIN, Role.REGISTRY))]
"""Registries have their own, an administrator all."""
ByOperator = Annotated[Asked, Depends(Allowed(Role.AUDITOR, Role.ADMIN, purpose=False))]
"""Without a purpose: nothing about people is answered."""
