"""What a source record, a registry's standing and a steward say about an entity."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

Value = str | list[str]
DEFAULT_TRUST = "default"

# Record and version travel packed in 63 bits through the batch executor.
VERSION_BITS = 20
RECORD_LIMIT = 2 ** (63 - VERSION_BITS)
VERSION_LIMIT = 2**VERSION_BITS


@dataclass(frozen=True, slots=True)
class Contribution:
    """One version of one source record.

    `record` is unique within an entity, from 0 to below 2**43; `version` from 0 to below 2**20. `issues` names, by attribute, the doubt that the standardiser
    had about the value ("personal_id.structure"). A missing value is an absent attribute; an empty text is missing.
    """

    record: int
    version: int
    registry: str
    observed_on: date | None = None
    attributes: Mapping[str, Value] = field(default_factory=dict)
    issues: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if not (0 <= self.record < RECORD_LIMIT and 0 <= self.version < VERSION_LIMIT):
            raise ValueError(f"record {self.record}, version {self.version}: out of range")


@dataclass(frozen=True, slots=True)
class Override:
    """A steward's word on one attribute or group, above every rule; the latest word on an attribute holds.

    `value` is a text, a list of texts where the rule keeps all, a mapping of members for a group, or None: no value.
    `at` without a time zone is UTC.
    """

    attribute: str
    value: Value | Mapping[str, str] | None
    by: str
    at: datetime

    @property
    def stamp(self) -> str:
        moment = self.at.astimezone(UTC) if self.at.tzinfo else self.at
        return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{moment.microsecond:06d}Z"


class Trust:
    """Trust in a registry by attribute, 0 to 1, kept in thousandths.

    The attribute "default" of a registry stands for those it does not name; a registry without any has 0.
    """

    def __init__(self, values: Mapping[tuple[str, str], float]) -> None:
        outside = sorted(key for key, value in values.items() if not 0 <= value <= 1)
        if outside:
            raise ValueError(f"trust is between 0 and 1: {outside[0][0]}, {outside[0][1]}")
        self.declared = dict(values)
        self._thousandths = {key: round(value * 1000) for key, value in values.items()}

    def of(self, registry: str, *, names: Sequence[str]) -> int:
        """Thousandths for the first of `names` (a group, then its members) that the registry declares."""
        for name in (*names, DEFAULT_TRUST):
            found = self._thousandths.get((registry, name))
            if found is not None:
                return found
        return 0
