"""docs/matching.md tells every type that an attribute can have."""

from __future__ import annotations

import re
from pathlib import Path

from matching.standardise.types import VALUE_TYPES


def test_every_type_is_in_the_table_of_types() -> None:
    text = (Path(__file__).parents[3] / "docs" / "matching.md").read_text(encoding="utf-8")
    table = text.split("## From types to columns")[1].split("\n\n")[2]
    documented = {name for row in table.splitlines() for name in re.findall(r"`(\w+)`", row.split("|")[1])}
    assert documented == set(VALUE_TYPES)
