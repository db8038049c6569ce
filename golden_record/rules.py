"""The criteria by which values compete, each with its two executors side by side: a Python key and a SQL expression.

Every key is a whole number and the lowest wins. A criterion looks either at a contribution (its registry, its day, its
issues) or at a value (its text, how many say it). The SQL of the first sees one row a contribution, that of the second
one row a distinct value; `golden_record.batch` names the columns.
"""

from __future__ import annotations

import re
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Annotated, Any, ClassVar, Literal, get_args

import orjson
from pydantic import BaseModel, ConfigDict, Field

if TYPE_CHECKING:
    from golden_record.contribution import Contribution, Trust

_DAY_ZERO = date(1900, 1, 1)
_LAST_DAY = 2**17 - 2
# Whole numbers of up to 18 digits, moved above zero, and what is none after them.
_NUMBER_ZERO = 2**60
_NOT_A_NUMBER = 2**61
_WHOLE_NUMBER = re.compile(r"-?[0-9]{1,18}")
_PERSONAL_NUMBER = re.compile(r"[0-9]{12}")


@dataclass(frozen=True, slots=True)
class Setting:
    """What the criteria need to know beside the contributions: the day they are judged on, and the trust table."""

    as_of: date
    trust: Trust


@dataclass(frozen=True, slots=True)
class Subject:
    """What is being decided: one attribute, or a group with its members in order of name."""

    name: str
    members: tuple[str, ...]
    is_group: bool = False

    @property
    def trusted_as(self) -> tuple[str, ...]:
        return (self.name, *self.members) if self.is_group else self.members


@dataclass(frozen=True, slots=True)
class Support:
    """Who says a value, among which other values, and the golden facts already settled."""

    records: int
    registries: int
    peers: Sequence[str]
    facts: Mapping[str, str]


