"""Every error a caller may catch. Each class has a stable code and an exit status of its own kind.

Exit statuses of the command line: 2 usage (Typer), 3 configuration, 4 input, 5 store, 6 identity, 7 verification,
8 access, 9 unavailable.
"""

from __future__ import annotations

from typing import Any


class MdmError(Exception):
    """What went wrong, where, and what to do about it.

    `where` names a file, row, column or line; `hint` says what the reader can do. Neither may hold personal data.
    """

    code = "mdm"
    exit_code = 1

    def __init__(self, message: str, *, where: str = "", hint: str = "") -> None:
        super().__init__(message)
        self.message = message
        self.where = where
        self.hint = hint

    def __reduce__(self) -> tuple[Any, ...]:
        """Errors travel between processes."""
        return _rebuilt, (type(self), self.message, self.where, self.hint)

    def __str__(self) -> str:
        text = f"{self.where}: {self.message}" if self.where else self.message
        ended = text if text.endswith((".", "?", "!", ":")) else f"{text}."
        return f"{ended} {self.hint}" if self.hint else ended


def _rebuilt(kind: type[MdmError], message: str, where: str, hint: str) -> MdmError:
    return kind(message, where=where, hint=hint)


class ConfigurationError(MdmError):
    code = "configuration"
    exit_code = 3


class InputError(MdmError):
    """A delivery or file that cannot be taken as it is; nothing of it was kept."""

    code = "input"
    exit_code = 4


class LogReplacedError(InputError):
    """A position in the log, and the log is another one since: the store was restored from a backup."""

    code = "input.log_replaced"


class NoSubscriptionError(InputError):
    """There is no such subscription, or it is not the asker's."""

    code = "input.no_subscription"


class NoDeadLetterError(InputError):
    """There is no such dead letter of the subscription."""

    code = "input.no_dead_letter"


class StoreError(MdmError):
    code = "store"
    exit_code = 5


class StoreBusyError(StoreError):
    """Somebody else writes to the store at the same time; trying again helps."""

    code = "store.busy"


class IndexMissingError(StoreError):
    """The store has no match index, so that no single record can be matched."""

    code = "store.no_index"


class IdentityError(MdmError):
    """A change that the rules of identity refuse."""

    code = "identity"
    exit_code = 6


class NotFoundError(IdentityError):
    """There is no such person, record, number, question or request, or the asker may not know of it."""

    code = "identity.not_found"


class StaleVersionError(IdentityError):
    """The entity has changed since the decision on it was made."""

    code = "identity.stale"


class ApprovalNeededError(IdentityError):
    """A second person must agree (four eyes)."""

    code = "identity.approval"


class RepeatedKeyError(IdentityError):
    """An idempotency key that was used for another request."""

    code = "identity.key"


class ClaimedError(IdentityError):
    """Somebody else is at work on the question."""

    code = "identity.claimed"


class AccessError(MdmError):
    """Who asks is not known, or may not do what they ask."""

    code = "access"
    exit_code = 8


class UnknownCallerError(AccessError):
    """Who asks did not show a key or token that is valid here."""

    code = "access.unknown"


class RefusedError(AccessError):
    """Who asks is known and has no right to it."""

    code = "access.refused"


class PurposeError(AccessError):
    """No purpose was stated, or one that is not configured."""

    code = "access.purpose"


class UnavailableError(MdmError):
    """Something outside that is needed does not answer."""

    code = "unavailable"
    exit_code = 9


class VerificationError(MdmError):
    code = "verification"
    exit_code = 7
