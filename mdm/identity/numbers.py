"""The life of a number: its states, which may follow which, and the reason each change needs.

Nothing deletes a number and nothing gives it to anyone else. Superseded becomes active again by undoing the merge that
superseded it and in no other way.
"""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING

from mdm.errors import IdentityError

if TYPE_CHECKING:
    from collections.abc import Mapping


class NumberKind(StrEnum):
    SSN = "ssn"
    TEMPORARY = "temporary"


class NumberState(StrEnum):
    RESERVED = "reserved"
    ACTIVE = "active"
    SUSPENDED = "suspended"
    SUPERSEDED = "superseded"
    DECEASED = "deceased"
    CANCELLED = "cancelled"


class Reason(StrEnum):
    """Why a number was issued or changed."""

    ANCHORED = "anchored"
    NOT_ANCHORED = "not_anchored"
    RESERVATION = "reservation"
    MERGE = "merge"
    UNMERGE = "unmerge"
    DEATH = "death"
    DEATH_REVOKED = "death_revoked"
    INVESTIGATION = "investigation"
    INVESTIGATION_CLOSED = "investigation_closed"
    ISSUED_IN_ERROR = "issued_in_error"
    COURT_ORDER = "court_order"


LIVE = frozenset({NumberState.ACTIVE, NumberState.SUSPENDED, NumberState.DECEASED})
"""States in which a number is the one by which its holder is known."""

_S, _R = NumberState, Reason
TRANSITIONS: Mapping[tuple[NumberState, NumberState], frozenset[Reason]] = {
    (_S.RESERVED, _S.ACTIVE): frozenset({_R.ANCHORED}),
    (_S.RESERVED, _S.CANCELLED): frozenset({_R.ISSUED_IN_ERROR}),
    (_S.ACTIVE, _S.SUSPENDED): frozenset({_R.INVESTIGATION, _R.COURT_ORDER}),
    (_S.SUSPENDED, _S.ACTIVE): frozenset({_R.INVESTIGATION_CLOSED, _R.COURT_ORDER}),
    (_S.ACTIVE, _S.DECEASED): frozenset({_R.DEATH, _R.COURT_ORDER}),
    (_S.SUSPENDED, _S.DECEASED): frozenset({_R.DEATH, _R.COURT_ORDER}),
    (_S.DECEASED, _S.ACTIVE): frozenset({_R.DEATH_REVOKED, _R.COURT_ORDER}),
    (_S.ACTIVE, _S.SUPERSEDED): frozenset({_R.MERGE, _R.ANCHORED}),
    (_S.SUSPENDED, _S.SUPERSEDED): frozenset({_R.MERGE, _R.ANCHORED}),
    (_S.DECEASED, _S.SUPERSEDED): frozenset({_R.MERGE, _R.ANCHORED}),
    (_S.SUPERSEDED, _S.ACTIVE): frozenset({_R.UNMERGE}),
    (_S.SUPERSEDED, _S.SUSPENDED): frozenset({_R.UNMERGE}),
    (_S.SUPERSEDED, _S.DECEASED): frozenset({_R.UNMERGE}),
    (_S.ACTIVE, _S.CANCELLED): frozenset({_R.ISSUED_IN_ERROR, _R.COURT_ORDER}),
    (_S.SUSPENDED, _S.CANCELLED): frozenset({_R.ISSUED_IN_ERROR, _R.COURT_ORDER}),
}
"""Every change there is, with the reasons that justify it. Cancelled is final."""

BY_HAND = frozenset({_S.ACTIVE, _S.SUSPENDED, _S.DECEASED, _S.CANCELLED})
"""States that a person can set; superseded is set and undone by merges only."""


def check_transition(before: str, after: str, reason: str) -> None:
    """Raises IdentityError for a change that is not in TRANSITIONS."""
    reasons = TRANSITIONS.get((NumberState(before), NumberState(after)))
    if reasons is None:
        possible = sorted(to for since, to in TRANSITIONS if since == before)
        raise IdentityError(
            f"A number that is {before} cannot become {after}.",
            hint=f"From {before} it can become {', '.join(possible)}."
            if possible
            else "This state is final.",
        )
    if reason not in reasons:
        raise IdentityError(
            f"`{reason}` is no reason for a number to become {after}.",
            hint=f"Reasons: {', '.join(sorted(reasons))}.",
        )