class _Criterion(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    # The parameter that may be written without its name: `most_complete: words`.
    bare: ClassVar[str | None] = None
    # What the criterion needs its subject to be.
    only_groups: ClassVar[bool] = False
    no_groups: ClassVar[bool] = False

    kind: str
    # Its key is from 0 to 2**bits - 1, so that the keys of a rule pack into few numbers.
    bits: ClassVar[int]

    @property
    def label(self) -> str:
        """How provenance names the criterion; unique within a rule."""
        return self.kind


class ContributionCriterion(_Criterion):
    @abstractmethod
    def key(self, contribution: Contribution, *, subject: Subject, setting: Setting) -> int: ...

    @abstractmethod
    def sql(self, registries: Sequence[str], *, subject: Subject, setting: Setting) -> str:
        """Over `registry_no`, the place in `registries` from 1, `observed_on`, and `found`, the issues of the members in
        order, or null where the contribution has none at all.
        """


class ValueCriterion(_Criterion):
    @abstractmethod
    def key(self, value: str, *, support: Support) -> int: ...

    @abstractmethod
    def sql(self) -> str:
        """Over `value`, `records`, `registries`, `entity` and the facts, prefixed `fact_`."""


def _falling(count: int, *, bits: int) -> int:
    """The key of a count of which most is best."""
    return max((1 << bits) - 1 - count, 0)


def _falling_sql(count: str, *, bits: int) -> str:
    return f"greatest({2**bits - 1} - ({count}), 0)"


def _by_registry(keys: Sequence[int]) -> str:
    return f"({list(keys)}::INTEGER[])[registry_no]" if keys else "0"


class Valid(ContributionCriterion):
    """Values without an issue first; for a group, the fewest members with one."""

    kind: Literal["valid"] = "valid"
    tolerate: tuple[str, ...] = ()
    bare = "tolerate"
    bits = 4

    def key(self, contribution: Contribution, *, subject: Subject, setting: Setting) -> int:  # noqa: ARG002
        found = (contribution.issues.get(member) for member in subject.members)
        return min(sum(1 for issue in found if issue and issue not in self.tolerate), 15)

    def sql(self, registries: Sequence[str], *, subject: Subject, setting: Setting) -> str:  # noqa: ARG002
        tolerated = ", ".join(quoted(code) for code in ("", *self.tolerate))
        terms = [
            f"coalesce(found[{place}] NOT IN ({tolerated}), false)::BIGINT"
            for place in range(1, len(subject.members) + 1)
        ]
        return f"least(CASE WHEN found IS NULL THEN 0 ELSE {' + '.join(terms)} END, 15)"


class Precedence(ContributionCriterion):
    """Records of the registries named come first, in that order: the birth certificate before all others."""

    kind: Literal["precedence"] = "precedence"
    registries: tuple[str, ...] = Field(min_length=1, max_length=255)
    bare = "registries"
    bits = 8

    def key(self, contribution: Contribution, *, subject: Subject, setting: Setting) -> int:  # noqa: ARG002
        return self._rank(contribution.registry)

    def sql(self, registries: Sequence[str], *, subject: Subject, setting: Setting) -> str:  # noqa: ARG002
        return _by_registry([self._rank(registry) for registry in registries])

    def _rank(self, registry: str) -> int:
        return self.registries.index(registry) if registry in self.registries else len(self.registries)


class MostTrusted(ContributionCriterion):
    kind: Literal["trust"] = "trust"
    bits = 10

    def key(self, contribution: Contribution, *, subject: Subject, setting: Setting) -> int:
        return 1000 - setting.trust.of(contribution.registry, names=subject.trusted_as)

    def sql(self, registries: Sequence[str], *, subject: Subject, setting: Setting) -> str:
        trust = setting.trust
        return _by_registry([1000 - trust.of(registry, names=subject.trusted_as) for registry in registries])


class DecayingTrust(ContributionCriterion):
    """Trust that halves with every half-life since the record was observed.

    In whole numbers, so that both executors agree to the last digit: with q whole half-lives and r days over,
    the score is trust (thousandths) * 1000 * (2h - r) / 2h, rounded down, then halved q times, rounded down. Between
    halvings it is a straight line. A record without a day counts as `undated_days` old, one from the future as new.
    """

    kind: Literal["decaying_trust"] = "decaying_trust"
    half_life_days: int = Field(ge=1, le=36500)
    undated_days: int = Field(default=3650, ge=0, le=365_000)
    bare = "half_life_days"
    bits = 20

    def key(self, contribution: Contribution, *, subject: Subject, setting: Setting) -> int:
        trust = setting.trust.of(contribution.registry, names=subject.trusted_as)
        observed = contribution.observed_on
        age = self.undated_days if observed is None else max((setting.as_of - observed).days, 0)
        halvings, over = divmod(age, self.half_life_days)
        twice = 2 * self.half_life_days
        return 1_000_000 - (trust * 1000 * (twice - over) // twice >> min(halvings, 40))

    def sql(self, registries: Sequence[str], *, subject: Subject, setting: Setting) -> str:
        trust = _by_registry(
            [setting.trust.of(registry, names=subject.trusted_as) for registry in registries]
        )
        age = f"greatest(coalesce(DATE '{setting.as_of.isoformat()}' - observed_on, {self.undated_days}), 0)::BIGINT"
        half, twice = self.half_life_days, 2 * self.half_life_days
        return (
            f"1000000 - (({trust}::BIGINT * 1000 * ({twice} - {age} % {half}) // {twice})"
            f" >> least({age} // {half}, 40))"
        )


class MostRecent(ContributionCriterion):
    """The latest day of observation; no day comes last. Days before 1900 count as its first, days after 2258 as one."""

    kind: Literal["most_recent"] = "most_recent"
    bits = 17

    def key(self, contribution: Contribution, *, subject: Subject, setting: Setting) -> int:  # noqa: ARG002
        if contribution.observed_on is None:
            return _LAST_DAY + 1
        return _LAST_DAY - min(max((contribution.observed_on - _DAY_ZERO).days, 0), _LAST_DAY)

    def sql(self, registries: Sequence[str], *, subject: Subject, setting: Setting) -> str:  # noqa: ARG002
        day = f"least(greatest(observed_on - DATE '{_DAY_ZERO.isoformat()}', 0), {_LAST_DAY})"
        return f"CASE WHEN observed_on IS NULL THEN {_LAST_DAY + 1} ELSE {_LAST_DAY} - {day} END"


class MostFrequent(ValueCriterion):
    """Said most often, by records or by different registries: offices that copy each other's lists count as they are."""

    kind: Literal["most_frequent"] = "most_frequent"
    by: Literal["records", "registries"] = "records"
    bare = "by"
    bits = 20

    def key(self, value: str, *, support: Support) -> int:  # noqa: ARG002
        return _falling(support.records if self.by == "records" else support.registries, bits=self.bits)

    def sql(self) -> str:
        return _falling_sql(self.by, bits=self.bits)


class MostComplete(ValueCriterion):
    """Most parts of a date (year, month, day), words of a text, or filled members of a group; or most marks.

    `marks` counts the bytes a text needs beyond one a letter: a Vietnamese letter that keeps its marks has one or two,
    so that a name typed without them, or with some lost, comes later.
    """

    kind: Literal["most_complete"] = "most_complete"
    by: Literal["date", "words", "marks"]
    bare = "by"
    bits = 16
    no_groups = True

    @property
    def label(self) -> str:
        return f"{self.kind}:{self.by}"

    def key(self, value: str, *, support: Support) -> int:  # noqa: ARG002
        if self.by == "marks":
            return _falling(len(value.encode()) - len(value), bits=self.bits)
        return _falling(value.count("-" if self.by == "date" else " "), bits=self.bits)

    def sql(self) -> str:
        if self.by == "marks":
            return _falling_sql("strlen(value) - length(value)", bits=self.bits)
        separator = "-" if self.by == "date" else " "
        return _falling_sql(f"length(value) - length(replace(value, '{separator}', ''))", bits=self.bits)


class MostMembers(ValueCriterion):
    """The most filled members of a group: an address with street, unit and province before one with a province."""

    kind: Literal["most_members"] = "most_members"
    only_groups = True
    bits = 10

    def key(self, value: str, *, support: Support) -> int:  # noqa: ARG002
        return _falling(len(orjson.loads(value)), bits=self.bits)

    def sql(self) -> str:
        return _falling_sql("len(json_keys(value))", bits=self.bits)


class Longest(ValueCriterion):
    """The most characters."""

    kind: Literal["longest"] = "longest"
    no_groups = True
    bits = 16

    def key(self, value: str, *, support: Support) -> int:  # noqa: ARG002
        return _falling(len(value), bits=self.bits)

    def sql(self) -> str:
        return _falling_sql("length(value)", bits=self.bits)


class _Extreme(ValueCriterion):
    by: Literal["text", "number"] = "text"
    bare = "by"
    no_groups = True
    falling: ClassVar[bool]
    bits = 62

    def key(self, value: str, *, support: Support) -> int:
        if self.by == "text":
            position = support.peers.index(value)
            return 2**62 - 1 - position if self.falling else position
        if not _WHOLE_NUMBER.fullmatch(value):
            return _NOT_A_NUMBER
        return _NUMBER_ZERO + (-int(value) if self.falling else int(value))

    def sql(self) -> str:
        if self.by == "text":
            position = "dense_rank() OVER (PARTITION BY entity ORDER BY value) - 1"
            return f"{2**62 - 1} - ({position})" if self.falling else position
        number = f"{_NUMBER_ZERO} {'-' if self.falling else '+'} TRY_CAST(value AS BIGINT)"
        return f"CASE WHEN regexp_full_match(value, '{_WHOLE_NUMBER.pattern}') THEN {number} ELSE {_NOT_A_NUMBER} END"


class Minimum(_Extreme):
    """The first in order, as text (an ISO date) or as a whole number; what is no number comes last."""

    kind: Literal["minimum"] = "minimum"
    falling = False


class Maximum(_Extreme):
    """The last in order, as text (an ISO date) or as a whole number; what is no number comes last."""

    kind: Literal["maximum"] = "maximum"
    falling = True


class PersonalNumberAgrees(ValueCriterion):
    """Fewest contradictions between a 12-digit personal number and the golden sex and birth year.

    Digit 4 is twice the centuries since 1900, plus one for a woman; digits 5 and 6 are the year of birth (Circular
    07/2016/TT-BCA). A number of another form counts as three contradictions.
    """

    kind: Literal["personal_number_agrees"] = "personal_number_agrees"
    sex: str
    birth_date: str
    no_groups = True
    bits = 2

    @property
    def facts(self) -> tuple[str, str]:
        return (self.sex, self.birth_date)

    def key(self, value: str, *, support: Support) -> int:
        if not _PERSONAL_NUMBER.fullmatch(value):
            return 3
        code = int(value[3])
        sex, born = support.facts.get(self.sex), support.facts.get(self.birth_date)
        year = str(1900 + 100 * (code // 2) + int(value[4:6]))
        wrong_sex = sex in ("male", "female") and sex != ("female" if code % 2 else "male")
        return int(wrong_sex) + int(born is not None and born[:4] != year)

    def sql(self) -> str:
        sex, born = f"fact_{self.sex}", f"fact_{self.birth_date}"
        code = "TRY_CAST(substr(value, 4, 1) AS INTEGER)"
        year = f"(1900 + 100 * ({code} // 2) + TRY_CAST(substr(value, 5, 2) AS INTEGER))::VARCHAR"
        said = f"CASE WHEN {code} % 2 = 1 THEN 'female' ELSE 'male' END"
        return f"""CASE WHEN NOT regexp_full_match(value, '{_PERSONAL_NUMBER.pattern}') THEN 3
            ELSE coalesce({sex} IN ('male', 'female') AND {sex} <> {said}, false)::BIGINT
                + coalesce(substr({born}, 1, 4) <> {year}, false)::BIGINT END"""


Criterion = Annotated[
    Valid
    | Precedence
    | MostTrusted
    | DecayingTrust
    | MostRecent
    | MostFrequent
    | MostComplete
    | MostMembers
    | Longest
    | Minimum
    | Maximum
    | PersonalNumberAgrees,
    Field(discriminator="kind"),
]

CRITERIA: Mapping[str, type[ContributionCriterion | ValueCriterion]] = {
    criterion.model_fields["kind"].default: criterion for criterion in get_args(get_args(Criterion)[0])
}


def criterion_fields(written: Any) -> Any:
    """The fields of a criterion written short: `trust`, `precedence: [birth_events]`, `minimum: number`."""
    if isinstance(written, str):
        return {"kind": written}
    if not isinstance(written, Mapping) or len(written) != 1 or "kind" in written:
        return written
    ((kind, parameters),) = written.items()
    if isinstance(parameters, Mapping):
        return {"kind": kind, **parameters}
    known = CRITERIA.get(kind)
    return {"kind": kind, known.bare if known and known.bare else "value": parameters}


def quoted(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
