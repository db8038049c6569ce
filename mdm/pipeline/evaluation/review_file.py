"""The file that clerks fill in: a row for each pair, CSV (UTF-8) or a workbook.

A row has the evidence of both records, its place in the design, and a check over all of these. The check finds what a
hand or a spreadsheet program did to a row; it is no protection against who means to forge.
"""

from __future__ import annotations

import csv
import hashlib
from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Literal, get_args

import xlsxwriter
from python_calamine import CalamineError, CalamineWorkbook

from mdm.errors import InputError
from mdm.identity.events import canonical_json

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

Answer = Literal["yes", "no", "unsure"]
ANSWER = "same_person"
_SIDES = ("1", "2")
_DESIGN = (
    "run", "seed", "sealed", "size", "stratum", "linked", "stratum_pairs", "stratum_drawn", "inclusion_probability",
    "record_1", "record_2", "sample", "check",
)  # fmt: skip
_NAMED_AT_MOST = 10
_FORMULA = ("=", "+", "-", "@")
"""A spreadsheet program would take such a text for a formula."""
_FORMATS = (".csv", ".xlsx")


@dataclass(frozen=True)
class Design:
    """How a sample was drawn. `linked`, `pairs` and `drawn` are by stratum."""

    run: str
    seed: int
    sealed: bool
    """Whether records of sealed registries are in it."""
    linked: list[bool]
    pairs: list[int]
    drawn: list[int]

    @property
    def size(self) -> int:
        return sum(self.drawn)


@dataclass(frozen=True)
class ReviewRow:
    number: int
    stratum: int
    records: tuple[int, int]
    evidence: tuple[Mapping[str, Any], Mapping[str, Any]]


@dataclass(frozen=True)
class Reviews:
    design: Design
    answers: list[tuple[int, Answer]]
    """Stratum and answer of each row."""
    unanswered: list[int] = field(default_factory=list)
    """Numbers of the rows without an answer."""


def write_reviews(
    path: Path, design: Design, rows: Sequence[ReviewRow], *, attributes: Sequence[str]
) -> None:
    """`attributes` in the order in which to show them; those that no record has are left out."""
    if path.suffix not in _FORMATS:
        raise InputError("the file's ending must be .csv or .xlsx", where=str(path))
    if not path.parent.is_dir():
        raise InputError("there is no such folder", where=str(path.parent))
    shown = [
        a
        for a in ("registry", "local_id", *attributes)
        if any(a in side for r in rows for side in r.evidence)
    ]
    header = ["row", ANSWER, *(f"{name}_{side}" for name in shown for side in _SIDES), *_DESIGN]
    table = [_cells(design, row, shown) for row in rows]
    sample = _digest([row["check"] for row in table])
    lines = [[str({**row, "sample": sample}.get(name, "")) for name in header] for row in table]
    partial = path.with_name(path.name + ".partial")
    if path.suffix == ".csv":
        with partial.open(
            "w", encoding="utf-8-sig", newline=""
        ) as file:  # spreadsheet programs look for the mark
            csv.writer(file).writerows([header, *lines])
    else:
        _write_workbook(partial, header, lines)
    partial.chmod(0o600)
    partial.replace(path)


def read_reviews(path: Path) -> Reviews:
    """Raises InputError where the file is not one of these, rows were changed, are missing or of another sample; it names the rows."""
    rows = _read(path)
    missing = sorted({"row", ANSWER, *_DESIGN} - set(rows[0] if rows else ()))
    if missing:
        raise InputError(
            f"columns are missing: {', '.join(missing)}",
            where=str(path),
            hint="Give the file that `mdm evaluate --sample-out` wrote, with its answers.",
        )
    rewritten = [
        row["row"] or f"at line {line}"
        for line, row in enumerate(rows, start=2)
        if row["check"] != _check(row)
    ]
    _refuse(
        path,
        rewritten,
        "was changed",
        hint=f"Write in the column {ANSWER} only. A spreadsheet program rewrites the numbers of a .csv: draw an .xlsx for it.",
    )
    first = rows[0]
    others = [row["row"] for row in rows if (row["sample"], row["run"]) != (first["sample"], first["run"])]
    _refuse(path, others, "belongs to another sample", hint="One file holds one sample, as it was written.")
    numbers = [int(row["row"]) for row in rows]
    twice = [number for number, count in Counter(numbers).items() if count > 1]
    _refuse(path, twice, "is there twice", hint="Keep one of them.")
    missing_rows = sorted(set(range(1, int(first["size"]) + 1)) - set(numbers))
    _refuse(
        path, missing_rows, "is missing", hint="Every drawn pair counts: put it back, unanswered if need be."
    )
    by_number = sorted(rows, key=lambda row: int(row["row"]))
    if _digest([row["check"] for row in by_number]) != first["sample"]:
        raise InputError("its rows are not those of one sample", where=str(path))
    given = {int(row["row"]): row[ANSWER].strip().casefold() for row in by_number}
    unknown = [number for number, answer in given.items() if answer and answer not in get_args(Answer)]
    _refuse(path, unknown, f"has no answer that is known in {ANSWER}", hint="Write yes, no or unsure.")
    return Reviews(
        _design(rows),
        [(int(row["stratum"]), given[int(row["row"])]) for row in by_number if given[int(row["row"])]],  # type: ignore[misc]
        [number for number, answer in given.items() if not answer],
    )


