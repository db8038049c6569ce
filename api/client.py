"""A typed client of the API, for registries' programs and for stewards' tools.

    with Client("https://mdm.example", key, purpose="benefit_claim") as mdm:
        found = mdm.match({"full_name": "Nguyễn Thị Hoa", "birth_date": "07/09/1983"})
        done = mdm.put_record("tax", "8801", {"full_name": "Nguyễn Thị Hoa", "personal_id": "001183000217"})

Answers are the models of `api.schemas`. A refusal is an ApiError with the problem's stable code.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self, TypeVar
from urllib.parse import quote

import httpx2
from pydantic import BaseModel, TypeAdapter

from api.schemas.common import ChangeAnswer
from api.schemas.feed import Events
from api.schemas.people import Found, FoundAll, History, Lineage, Members, Person
from api.schemas.records import Candidates, LineAnswer, RecordAnswer, RecordLine
from api.schemas.stewardship import PreviewAnswer, Task, Tasks

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from datetime import date
    from types import TracebackType

    from mdm.identity.commands import Verdict

_Answer = TypeVar("_Answer", bound=BaseModel)
_CHANGE: TypeAdapter[ChangeAnswer | PreviewAnswer] = TypeAdapter(ChangeAnswer | PreviewAnswer)
_LINES_AT_ONCE = 500


class ApiError(Exception):
    """The server refused. `code` is stable; `detail` and `hint` are for people; `request_id` is what to tell whoever runs the server."""

    def __init__(self, status: int, problem: Mapping[str, Any], *, retry_after: float | None) -> None:
        self.status, self.code = status, str(problem.get("code", ""))
        self.detail, self.hint = str(problem.get("detail", "")), str(problem.get("hint", ""))
        self.request_id, self.retry_after = str(problem.get("request_id", "")), retry_after
        super().__init__(f"{status} {self.code}: {self.detail} {self.hint}".strip())


class Client:
    """Safe to share between threads. Connections are made anew where they break; a request is never sent twice by itself."""

    def __init__(
        self, url: str, token: str, *, purpose: str, timeout: float = 30, transport: Any = None
    ) -> None:
        """
        Args:
            url: of the server, without /v1.
            token: a machine's key, or the token of a session or identity provider.
            purpose: what the reads are for, one of the installation's codes.
            timeout: seconds for an answer.
            transport: of httpx2, for a proxy, own certificates, or tests.
        """
        self._http = httpx2.Client(
            base_url=url.rstrip("/"),
            headers={"Authorization": f"Bearer {token}", "X-Purpose": purpose},
            timeout=timeout,
            transport=transport or httpx2.HTTPTransport(retries=2),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # --- records -------------------------------------------------------------------------------------------------

    def match(self, attributes: Mapping[str, Any], *, limit: int = 10, unlikely: bool = False) -> Candidates:
        """Whom a record may be of: search before you create."""
        body = {"attributes": dict(attributes), "limit": limit, "unlikely": unlikely}
        return self._read(Candidates, "POST", "/v1/match", body)

    def put_record(
        self, registry: str, local_id: str, attributes: Mapping[str, Any], *, observed_on: date | None = None
    ) -> RecordAnswer:
        """Brings a record or changes it; the same again changes nothing."""
        body: dict[str, Any] = {"attributes": dict(attributes)}
        if observed_on is not None:
            body["observed_on"] = observed_on.isoformat()
        return self._read(RecordAnswer, "PUT", _record(registry, local_id), body)

    def withdraw_record(self, registry: str, local_id: str) -> RecordAnswer:
        return self._read(RecordAnswer, "DELETE", _record(registry, local_id))

    def send_records(self, registry: str, lines: Iterable[RecordLine]) -> Iterator[LineAnswer]:
        """A result for each line, in their order; `line` counts from 1 over all of them. Sent in portions as the results are read."""
        waiting: list[RecordLine] = []
        sent = 0
        for line in lines:
            waiting.append(line)
            if len(waiting) == _LINES_AT_ONCE:
                yield from self._send(registry, waiting, after=sent)
                sent += len(waiting)
                waiting = []
        if waiting:
            yield from self._send(registry, waiting, after=sent)

    def _send(self, registry: str, lines: Sequence[RecordLine], *, after: int) -> Iterator[LineAnswer]:
        body = b"".join(line.model_dump_json(exclude_none=True).encode() + b"\n" for line in lines)
        answer = self._http.post(
            f"/v1/registries/{quote(registry, safe='')}/records:batch",
            content=body,
            headers={"Content-Type": "application/x-ndjson"},
        )
        _require(answer)
        for text in answer.text.splitlines():
            told = LineAnswer.model_validate_json(text)
            yield told.model_copy(update={"line": told.line + after})

    # --- people --------------------------------------------------------------------------------------------------

    def person(self, entity: str, *, as_of: str | None = None) -> Person:
        return self._read(Person, "GET", f"/v1/persons/{entity}", as_of=as_of)

    def household(self, entity: str, *, as_of: str | None = None) -> Person:
        return self._read(Person, "GET", f"/v1/households/{entity}", as_of=as_of)

    def history(self, entity: str) -> History:
        return self._read(History, "GET", f"/v1/persons/{entity}/history")

    def members(self, entity: str) -> Members:
        return self._read(Members, "GET", f"/v1/persons/{entity}/members")

    def lineage(self, entity: str, *, field: str | None = None) -> Lineage:
        return self._read(Lineage, "GET", f"/v1/persons/{entity}/lineage", field=field)

    def xref(self, **name: str) -> Found:
        """By `registry` and `local_id`, `ssn`, `personal_id` or `id`. The name goes in the body, so no proxy notes it."""
        (found,) = self.xrefs([name]).results
        if found.code is not None:
            raise ApiError(
                404,
                {"code": found.code, "detail": "There is none, or you may not know of it."},
                retry_after=None,
            )
        return Found(matches=found.matches)

    def xrefs(self, names: Sequence[Mapping[str, str]]) -> FoundAll:
        """Up to 1,000 names at once."""
        return self._read(FoundAll, "POST", "/v1/xref:batch", {"names": [dict(name) for name in names]})

    # --- stewards ------------------------------------------------------------------------------------------------

    def merge(
        self,
        left: Person,
        right: Person,
        *,
        reason: str,
        survivor: str | None = None,
        preview: bool = False,
        key: str | None = None,
    ) -> ChangeAnswer | PreviewAnswer:
        """Of two people as they were read: refused if either has changed since. `key` makes a repetition harmless."""
        body = {
            "left": left.id,
            "right": right.id,
            "reason": reason,
            "survivor": survivor,
            "preview": preview,
        }
        return self._change("/v1/merges", body, match=[_tag(left), _tag(right)], key=key)

    def unmerge(
        self,
        event: int,
        *,
        reason: str,
        versions: Mapping[str, int] | None = None,
        preview: bool = False,
        key: str | None = None,
    ) -> ChangeAnswer | PreviewAnswer:
        """`versions` as the preview tells them."""
        match = [f'"{name}:{version}"' for name, version in (versions or {}).items()]
        return self._change(
            f"/v1/merges/{event}/unmerge", {"reason": reason, "preview": preview}, match=match, key=key
        )

    def reviews(self, *, cursor: str | None = None, limit: int = 50) -> Tasks:
        return self._read(Tasks, "GET", "/v1/reviews", cursor=cursor, limit=limit)

    def claim(self, review: int) -> Task:
        return self._read(Task, "POST", f"/v1/reviews/{review}/claim")

    def decide(
        self, task: Task, verdict: Verdict | str, *, reason: str, key: str | None = None
    ) -> ChangeAnswer | PreviewAnswer:
        body = {"verdict": str(verdict), "reason": reason}
        return self._change(
            f"/v1/reviews/{task.review}/decision", body, match=[f'"{task.review}:{task.version}"'], key=key
        )

    # --- what happens --------------------------------------------------------------------------------------------

    def events(self, *, after: str = "0", limit: int = 100, wait: float = 0) -> Events:
        """One page; go on with its `next`."""
        return self._read(Events, "GET", "/v1/events", after=after, limit=limit, wait=wait)

    # --- how it is asked -----------------------------------------------------------------------------------------

    def _read(self, kind: type[_Answer], method: str, path: str, body: Any = None, **query: Any) -> _Answer:
        given = {name: value for name, value in query.items() if value is not None}
        answer = self._http.request(method, path, json=body, params=given)
        _require(answer)
        return kind.model_validate_json(answer.content)

    def _change(
        self, path: str, body: Mapping[str, Any], *, match: Sequence[str], key: str | None
    ) -> ChangeAnswer | PreviewAnswer:
        headers = {"If-Match": ", ".join(match)} if match else {}
        if key is not None:
            headers["Idempotency-Key"] = key
        sent = {name: value for name, value in body.items() if value is not None}
        answer = self._http.post(path, json=sent, headers=headers)
        _require(answer)
        return _CHANGE.validate_json(answer.content)


def _require(answer: httpx2.Response) -> None:
    if answer.status_code < 400:
        return
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    told = answer.headers.get("Retry-After", "")
    raise ApiError(
        answer.status_code,
        problem if isinstance(problem, dict) else {},
        retry_after=float(told) if told.isdecimal() else None,
    )


def _record(registry: str, local_id: str) -> str:
    return f"/v1/registries/{quote(registry, safe='')}/records/{quote(local_id, safe='')}"


def _tag(person: Person) -> str:
    return f'"{person.id}:{person.version}"'
