"""A declaration proposed from a sample file, for a person to look through and complete."""

from __future__ import annotations

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
    return "\n".join([*lines, *_record(sniffed, guessed)]) + "\n"


def _settings(sniffed: Sniffed) -> dict[str, str]:
    given = {name: value for name, value in sniffed.settings.items() if (name, value) != ("header", "[1]")}
    as_they_are = {"header", "delimiter", "encoding"}
    return {name: value if name in as_they_are else quoted(value) for name, value in given.items()}


def _record(sniffed: Sniffed, guessed: Guess) -> list[str]:
    doubt = (
        ""
        if guessed.key_is_sure
        else "  # TODO must name a record for good; here it is only unique in the sample"
    )
    sheet = sniffed.settings.get("sheet_column")
    key = [quoted(column) for column in (sheet, guessed.key) if column]
    lines = [
        "    records:",
        f"      - kind: {guessed.kind}",
        f"        key: [{', '.join(key)}]{doubt}",
        "        columns:",
        *(f"          {attribute}: {mapping}" for attribute, mapping in guessed.columns.items()),
    ]
    lines += [f"          # not mapped: {quoted(name)}" for name in guessed.unknown]
    name = next((name for name in ("full_name", "head_name") if name in guessed.columns), None)
    if name:
        some_lack_it = any(not any(row.get(column) for column in guessed.named_by) for row in sniffed.rows)
        doubt = "# TODO some rows have none and would be quarantined: " if some_lack_it else ""
        lines.append(f"        {doubt}required: [{name}]")
    return lines


def quoted_text(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"
