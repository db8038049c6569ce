"""What every parser returns."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple

Options = Mapping[str, Any]
NO_OPTIONS: Options = MappingProxyType({})


class Parsed(NamedTuple):
    """A canonical value, or None where the text cannot be used.

    `issue` is a short dotted code. Beside a value it says that the value was repaired or is suspicious; alone, why
    there is no value. Both None: nothing was given.
    """

    value: str | None
    issue: str | None = None


MISSING = Parsed(None)
