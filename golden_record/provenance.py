"""Why a golden value is what it is, and the canonical form in which golden records are kept and compared."""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson

if TYPE_CHECKING:
    from collections.abc import Mapping

    from golden_record.contribution import Value

# What decided when no criterion of the rule did.
UNCONTESTED = "uncontested"
TIE_BREAK = "tie_break"
OVERRIDE = "override"

_CONTROL_ESCAPE = re.compile(r"\\\\|\\u00[01][0-9a-f]")


def canonical_json(value: Any) -> bytes:
    """UTF-8 JSON with sorted keys and no spaces; control characters escape to upper-case hex, as DuckDB writes them."""
    text = json.dumps(value, ensure_ascii=False, sort_keys=True, separators=(",", ":"), allow_nan=False)
    if "\\u00" in text:
        text = _CONTROL_ESCAPE.sub(lambda m: m[0] if m[0] == r"\\" else r"\u" + m[0][2:].upper(), text)
    return text.encode()


@dataclass(frozen=True, slots=True)
class Source:
    """Where one chosen value comes from: its best contribution, and how many contributions say the same.

    Record and version are absent where a steward gave the value.
    """

    agree: int
    record: int | None = None
    version: int | None = None

    def as_json(self) -> dict[str, int]:
        if self.record is None or self.version is None:
            return {"agree": self.agree}
        return {"agree": self.agree, "record": self.record, "version": self.version}


@dataclass(frozen=True, slots=True)
class RunnerUp:
    """A distinct value that was not chosen, and the criterion at which it lost."""

    value: str | Mapping[str, str]
    agree: int
    record: int
    version: int
    criterion: str

    def as_json(self) -> dict[str, Any]:
        value = self.value if isinstance(self.value, str) else dict(self.value)
        return {
            "agree": self.agree,
            "criterion": self.criterion,
            "record": self.record,
            "value": value,
            "version": self.version,
        }


@dataclass(frozen=True, slots=True)
class Decision:
    """How one attribute, or one group, got its value.

    Where all contributions say the same there is no rule: the source is the earliest record, that of the lowest number.
    Else `criterion` separated the last value chosen from the first one left; `chosen` is parallel to the golden list
    where the rule keeps all, else it has one entry, or none where a steward withheld the value. `members` are the
    filled attributes of a group.
    """

    chosen: tuple[Source, ...]
    rule: str | None = None
    criterion: str = UNCONTESTED
    runners_up: tuple[RunnerUp, ...] = ()
    members: tuple[str, ...] = ()
    by: str | None = None
    at: str | None = None

    def as_json(self) -> dict[str, Any]:
        """Without a rule no more than the source, to keep short what is most of all provenance."""
        entry: dict[str, Any] = (
            {
                "chosen": [source.as_json() for source in self.chosen],
                "criterion": self.criterion,
                "rule": self.rule,
            }
            if self.rule
            else {**self.chosen[0].as_json()}
        )
        if self.members:
            entry["members"] = list(self.members)
        if self.runners_up:
            entry["runners_up"] = [runner_up.as_json() for runner_up in self.runners_up]
        if self.by is not None:
            entry["by"], entry["at"] = self.by, self.at
        return entry

    @classmethod
    def from_json(cls, entry: Mapping[str, Any]) -> Decision:
        members = tuple(entry.get("members", ()))
        if "rule" not in entry:
            source = Source(agree=entry["agree"], record=entry["record"], version=entry["version"])
            return cls(chosen=(source,), members=members)
        return cls(
            chosen=tuple(Source(**source) for source in entry["chosen"]),
            rule=entry["rule"],
            criterion=entry["criterion"],
            runners_up=tuple(RunnerUp(**runner_up) for runner_up in entry.get("runners_up", ())),
            members=members,
            by=entry.get("by"),
            at=entry.get("at"),
        )


@dataclass(frozen=True, slots=True)
class Golden:
    """The golden values of one entity; the provenance is by attribute, or by group for the attributes of a group."""

    values: Mapping[str, Value]
    provenance: Mapping[str, Decision]

    def values_json(self) -> bytes:
        return canonical_json(dict(self.values))

    def provenance_json(self) -> bytes:
        return canonical_json({name: decision.as_json() for name, decision in self.provenance.items()})

    @classmethod
    def from_json(cls, *, values: str | bytes, provenance: str | bytes) -> Golden:
        decisions = orjson.loads(provenance)
        return cls(
            values=orjson.loads(values),
            provenance={name: Decision.from_json(entry) for name, entry in decisions.items()},
        )

    def decision_on(self, attribute: str) -> Decision | None:
        """The decision on an attribute, also where it came as a member of a group."""
        if attribute in self.provenance:
            return self.provenance[attribute]
        return next((d for d in self.provenance.values() if attribute in d.members), None)


def golden_hash(golden: Golden) -> str:
    """SHA-256 of values and provenance; the column `hash` of `survive_all`."""
    return hashlib.sha256(golden.values_json() + b"\n" + golden.provenance_json()).hexdigest()
