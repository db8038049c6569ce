"""Addresses to administrative units, in the vocabulary that was valid when the paper was written."""

from __future__ import annotations

import datetime as dt
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from matching.standardise.address_text import readings, segments
from matching.standardise.text import parse_text, tidy
from matching.standardise.unit_candidates import Names
from matching.standardise.unit_names import name_keys
from matching.standardise.unit_search import Match, search
from matching.standardise.units import LEGACY, NOW, REFORM, Unit, Units

_REFORM_DAY = dt.date.fromisoformat(REFORM)
_OLD_FIRST, _NEW_FIRST = LEGACY + NOW, NOW + LEGACY
_LONGEST_NAME = 7
_LONGEST_TEXT = 1000  # letters; no address has more
_PER_PART = 0.2  # a reading that explains one part more may be that much worse
_COLUMNS = ("street", "commune", "district", "province", "text", "commune_code")
RESULT_SCHEMA = pa.schema([(name, pa.string()) for name in ("unit", "level", "province", "street", "issue")])


class ResolvedUnit(NamedTuple):
    """`code` is the deepest unit found (a district or province where the commune is not certain), None if none.

    `province_code` is in the unit's own vocabulary, `province_now` today's. `confidence` is 1 where all names agree exactly
    and falls with misspellings and missing parents; it orders doubts and is no probability.
    """

    code: str | None
    level: str | None
    province_code: str | None
    province_now: str | None
    street: str | None
    confidence: float
    issue: str | None


def resolve(
    units: Units,
    *,
    street: str | None = None,
    commune: str | None = None,
    district: str | None = None,
    province: str | None = None,
    text: str | None = None,
    commune_code: str | None = None,
    as_of: dt.date | None = None,
) -> ResolvedUnit:
    """One address, given as columns, as an official commune code, or as free text (used where no column names the commune;
    columns may then name its district and province).

    `as_of` is the day of the paper. Old names live on in new papers and the other way round, so the other vocabulary is
    tried second; without a day both are tried, the old one first where a district is named.
    """
    era = _era(as_of)
    written = Names(*(_said(part)[:_LONGEST_TEXT] for part in (commune, district, province)))
    line = _said(street)
    if commune_code is not None and (unit := _by_official_code(units, tidy(commune_code), era)) is not None:
        return _resolved(units, Match(unit, 1.0, None), line or None, era)
    whole = _said(text)
    if written.commune or (any(written) and not whole):
        return _resolved(units, search(units, written, era), line or None, era)
    if not whole:
        return _resolved(units, None, line or None, era, given=commune_code is not None)
    if len(whole) > _LONGEST_TEXT:
        return _resolved(units, None, line or whole, era)
    parts = [*segments(whole, units), *filter(None, (written.district, written.province))]
    match, used = _read_tail(units, tuple(parts[-3:]), era)
    before = parts[: len(parts) - used]
    if before and match is not None and match.issue == "unit.commune_unknown":
        match, before[-1] = _commune_at_end(units, before[-1], match)
    rest = ", ".join(filter(None, before))
    return _resolved(units, match, line or rest or None, era)


@lru_cache(maxsize=1 << 16)
def _said(text: str | None) -> str:
    return "" if text is None else parse_text(text).value or ""


def _era(as_of: dt.date | None) -> str | None:
    if as_of is None:
        return None
    return NOW if as_of >= _REFORM_DAY else LEGACY


def _by_official_code(units: Units, code: str, era: str | None) -> Unit | None:
    """The unit of an official five-digit code; new communes kept the code of one of their parts.

    Without a day the old meaning is taken: its successors include the new unit of the same code.
    """
    unit = units.by_code.get(code.upper())
    if unit is not None:
        return unit
    if not code.isdecimal() or not code.isascii() or len(code) > 5:
        return None
    vocabularies = _NEW_FIRST if era == NOW else _OLD_FIRST
    found = (units.by_code.get(vocabulary + code.zfill(5)) for vocabulary in vocabularies)
    return next((unit for unit in found if unit is not None), None)


