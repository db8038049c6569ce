"""`mdm serve`: the HTTP API."""

from __future__ import annotations

import ipaddress
import os
import tempfile
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated

import typer

from mdm.cli.terminal import StoreOption, err, opened_store, progress_bars
from mdm.errors import ConfigurationError

_APP = "api.server:make_app"
"""By its name: the API stands above this room."""
_COUNTS = "PROMETHEUS_MULTIPROC_DIR"


def serve(
    *,
    host: Annotated[str, typer.Option("--host", help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option("--port", min=1, max=65_535, help="Port to listen on.")] = 8000,
    workers: Annotated[
        int, typer.Option("--workers", min=1, max=64, help="Processes; several only on PostgreSQL.")
    ] = 1,
    certificate: Annotated[
        Path | None, typer.Option("--tls-cert", help="Certificate with its chain, PEM.")
    ] = None,
    private_key: Annotated[Path | None, typer.Option("--tls-key", help="Its private key, PEM.")] = None,
    behind_proxy: Annotated[
        str | None,
        typer.Option(
            "--behind-proxy",
            metavar="ADDRESSES",
            help="Addresses of the proxy that does TLS, with commas: only its X-Forwarded-* are believed.",
        ),
    ] = None,
    store: StoreOption = None,
) -> None:
    """Serve the HTTP API. Its description is at /docs; who may call it: `mdm key`, `mdm user`, or MDM_OIDC_*."""
    from mdm.pipeline.indexing import make_index, wants_index
    from mdm.queries.serving import Serving
    from mdm.tracing import is_tracing

    with opened_store(store) as settings:
        _refuse_open_address(host, tls=certificate is not None, behind_proxy=behind_proxy)
        if (certificate is None) != (private_key is None):
            raise ConfigurationError("--tls-cert and --tls-key go together")
        if workers > 1 and settings.is_sqlite:
            raise ConfigurationError(
                "An SQLite store is served by one worker: it has one writer, and locks its file by process.",
                where="--workers",
                hint="Use PostgreSQL for several.",
            )
        is_tracing()
        if wants_index(settings):
            err.print("Making the match index, once: runs keep it from now on.")
            with progress_bars() as bars:
                make_index(settings, progress=bars)
        Serving(settings).close()  # what is wrong is told here, in words
        os.environ["MDM_STORE"] = settings.store
    import uvicorn

    err.print(f"Serving on http{'s' if certificate else ''}://{host}:{port}; description at /docs")
    with tempfile.TemporaryDirectory(prefix="mdm-metrics-") if workers > 1 else nullcontext() as counts:
        if counts is not None:
            os.environ[_COUNTS] = counts
        uvicorn.run(
            _APP,
            factory=True,
            host=host,
            port=port,
            workers=workers,
            ssl_certfile=certificate,
            ssl_keyfile=None if private_key is None else str(private_key),
            proxy_headers=behind_proxy is not None,
            forwarded_allow_ips=behind_proxy,
            lifespan="on",
            ws="none",
            log_config=None,
            access_log=False,
            server_header=False,
            limit_concurrency=1_000,
            timeout_keep_alive=15,
            timeout_graceful_shutdown=30,
        )


def _refuse_open_address(host: str, *, tls: bool, behind_proxy: str | None) -> None:
    """Tokens and people's data do not go over a network unencrypted."""
    try:
        local = host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local and not tls and not behind_proxy:
        raise ConfigurationError(
            f"{host} can be reached by others, and what is sent there could be read.",
            where="--host",
            hint="Give --tls-cert and --tls-key, or --behind-proxy with the address of the proxy that does TLS.",
        )
