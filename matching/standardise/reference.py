"""Where the reference tables lie and how they are read."""

from __future__ import annotations

import csv
from functools import cache
from pathlib import Path

_PACKAGES = Path(__file__).resolve().parents[2]


@cache
def reference_folder() -> Path:
    """configs/reference of a checkout, or its copy in an installed wheel."""
    candidates = (_PACKAGES / "configs" / "reference", _PACKAGES / "mdm" / "_configs" / "reference")
    for candidate in candidates:
        if candidate.is_dir():
            return candidate
    raise FileNotFoundError("The folder configs/reference is missing from this installation.")


def read_table(name: str, *, folder: Path | None = None) -> list[dict[str, str]]:
    with ((folder or reference_folder()) / name).open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))
