"""The golden record of one entity, in Python. `golden_record.batch` gives the same answer for all entities at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import orjson

from golden_record.provenance import (
    OVERRIDE,
    TIE_BREAK,
    UNCONTESTED,
    Decision,
    Golden,
    RunnerUp,
    Source,
    canonical_json,
)
from golden_record.rules import ContributionCriterion, Setting, Subject, Support

if TYPE_CHECKING:
    from golden_record.contribution import Contribution, Override, Value
    from golden_record.policy import Policy, Rule


class OverrideError(ValueError):
    """An override that does not fit the policy."""


@dataclass(frozen=True, slots=True)
class Word:
    """A steward's word and the values it stands for, in the form in which values compete."""

    override: Override
    values: Sequence[str]


@dataclass(frozen=True, slots=True)
class Ranked:
    """A distinct value, its place in the rule's order, and its best contribution."""

    value: str
    keys: tuple[int, ...]
    record: int
    version: int
    agree: int


def survive(
    policy: Policy,
    *,
    contributions: Sequence[Contribution],
    setting: Setting,
    overrides: Iterable[Override] = (),
) -> Golden:
    """The order of the contributions does not matter."""
    words = {
        name: Word(override=o, values=override_values(policy, override=o))
        for name, o in latest(overrides).items()
    }
    named = {name for contribution in contributions for name in contribution.attributes}
    subjects = policy.subjects(
        named | {attribute for name in words for attribute in policy.attributes_of(name)}
    )
    values: dict[str, Value] = {}
    provenance: dict[str, Decision] = {}
    for subject in subjects:
        says = _says(contributions, subject=subject)
        word = words.get(subject.name)
        if word is None and not says:
            continue
        if word is None and len(says) == 1:
            chosen, decision = _agreed(says, subject=subject)
        else:
            rule = policy.rule_of(subject.name)
            facts = {fact: said for fact in rule.facts if isinstance(said := values.get(fact), str)}
            ranked = _rank(rule, says=says, subject=subject, setting=setting, facts=facts)
            chosen, decision = _decide(policy, subject=subject, ranked=ranked, word=word)
        provenance[subject.name] = decision
        if not chosen:
            continue
        if subject.is_group:
            values.update(orjson.loads(chosen[0]))
        else:
            values[subject.name] = chosen if policy.rule_of(subject.name).keep == "all" else chosen[0]
    return Golden(values=dict(sorted(values.items())), provenance=dict(sorted(provenance.items())))


def _says(contributions: Sequence[Contribution], *, subject: Subject) -> dict[str, list[Contribution]]:
    says: dict[str, list[Contribution]] = {}
    for contribution in contributions:
        for value in _values_of(contribution, subject=subject):
            says.setdefault(value, []).append(contribution)
    return says


def _agreed(says: Mapping[str, Sequence[Contribution]], *, subject: Subject) -> tuple[list[str], Decision]:
    """The only value, from the earliest record: with nothing to decide, no rule is asked."""
    ((value, sayers),) = says.items()
    first = min(sayers, key=lambda sayer: sayer.record)
    source = Source(agree=len(sayers), record=first.record, version=first.version)
    members = tuple(orjson.loads(value)) if subject.is_group else ()
    return [value], Decision(chosen=(source,), members=members)


def _rank(
    rule: Rule,
    *,
    says: Mapping[str, Sequence[Contribution]],
    subject: Subject,
    setting: Setting,
    facts: Mapping[str, str],
) -> list[Ranked]:
    peers = sorted(says)
    ranked = []
    for value, sayers in says.items():
        support = Support(
            records=len(sayers),
            registries=len({sayer.registry for sayer in sayers}),
            peers=peers,
            facts=facts,
        )

        def place(sayer: Contribution, value: str = value, support: Support = support) -> tuple[int, ...]:
            keys = (
                criterion.key(sayer, subject=subject, setting=setting)
                if isinstance(criterion, ContributionCriterion)
                else criterion.key(value, support=support)
                for criterion in rule.order
            )
            return (*keys, sayer.record)

        keys, best = min(((place(sayer), sayer) for sayer in sayers), key=lambda pair: pair[0])
        ranked.append(
            Ranked(value=value, keys=keys[:-1], record=best.record, version=best.version, agree=len(sayers))
        )
    return sorted(ranked, key=lambda candidate: (candidate.keys, candidate.value))


