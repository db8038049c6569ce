"""The 54 officially named ethnic groups, by name, spelling or official number."""

from __future__ import annotations

import re
from functools import cache

from matching.standardise.letters import fold
from matching.standardise.parsed import MISSING, NO_OPTIONS, Options, Parsed
from matching.standardise.reference import read_table
from matching.standardise.text import says_nothing, tidy

_PREFIX = re.compile(r"^(?:dân tộc|dan toc|người|nguoi)\s+(?=\w)", re.IGNORECASE)


@cache
def _names() -> dict[str, str]:
    """Key of every spelling and number -> official name."""
    rows = read_table("ethnic_groups.csv")
    found = {str(int(row["code"])): row["name"] for row in rows} | {
        _key(row["name"]): row["name"] for row in rows
    }
    for row in rows:
        for spelling in filter(None, row["spellings"].split(";")):
            found.setdefault(_key(spelling), row["name"])
    return found


def _key(text: str) -> str:
    return fold(text).replace(" ", "")


def parse_ethnicity(raw: str, *, options: Options = NO_OPTIONS) -> Parsed:
    """The official Vietnamese name of the group ('Kinh', "Mông"); an unknown group keeps its text with an issue."""
    del options
    text = tidy(raw)
    if not text:
        return MISSING
    if says_nothing(text):
        return Parsed(None, "ethnicity.placeholder")
    key = _key(_PREFIX.sub("", text))
    name = _names().get(str(int(key)) if key.isdecimal() else key)
    return Parsed(name) if name else Parsed(text, "ethnicity.unknown")
