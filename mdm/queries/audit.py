"""For auditors: the signed log and its proofs, and who read whom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mdm.errors import NotFoundError
from mdm.store.engine import looking
from mdm.store.keys import log_public_key
from mdm.store.proofs import SignedCheckpoint, consistency, inclusion, latest_checkpoint, sign
from mdm.store.rows import Rows
from mdm.store.unit_of_work import unit_of_work

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from mdm.settings import Settings


__all__ = ["Audit", "SignedCheckpoint"]


class Audit:
    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings, self._engine = settings, engine

    def checkpoint(self) -> SignedCheckpoint:
        """The latest one. Raises NotFoundError where nothing was signed yet."""
        with looking(self._engine) as connection:
            found = latest_checkpoint(Rows(connection))
        if found is None:
            raise _nothing_signed()
        return found

    def sign(self) -> SignedCheckpoint:
        """All events so far; the latest checkpoint where it covers them.

        Raises:
            ConfigurationError: no log key, or another than the store's.
            VerificationError: the log is not as it was signed before.
        """
        with unit_of_work(self._engine) as work:
            signed = sign(self._settings, Rows(work.connection))
        if signed is None:
            raise _nothing_signed()
        return signed

    def public_key(self) -> str:
        with looking(self._engine) as connection:
            return log_public_key(self._settings, Rows(connection))

    def inclusion(self, event: int, *, size: int | None = None) -> dict[str, Any]:
        """As `mdm.store.proofs.inclusion`."""
        with looking(self._engine) as connection:
            return inclusion(Rows(connection), event, checkpoint=size)

    def consistency(self, old: int, new: int | None = None) -> dict[str, Any]:
        """As `mdm.store.proofs.consistency`."""
        with looking(self._engine) as connection:
            return consistency(Rows(connection), old, new)


def _nothing_signed() -> NotFoundError:
    return NotFoundError("Nothing was signed yet.", hint="`mdm log checkpoint` signs the events so far.")
