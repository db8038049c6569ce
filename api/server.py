"""The app as `mdm serve` starts it, in each of its workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.app import create_app
from api.observing import log_as_json
from mdm.settings import Settings
from mdm.tracing import is_tracing

if TYPE_CHECKING:
    from fastapi import FastAPI


def make_app() -> FastAPI:
    """By the settings of the environment."""
    log_as_json()
    settings = Settings()
    traces = None
    if is_tracing():
        from api.spans import collector  # noqa: PLC0415  an extra, which may not be installed

        traces = collector()
    return create_app(settings, sends_webhooks=settings.webhook_worker, traces=traces)
