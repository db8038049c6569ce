"""Secrets and signatures of webhooks (Standard Webhooks: standardwebhooks.com).

A subscription's secret is derived by HKDF (RFC 5869) from the installation's webhook key and a salt in the store, so neither the store nor a
backup of it can sign (docs/decisions/017).
"""

from __future__ import annotations

import base64
import secrets
from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from standardwebhooks.webhooks import Webhook

if TYPE_CHECKING:
    from datetime import datetime

_BYTES = 32
_PREFIX = "whsec_"


def new_salt() -> str:
    return secrets.token_hex(_BYTES)


def fingerprint(key: bytes) -> str:
    """By which the webhook key is recognised."""
    return _derived(key, salt=None, info=b"mdm webhook key fingerprint")[:8].hex()


def secret(key: bytes, *, subscription: str, salt: str) -> str:
    """`whsec_` and the base64 of 32 bytes."""
    made = _derived(key, salt=bytes.fromhex(salt), info=f"mdm webhook {subscription}".encode())
    return _PREFIX + base64.b64encode(made).decode()


def signed_headers(secrets_: list[str], *, message: str, body: bytes, at: datetime) -> dict[str, str]:
    """With a signature by each secret. `at` is in UTC."""
    text = body.decode()
    signatures = (Webhook(each).sign(msg_id=message, timestamp=at, data=text) for each in secrets_)
    return {
        "webhook-id": message,
        "webhook-timestamp": str(int(at.timestamp())),
        "webhook-signature": " ".join(signatures),
    }


def _derived(key: bytes, *, salt: bytes | None, info: bytes) -> bytes:
    return HKDF(algorithm=SHA256(), length=_BYTES, salt=salt, info=info).derive(key)
