"""One attribute, one rule, a few contributions: what wins and why."""

from __future__ import annotations

from datetime import date

from golden_record.contribution import Contribution, Trust
from golden_record.policy import Policy
from golden_record.rules import Setting
from golden_record.survivorship import survive

AS_OF = date(2025, 7, 1)


def policy_of(*order, keep="one", limit=None, runners_up=3, **others):
    rule = {"order": list(order), "keep": keep} | ({"limit": limit} if limit else {})
    return Policy.model_validate(
        {"kind": "person", "runners_up": runners_up, "rules": {"the_rule": rule}, "default": "the_rule"}
        | others
    )


def says(record, value, registry="tax", *, day=None, issue=None, attribute="x", **more):
    return Contribution(
        record=record,
        version=1,
        registry=registry,
        observed_on=date.fromisoformat(day) if day else None,
        attributes={attribute: value, **more},
        issues={attribute: issue} if issue else {},
    )


def golden_of(policy, *contributions, trust=(), overrides=()):
    setting = Setting(as_of=AS_OF, trust=Trust(dict(trust)))
    return survive(policy, contributions=contributions, setting=setting, overrides=overrides)


def winner(*order_and_contributions, trust=()):
    """The value of `x` and the criterion that decided."""
    order = [part for part in order_and_contributions if not isinstance(part, Contribution)]
    contributions = [part for part in order_and_contributions if isinstance(part, Contribution)]
    golden = golden_of(policy_of(*order), *contributions, trust=trust)
    return golden.values["x"], golden.provenance["x"].criterion
