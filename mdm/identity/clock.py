"""Time and new IDs come from outside, so that a test can give both."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

import uuid_utils

if TYPE_CHECKING:
    from collections.abc import Callable


def utc_now() -> str:
    """RFC 3339 in UTC with microseconds."""
    return datetime.now(UTC).isoformat(timespec="microseconds")


def mint(count: int) -> list[str]:
    """UUIDv7s (RFC 9562), ascending."""
    return sorted(str(uuid_utils.uuid7()) for _ in range(count))


@dataclass(frozen=True)
class Source:
    """Where moments and entity IDs come from."""

    now: Callable[[], str] = utc_now
    mint: Callable[[int], list[str]] = mint
