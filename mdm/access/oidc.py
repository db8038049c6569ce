"""Tokens of an identity provider (OpenID Connect): JWTs under its published keys."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jwt

from mdm.access.principal import Principal, principal_of
from mdm.errors import UnavailableError

if TYPE_CHECKING:
    from mdm.settings import Settings

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
"""Public-key algorithms only: with a shared one a provider's public key would pass for a secret."""
_LEEWAY_SECONDS = 30


class Provider:
    def __init__(self, settings: Settings) -> None:
        assert settings.oidc_issuer is not None
        assert settings.oidc_jwks_url is not None
        self._issuer, self._audience = settings.oidc_issuer, settings.oidc_audience
        self._roles = settings.oidc_roles_claim.split(".")
        self._name = settings.oidc_name_claim
        self._keys = jwt.PyJWKClient(settings.oidc_jwks_url, timeout=5)

    @property
    def issuer(self) -> str:
        return self._issuer

    def holder(self, token: str) -> Principal | None:
        """Whose token it is; None where it is not valid now, not for us, or not under a key of the provider.

        Raises:
            UnavailableError: the provider's keys cannot be fetched.
        """
        try:
            key = self._keys.get_signing_key_from_jwt(token)
            claims = jwt.decode(
                token,
                key,
                algorithms=list(ALGORITHMS),
                issuer=self._issuer,
                audience=self._audience,
                leeway=_LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud", self._name]},
            )
        except jwt.PyJWKClientConnectionError as error:
            raise UnavailableError(
                "The identity provider does not answer.", hint="Try again in a minute."
            ) from error
        except (jwt.InvalidTokenError, jwt.PyJWKClientError, jwt.PyJWKError):
            return None
        name = claims[self._name]
        return principal_of(f"oidc:{name}", self._role_names(claims)) if isinstance(name, str) else None

    def _role_names(self, claims: dict[str, Any]) -> list[str]:
        found: Any = claims
        for step in self._roles:
            found = found.get(step) if isinstance(found, dict) else None
        return [role for role in found if isinstance(role, str)] if isinstance(found, list) else []
