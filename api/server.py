"""The app as `mdm serve` starts it, in each of its workers."""

from __future__ import annotations

from typing import TYPE_CHECKING

from api.app import create_app
from api.observing import log_as_json
from mdm.settings import Settings

if TYPE_CHECKING:
    from fastapi import FastAPI


def make_app() -> FastAPI:
    """By the settings of the environment."""
    log_as_json()
    settings = Settings()
    return create_app(settings, sends_webhooks=settings.webhook_worker)
