"""One message to one receiver over HTTP, with nothing that a receiver does able to hold the sender longer than the timeout."""

from __future__ import annotations

import asyncio
import logging
import ssl
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Self

import httpx2

from mdm.feed.addresses import AddressRefusedError, resolve

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdm.feed.addresses import Address
    from mdm.settings import Settings

_MOST_OF_AN_ANSWER = 1 << 16
_DRAIN_SECONDS = 1
_GONE = 410
_TOLD_WHEN = frozenset({429, 503})

_WHY: Mapping[type[Exception], str] = {
    AddressRefusedError: "address",
    TimeoutError: "timeout",
    httpx2.TimeoutException: "timeout",
    httpx2.ConnectError: "connect",
    httpx2.HTTPError: "broken",
    OSError: "name",
}

# it would write URLs, which may hold a receiver's token, to the log
logging.getLogger("httpx2").setLevel(logging.WARNING)


@dataclass(frozen=True)
class Outcome:
    """`error` is None for a message that was taken: any answer of 200 to 299. No redirect is followed."""

    error: str | None = None
    retry_after: float = 0
    """Seconds, as the receiver asks."""
    is_gone: bool = False
    """The receiver wants no more messages."""


class Sender:
    """Keeps a connection open between the messages to one receiver. For one thread."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __enter__(self) -> Self:
        self._runner = asyncio.Runner()
        self._client = httpx2.AsyncClient(
            verify=_certificates(self._settings),
            trust_env=False,
            follow_redirects=False,
            timeout=self._settings.webhook_timeout,
            headers={"user-agent": "mdm-webhooks", "content-type": "application/json"},
        )
        return self

    def __exit__(self, *_: object) -> None:
        self._runner.run(self._client.aclose())
        self._runner.close()

    def send(self, url: str, body: bytes, headers: Mapping[str, str]) -> Outcome:
        return self._runner.run(self._send(httpx2.URL(url), body, headers))

    async def _send(self, url: httpx2.URL, body: bytes, headers: Mapping[str, str]) -> Outcome:
        try:
            async with asyncio.timeout(self._settings.webhook_timeout):
                addresses = await resolve(url, self._settings)
                for address in addresses[:-1]:
                    try:
                        return await self._post(url, address, body, headers)
                    except (httpx2.ConnectError, httpx2.ConnectTimeout):
                        continue
                return await self._post(url, addresses[-1], body, headers)
        except (AddressRefusedError, httpx2.HTTPError, OSError) as error:
            return Outcome(next(why for kind, why in _WHY.items() if isinstance(error, kind)))

    async def _post(
        self, url: httpx2.URL, address: Address, body: bytes, headers: Mapping[str, str]
    ) -> Outcome:
        request = self._client.build_request(
            "POST",
            url.copy_with(host=str(address)),
            content=body,
            headers={**headers, "host": url.netloc.decode("ascii")},
            extensions={"sni_hostname": url.raw_host.decode("ascii").strip("[]")},
        )
        answer = await self._client.send(request, stream=True)
        try:
            await _drain(answer)
        finally:
            await answer.aclose()
        if answer.is_success:
            return Outcome()
        asked = answer.headers.get("retry-after", "") if answer.status_code in _TOLD_WHEN else ""
        return Outcome(
            f"http.{answer.status_code}",
            retry_after=float(asked[:9]) if asked.isascii() and asked.isdecimal() else 0,
            is_gone=answer.status_code == _GONE,
        )


async def _drain(answer: httpx2.Response) -> None:
    """So that the connection can be used again. What the body says, and whether it ever ends, changes nothing."""
    read = 0
    with suppress(TimeoutError, httpx2.HTTPError):
        async with asyncio.timeout(_DRAIN_SECONDS):
            async for some in answer.aiter_raw():
                read += len(some)
                if read > _MOST_OF_AN_ANSWER:
                    return


def _certificates(settings: Settings) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if settings.webhook_ca_file is not None:
        context.load_verify_locations(settings.webhook_ca_file)
    return context
