"""From what a client shows (a machine's key, a session, a provider's token) to who it is."""

from __future__ import annotations

import hashlib
import threading
import time
from typing import TYPE_CHECKING

import jwt

from mdm.access import keys
from mdm.access.oidc import Provider
from mdm.access.sessions import ISSUER, Sessions

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from mdm.access.principal import Principal
    from mdm.settings import Settings

REMEMBERED_SECONDS = 5.0
"""So long a revoked key, a disabled account or an expired token may still be let in."""
_REMEMBERED = 10_000
_LONGEST = 8_192


class Authenticator:
    """Safe to share between threads."""

    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._engine = engine
        self._provider = Provider(settings) if settings.oidc_issuer else None
        self.sessions = Sessions(settings, engine)
        self._known: dict[bytes, tuple[float, Principal]] = {}
        self._lock = threading.Lock()

    def remembered(self, credential: str) -> Principal | None:
        """Who showed this in the last seconds; touches neither store nor network."""
        found = self._known.get(_digest(credential))
        return found[1] if found is not None and found[0] > time.monotonic() else None

    def holder(self, credential: str) -> Principal | None:
        """Who shows this; None for nobody that is known. Raises UnavailableError and StoreError."""
        found = self._looked_up(credential)
        if found is not None:
            with self._lock:
                if len(self._known) >= _REMEMBERED:
                    self._known.clear()
                self._known[_digest(credential)] = (time.monotonic() + REMEMBERED_SECONDS, found)
        return found

    def _looked_up(self, credential: str) -> Principal | None:
        if len(credential) > _LONGEST:
            return None
        if credential.startswith(keys.MARK):
            return keys.holder(self._engine, credential)
        issuer = _issuer_told(credential)
        if issuer == ISSUER:
            return self.sessions.holder(credential)
        if self._provider is not None and issuer == self._provider.issuer:
            return self._provider.holder(credential)
        return None


def _issuer_told(token: str) -> object:
    """By whom the token says it is, not yet believed: it tells by which key it is to be verified."""
    try:
        return jwt.decode(token, options={"verify_signature": False}).get("iss")
    except jwt.InvalidTokenError:
        return None


def _digest(credential: str) -> bytes:
    return hashlib.sha256(credential.encode()).digest()