def _values_of(contribution: Contribution, *, subject: Subject) -> set[str]:
    """The values a contribution proposes; those of a group are one canonical JSON text."""
    if subject.is_group:
        filled = {member: said for member in subject.members if (said := contribution.attributes.get(member))}
        return {canonical_json(filled).decode()} if filled else set()
    said = contribution.attributes.get(subject.name)
    if isinstance(said, str):
        return {said} if said else set()
    return {value for value in said or () if value}


def _decide(
    policy: Policy, *, subject: Subject, ranked: Sequence[Ranked], word: Word | None
) -> tuple[list[str], Decision]:
    rule = policy.rule_of(subject.name)
    if word is None:
        count = 1 if rule.keep == "one" else rule.limit or len(ranked)
        left = ranked[count:]
        chosen = [candidate.value for candidate in ranked[:count]]
        sources = [Source(agree=c.agree, record=c.record, version=c.version) for c in ranked[:count]]
        lost_by = [
            _separating(rule, winner=ranked[count - 1], other=other)
            for other in left[: policy.runners_up or 1]
        ]
        criterion = lost_by[0] if lost_by else UNCONTESTED
    else:
        chosen = list(word.values)
        agree = {candidate.value: candidate.agree for candidate in ranked}
        left = [candidate for candidate in ranked if candidate.value not in chosen]
        sources = [Source(agree=agree.get(value, 0)) for value in chosen]
        lost_by = [OVERRIDE] * len(left)
        criterion = OVERRIDE
    runners_up = tuple(
        RunnerUp(
            value=orjson.loads(candidate.value) if subject.is_group else candidate.value,
            agree=candidate.agree,
            record=candidate.record,
            version=candidate.version,
            criterion=lost,
        )
        for candidate, lost in zip(left[: policy.runners_up], lost_by, strict=False)
    )
    decision = Decision(
        rule=policy.rule_name_of(subject.name),
        criterion=criterion,
        chosen=tuple(sources),
        runners_up=runners_up,
        members=tuple(orjson.loads(chosen[0])) if subject.is_group and chosen else (),
        by=word.override.by if word else None,
        at=word.override.stamp if word else None,
    )
    return chosen, decision


def _separating(rule: Rule, *, winner: Ranked, other: Ranked) -> str:
    for criterion, ours, theirs in zip(rule.order, winner.keys, other.keys, strict=True):
        if ours != theirs:
            return criterion.label
    return TIE_BREAK


def latest(overrides: Iterable[Override]) -> dict[str, Override]:
    """By attribute or group; of two words at one instant the later author in order of name holds."""
    in_order = sorted(
        overrides, key=lambda override: (override.stamp, override.by, canonical_json(override.value))
    )
    return {override.attribute: override for override in in_order}


def override_values(policy: Policy, *, override: Override) -> list[str]:
    """What a steward's word stands for, in the form in which values compete; none where the value is withheld.

    Raises OverrideError where its form does not fit the rule: text for one, a list for all, a mapping for a group.
    """
    name, said = override.attribute, override.value
    owner = next((owner for owner, group in policy.groups.items() if name in group.members), None)
    if owner:
        raise OverrideError(f"{name}: comes with its group, override {owner}")
    if said is None:
        return []
    if name in policy.groups:
        members = policy.groups[name].members
        if (
            isinstance(said, Mapping)
            and said
            and said.keys() <= set(members)
            and all(map(_is_text, said.values()))
        ):
            return [canonical_json(dict(said)).decode()]
        raise OverrideError(f"{name}: a group takes a mapping of some of {', '.join(members)} to text")
    if policy.rule_of(name).keep == "all":
        if isinstance(said, list) and said and all(map(_is_text, said)):
            return list(dict.fromkeys(said))
        raise OverrideError(f"{name}: takes a list of texts, or null")
    if isinstance(said, str) and said:
        return [said]
    raise OverrideError(f"{name}: takes one text, or null")


def _is_text(value: object) -> bool:
    return isinstance(value, str) and value != ""