def _cells(design: Design, row: ReviewRow, shown: Sequence[str]) -> dict[str, str]:
    stratum = row.stratum
    cells = {
        "row": str(row.number),
        "run": design.run,
        "seed": str(design.seed),
        "sealed": "yes" if design.sealed else "no",
        "size": str(design.size),
        "stratum": str(stratum),
        "linked": "yes" if design.linked[stratum] else "no",
        "stratum_pairs": str(design.pairs[stratum]),
        "stratum_drawn": str(design.drawn[stratum]),
        "inclusion_probability": f"{design.drawn[stratum] / design.pairs[stratum]:.9g}",
        "record_1": str(row.records[0]),
        "record_2": str(row.records[1]),
    }
    for side, values in zip(_SIDES, row.evidence, strict=True):
        cells |= {f"{name}_{side}": _text(values.get(name)) for name in shown}
    return {**cells, "check": _check(cells)}


def _text(value: Any) -> str:
    if value is None:
        return ""
    text = "; ".join(map(str, value)) if isinstance(value, list) else str(value)
    text = " ".join(text.split())
    return f"'{text}" if text.startswith(_FORMULA) else text


def _check(row: Mapping[str, str]) -> str:
    """Over all cells but the answer and what covers other rows."""
    covered = {name: cell for name, cell in row.items() if name not in {ANSWER, "sample", "check"} and cell}
    return hashlib.sha256(canonical_json(covered).encode()).hexdigest()[:16]


def _digest(checks: Sequence[str]) -> str:
    return hashlib.sha256("\n".join(checks).encode()).hexdigest()[:16]


def _design(rows: Sequence[Mapping[str, str]]) -> Design:
    strata = {int(row["stratum"]): row for row in rows}
    ordered = [strata[number] for number in sorted(strata)]
    return Design(
        run=rows[0]["run"],
        seed=int(rows[0]["seed"]),
        sealed=rows[0]["sealed"] == "yes",
        linked=[row["linked"] == "yes" for row in ordered],
        pairs=[int(row["stratum_pairs"]) for row in ordered],
        drawn=[int(row["stratum_drawn"]) for row in ordered],
    )


def _refuse(path: Path, rows: Sequence[object], what: str, *, hint: str) -> None:
    if not rows:
        return
    named = ", ".join(str(row) for row in rows[:_NAMED_AT_MOST])
    more = f" and {len(rows) - _NAMED_AT_MOST:,} more" if len(rows) > _NAMED_AT_MOST else ""
    raise InputError(f"row {named}{more} {what}", where=str(path), hint=hint)


def _write_workbook(path: Path, header: Sequence[str], lines: Sequence[Sequence[str]]) -> None:
    """All cells are text, so that no number loses its zeros; the answers are chosen from a list."""
    with xlsxwriter.Workbook(str(path), {"strings_to_numbers": False, "strings_to_formulas": False}) as book:
        sheet = book.add_worksheet("reviews")
        text = book.add_format({"num_format": "@"})
        sheet.set_column(0, len(header) - 1, 18, text)
        for place, line in enumerate([header, *lines]):
            for column, cell in enumerate(line):
                sheet.write_string(place, column, cell, text)
        answers = {"validate": "list", "source": list(get_args(Answer)), "ignore_blank": True}
        sheet.data_validation(1, header.index(ANSWER), max(1, len(lines)), header.index(ANSWER), answers)
        sheet.freeze_panes(1, 2)


def _read(path: Path) -> list[dict[str, str]]:
    if not path.is_file():
        raise InputError("there is no such file", where=str(path))
    try:
        if path.suffix == ".xlsx":
            cells = CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python()
            lines = [[_plain(cell) for cell in line] for line in cells]
        else:
            with path.open(encoding="utf-8-sig", newline="") as file:
                lines = list(csv.reader(file))
    except (CalamineError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            "cannot be read as a file of reviews", where=str(path), hint="It is .xlsx, or .csv in UTF-8."
        ) from error
    lines = [line for line in lines if any(line)]
    if len(lines) < 2:
        raise InputError("the file has no rows", where=str(path))
    width = len(lines[0])
    return [dict(zip(lines[0], [*line, *[""] * width], strict=False)) for line in lines[1:]]


def _plain(cell: Any) -> str:
    """A cell as text; a whole number that a person's program made of a text has no decimals."""
    return str(int(cell)) if isinstance(cell, float) and cell.is_integer() else str(cell)
