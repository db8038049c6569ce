"""A declaration proposed from a sample file, for a person to look through and complete."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from mdm.registries.declaration import SCHEMA_LINE
from mdm.registries.guessing import guess, quoted
from mdm.registries.sniffing import sniff

if TYPE_CHECKING:
    from pathlib import Path

    from mdm.registries.attributes import Attributes
    from mdm.registries.guessing import Guess
    from mdm.registries.sniffing import Sniffed


def propose(file: Path, *, code: str, attributes: Attributes) -> str:
    """YAML of a registry that reads `file`, with comments where a person has to decide.

    Raises InputError for a file that is empty or of no format that can be read.
    """
    sniffed = sniff(file)
    guessed = guess(sniffed, attributes)
    lines = [
        SCHEMA_LINE,
        f"# Proposed from {file.name}. Lines marked TODO need a decision.",
        f"code: {code}",
        f"name: {{vi: {quoted(code)}, en: {quoted(code)}}}  # TODO",
        "owner: {vi: chưa rõ, en: unknown}  # TODO the office that answers for the data",
        'legal_basis: ""  # TODO the text that lets this registry be used',
        f"holds: {'people' if guessed.kind == 'person' else 'households'}",
        "anchor: false",
        "duplicate_free: false  # true only if its office guarantees that nobody is in it twice",
        "sensitivity: normal",
        "trust: {default: 0.5}  # TODO 0 to 1, for all attributes or one by one",
        "sources:",
        f"  - name: {'people' if guessed.kind == 'person' else 'households'}",
        f"    files: [{quoted_text(file.name)}]  # TODO a pattern such as {quoted_text('*' + file.suffix)}",
        f"    format: {sniffed.format}",
        *(f"    {name}: {value}" for name, value in _settings(sniffed).items()),
    ]
    if sniffed.tables:
        lines.append(f"    # other tables of the file: {', '.join(sniffed.tables)}")
    if sniffed.skip:
        column, pattern = sniffed.skip
        lines.append(f"    skip: [{{column: {quoted(column)}, pattern: {quoted_text(pattern)}}}]")
    return "\n".join([*lines, *_record(guessed)]) + "\n"


def _settings(sniffed: Sniffed) -> dict[str, str]:
    given = dict(sniffed.settings)
    for name, default in (("header", "[1]"), ("encoding", "utf-8"), ("delimiter", '","'), ("sheet", "1")):
        if given.get(name) == default and name in {"header", "sheet"}:
            del given[name]
    return {
        name: value if name in {"header", "delimiter", "encoding"} else quoted(value)
        for name, value in given.items()
    }


def _record(guessed: Guess) -> list[str]:
    doubt = (
        ""
        if guessed.key_is_sure
        else "  # TODO must name a record for good; this column is only unique in the sample"
    )
    lines = [
        "    records:",
        f"      - kind: {guessed.kind}",
        f"        key: [{quoted(guessed.key)}]{doubt}",
        "        columns:",
        *(f"          {attribute}: {mapping}" for attribute, mapping in guessed.columns.items()),
    ]
    lines += [f"          # not mapped: {quoted(name)}" for name in guessed.unknown]
    required = next((name for name in ("full_name", "head_name") if name in guessed.columns), None)
    if required:
        lines.append(f"        required: [{required}]")
    return lines


def quoted_text(text: str) -> str:
    return "'" + re.sub("'", "''", text) + "'"
