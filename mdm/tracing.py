"""Whether spans are to be sent to a collector of OpenTelemetry, as its standard variables say."""

from __future__ import annotations

import os
from importlib.util import find_spec

from mdm.errors import ConfigurationError

_ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_PROTOCOLS = ("OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL")
_SPOKEN = "http/protobuf"


def is_tracing() -> bool:
    """Whether a collector is named, and nothing says that it gets no spans.

    Raises:
        ConfigurationError: the packages that send spans are not installed, or the collector is to be spoken to in another protocol.
    """
    is_off = (
        os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true"
        or os.environ.get("OTEL_TRACES_EXPORTER") == "none"
    )
    if is_off or not any(os.environ.get(name) for name in _ENDPOINTS):
        return False
    name = next((name for name in _PROTOCOLS if os.environ.get(name)), None)
    if name is not None and os.environ[name] != _SPOKEN:
        raise ConfigurationError(
            "Spans are sent in one protocol only.", where=name, hint=f"Leave it out, or set it to {_SPOKEN}."
        )
    if find_spec("opentelemetry.exporter") is None or find_spec("opentelemetry.sdk") is None:
        raise ConfigurationError(
            "A collector of OpenTelemetry is named, and what sends spans is not installed.",
            where=next(name for name in _ENDPOINTS if os.environ.get(name)),
            hint="Install the extra `telemetry`: pip install asxh-mdm[telemetry].",
        )
    return True
