"""How long work tells of itself: the command line shows bars, a test listens, a server may publish."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager


class Task(Protocol):
    def advance(self, amount: float) -> None: ...
    def describe(self, text: str) -> None: ...


class Progress(Protocol):
    def task(self, description: str, *, total: float | None) -> AbstractContextManager[Task]: ...


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


@contextmanager
def share_of(progress: Progress, description: str) -> Iterator[Callable[[float, str], None]]:
    """Work that tells which share of it is done (0 to 1) and, if it likes, what it is doing."""
    reached = 0.0
    with progress.task(description, total=1.0) as task:

        def tell(done: float, doing: str = "") -> None:
            nonlocal reached
            if doing:
                task.describe(f"{description}: {doing}")
            task.advance(done - reached)
            reached = done

        yield tell
        tell(1.0)
