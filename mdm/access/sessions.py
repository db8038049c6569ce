"""Sessions of accounts: short tokens (JWT, HS256) under a key of this installation."""

from __future__ import annotations

import secrets
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import jwt

from mdm.access import accounts
from mdm.access.principal import Principal, principal_of
from mdm.errors import ConfigurationError
from mdm.store.keys import write_secret

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from mdm.access.accounts import Account
    from mdm.settings import Settings

ISSUER = "urn:mdm:sessions"
_ALGORITHM = "HS256"


class Sessions:
    def __init__(self, settings: Settings, engine: Engine) -> None:
        self._settings, self._engine = settings, engine
        self.lifetime = timedelta(minutes=settings.session_minutes)

    def begin(self, name: str, password: str) -> str | None:
        """A token; None where name and password do not fit, or the account is disabled."""
        found = accounts.signed_in(self._engine, name, password)
        return None if found is None else self._token(found)

    def holder(self, token: str) -> Principal | None:
        """Whose session it is, with the roles that the account has now; None after any change of the account."""
        try:
            claims = jwt.decode(
                token,
                self._key(),
                algorithms=[_ALGORITHM],
                issuer=ISSUER,
                audience=ISSUER,
                options={"require": ["exp", "iat", "iss", "aud", "sub"]},
            )
        except jwt.InvalidTokenError:
            return None
        found = accounts.standing(self._engine, claims["sub"])
        if found is None or found.version != claims.get("version"):
            return None
        return principal_of(found.name, found.roles)

    def _token(self, found: Account) -> str:
        now = datetime.now(UTC)
        claims = {
            "iss": ISSUER,
            "aud": ISSUER,
            "sub": found.name,
            "version": found.version,
            "iat": now,
            "exp": now + self.lifetime,
        }
        return jwt.encode(claims, self._key(), algorithm=_ALGORITHM)

    def _key(self) -> str:
        path = self._settings.session_key
        try:
            return path.read_text(encoding="ascii").strip()
        except FileNotFoundError as error:
            raise ConfigurationError(
                "There is no key for sessions.", where=str(path), hint="`mdm user add` makes it."
            ) from error


def make_session_key(settings: Settings) -> bool:
    """Creates the key file if there is none; returns whether it did."""
    return write_secret(settings.session_key, secrets.token_hex(32) + "\n")
