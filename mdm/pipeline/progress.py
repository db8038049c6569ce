"""How long work tells of itself: the command line shows bars, a test listens, a server may publish."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Iterator


class Task(Protocol):
    def advance(self, amount: float) -> None: ...
    def describe(self, text: str) -> None: ...


class Progress(Protocol):
    def task(self, description: str, *, total: float | None) -> contextmanager[Task]: ...  # type: ignore[valid-type]


class _Nothing:
    def advance(self, amount: float) -> None:
        pass

    def describe(self, text: str) -> None:
        pass


class Silent:
    """For callers that want no progress."""

    @contextmanager
    def task(self, description: str, *, total: float | None) -> Iterator[Task]:  # noqa: ARG002
        yield _Nothing()
