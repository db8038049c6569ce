"""Where webhooks may go: a caller who names a URL must not reach what only this server can (server-side request forgery).

A name is looked up at each message and its addresses are checked; the message goes to an address that was checked, not to the name.
"""

from __future__ import annotations

import asyncio
import re
import socket
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import TYPE_CHECKING

import httpx2

from mdm.errors import InputError

if TYPE_CHECKING:
    from mdm.settings import Settings

Address = IPv4Address | IPv6Address

_MOST_LETTERS = 2000
_HOST = re.compile(r"[a-z0-9._-]+|\[?[0-9a-f:.]+\]?", re.ASCII)
_NAT64 = IPv6Network("64:ff9b::/96")
_HINT = "Networks that are not public are named in MDM_WEBHOOK_NETWORKS."


class AddressRefusedError(Exception):
    """None of a name's addresses may be gone to."""


def check_url(url: str, settings: Settings) -> None:
    """Raises InputError for a URL that no message could go to. A name is looked up only when a message is sent."""
    where = "url"
    try:
        parsed = httpx2.URL(url)
    except httpx2.InvalidURL as error:
        raise InputError("this is no URL", where=where) from error
    is_whole = _HOST.fullmatch(parsed.raw_host.decode("ascii")) and 0 < (parsed.port or 443) < 1 << 16
    if parsed.scheme not in {"https", "http"} or not is_whole or len(url) > _MOST_LETTERS:
        raise InputError("this is no https URL", where=where)
    if parsed.userinfo or parsed.fragment:
        raise InputError(
            "a webhook's URL has no user, password or fragment",
            where=where,
            hint="The receiver knows the sender by the signature.",
        )
    if parsed.scheme == "http" and not settings.webhook_networks:
        raise InputError("a webhook goes by https", where=where, hint=_HINT)
    literal = _literal(parsed.host)
    if literal is not None and not is_allowed(literal, settings, encrypted=parsed.scheme == "https"):
        raise InputError("webhooks may not go to this address", where=where, hint=_HINT)


def is_allowed(address: Address, settings: Settings, *, encrypted: bool) -> bool:
    """Public addresses by https, and what the settings name."""
    plain = _plain(address)
    if any(plain in network for network in settings.webhook_networks):
        return True
    return encrypted and plain.is_global and not plain.is_multicast


async def resolve(url: httpx2.URL, settings: Settings) -> list[Address]:
    """The addresses of the URL's host that a message may go to. Raises AddressRefusedError, OSError for an unknown name."""
    port = url.port or (443 if url.scheme == "https" else 80)
    loop = asyncio.get_running_loop()
    host = url.raw_host.decode("ascii").strip("[]")
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    addresses = dict.fromkeys(ip_address(info[4][0]) for info in found)
    allowed = [a for a in addresses if is_allowed(a, settings, encrypted=url.scheme == "https")]
    if not allowed:
        raise AddressRefusedError
    return allowed


def _literal(host: str) -> Address | None:
    try:
        return ip_address(host.strip("[]"))
    except ValueError:
        return None


def _plain(address: Address) -> Address:
    """The IPv4 address inside an IPv6 one that only wraps it."""
    if isinstance(address, IPv4Address):
        return address
    wrapped = address.ipv4_mapped or address.sixtofour or (address.teredo[1] if address.teredo else None)
    if wrapped is None and address in _NAT64:
        wrapped = IPv4Address(int(address) & 0xFFFFFFFF)
    return wrapped or address