@lru_cache(maxsize=1 << 17)
def _read_tail(units: Units, parts: tuple[str, ...], era: str | None) -> tuple[Match | None, int]:
    best: tuple[Match | None, int] = (None, 0)
    highest = (-1, 0.0)
    for names, used in readings(parts, units):
        match = search(units, names, era)
        if match is None:
            continue
        certain = match.unit.level == "commune" and match.issue is None and match.score == 1.0
        # one of several communes of that name: a reading that leaves the name out is no better
        if certain or (match.issue == "unit.ambiguous" and match.unit.level == "district"):
            return match, used
        level, score = match.rank
        rank = level, score + _PER_PART * used
        if rank > highest:
            highest = rank
            # a part that named no unit belongs to the street
            best = match, used - (match.issue == "unit.commune_unknown")
    return best


def _commune_at_end(units: Units, part: str, match: Match) -> tuple[Match, str]:
    """'12 Lê Lợi Bến Nghé' in a known district: the commune its last words name, and what is left of it."""
    words = part.split()
    for start in range(max(0, len(words) - _LONGEST_NAME), len(words)):
        table = units.communes.get(match.unit.code, {})
        codes = next((table[key] for key, _ in name_keys(" ".join(words[start:])) if key in table), ())
        if len(codes) == 1:
            return Match(units.by_code[codes[0]], match.score, None), " ".join(words[:start])
    return match, part


def _resolved(
    units: Units, match: Match | None, street: str | None, era: str | None, *, given: bool = True
) -> ResolvedUnit:
    if match is None:
        return ResolvedUnit(None, None, None, None, street, 0.0, "unit.unknown" if given else None)
    unit, score, issue = match
    if issue is None and era is not None and unit.code[0] != era:
        issue = "unit.other_vocabulary"
    return ResolvedUnit(
        unit.code, unit.level, unit.province, units.province_now(unit.code), street, round(score, 2), issue
    )


def resolve_columns(table: pa.Table, *, units: Units) -> pa.Table:
    """Resolve every row of a table with any of the string columns street, commune, district, province, text, commune_code
    and the date column as_of. Returns unit, level, province, street, issue in the same order; each distinct address is
    resolved once, the street apart from it.
    """
    unknown = set(table.column_names) - {*_COLUMNS, "as_of"}
    if unknown:
        raise ValueError(f"Unknown address columns: {', '.join(sorted(unknown))}.")
    columns = {
        name: table.column(name).combine_chunks()
        for name in table.column_names
        if name not in ("street", "as_of")
    }
    if "as_of" in table.column_names:
        columns["as_of"] = pc.greater_equal(table.column("as_of").combine_chunks(), pa.scalar(_REFORM_DAY))
    rows = table.num_rows
    first, inverse = _distinct_rows(list(columns.values()), rows)
    lists = {name: column.take(first).to_pylist() for name, column in columns.items()}
    eras = {None: None, True: _REFORM_DAY, False: _REFORM_DAY - dt.timedelta(days=1)}
    resolved = [
        resolve(
            units,
            **{name: values[i] for name, values in lists.items() if name != "as_of"},
            as_of=eras[lists["as_of"][i]] if "as_of" in lists else None,
        )
        for i in range(len(first))
    ]
    streets = pa.array([r.street for r in resolved], pa.string()).take(inverse)
    if "street" in table.column_names:
        given = table.column("street").combine_chunks().dictionary_encode()
        tidied = pa.array([_said(street) or None for street in given.dictionary.to_pylist()], pa.string())
        streets = pc.coalesce(tidied.take(given.indices), streets)
    return pa.table(
        [
            pa.array([r.code for r in resolved], pa.string()).take(inverse),
            pa.array([r.level for r in resolved], pa.string()).take(inverse),
            pa.array([r.province_code for r in resolved], pa.string()).take(inverse),
            streets,
            pa.array([r.issue for r in resolved], pa.string()).take(inverse),
        ],
        schema=RESULT_SCHEMA,
    )


def _distinct_rows(columns: list[pa.Array], rows: int) -> tuple[pa.Array, pa.Array]:
    """The first row of each distinct combination, and each row's place among them."""
    keys: npt.NDArray[np.int64] = np.zeros(rows, np.int64)
    for column in columns:
        codes = pc.fill_null(pc.dictionary_encode(column, null_encoding="encode").indices, 0).to_numpy()
        keys = np.unique(keys * (int(codes.max(initial=0)) + 1) + codes, return_inverse=True)[1].astype(
            np.int64
        )
    _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
    return pa.array(first), pa.array(inverse)
