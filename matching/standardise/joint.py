"""Comparison features made from several others, for a table and by the same rules for one record.

name_sound           full_name_folded as it sounds: spellings that one region or another speaks alike are one
name_ends            surname and given name, without what stands between
address_now          street in its commune of today (in the old commune where that was divided)
personal_id_fitting  the personal number where it agrees with the record's own sex and year of birth
"""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Mapping

NEEDS: Mapping[str, tuple[str, ...]] = {
    "name_sound": ("full_name_folded",),
    "name_ends": ("surname", "given"),
    "address_now": ("street_folded", "commune", "communes_now"),
    "personal_id_fitting": ("personal_id", "pid_sex", "pid_birth_year", "sex", "birth_date_year"),
}

# ch/tr, s/x, d/gi/r/v, l/n, c/k/q and i/y at the beginning; c/t and n/ng/nh at the end of a syllable
_BEGINNINGS = re.compile(r"^(?:ngh|ng|nh|tr|ch|gi|gh|ph|th|kh|qu|[a-z])")
_SAME_BEGINNING = {
    "tr": "ch", "x": "s", "gi": "d", "r": "d", "v": "d", "n": "l", "k": "c", "q": "c", "ngh": "ng", "gh": "g", "f": "ph",
}  # fmt: skip
_ENDINGS = (("ng", "n"), ("nh", "n"), ("ch", "t"), ("c", "t"))


@lru_cache(maxsize=1 << 16)
def _syllable(word: str) -> str:
    found = _BEGINNINGS.match(word)
    beginning = found.group() if found and found.end() < len(word) else ""
    rest = word[len(beginning) :].replace("y", "i")
    for ending, same in _ENDINGS:
        if len(rest) > len(ending) and rest.endswith(ending):
            rest = rest[: -len(ending)] + same
            break
    return _SAME_BEGINNING.get(beginning, beginning) + rest


def sound(folded: str) -> str:
    """A folded name with each syllable as it sounds where spellings are confused."""
    return " ".join([_syllable(word) for word in folded.split(" ")])


def joint_features(found: Mapping[str, Any], names: Collection[str]) -> dict[str, Any]:
    """Those of `names` for one record, from its other features."""
    return {name: _OF_RECORD[name](*(found.get(column) for column in NEEDS[name])) for name in names}


def joint_columns(found: Mapping[str, pa.Array], names: Collection[str]) -> dict[str, pa.Array]:
    """Those of `names` for a table, from its other feature columns."""
    return {name: _OF_TABLE[name](*(found[column] for column in NEEDS[name])) for name in names}


def _sound(folded: str | None) -> str | None:
    return None if folded is None else sound(folded)


def _sound_column(folded: pa.Array) -> pa.Array:
    encoded = pc.dictionary_encode(folded)
    return pa.array([_sound(value) for value in encoded.dictionary.to_pylist()], pa.string()).take(
        encoded.indices
    )


def _ends(surname: str | None, given: str | None) -> str | None:
    return None if surname is None or given is None else f"{surname} {given}"


def _ends_column(surname: pa.Array, given: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise(surname, given, " ")


def _address(street: str | None, commune: str | None, now: list[str] | None) -> str | None:
    if street is None or commune is None:
        return None
    return f"{now[0] if now and len(now) == 1 else commune} {street}"


def _address_column(street: pa.Array, commune: pa.Array, now: pa.Array) -> pa.Array:
    single = pc.equal(pc.fill_null(pc.list_value_length(now), 0), 1)
    first = pc.list_element(pc.if_else(single, now, pa.scalar([None], now.type)), 0)
    return pc.binary_join_element_wise(pc.coalesce(first, commune), street, " ")


def _fitting(
    number: str | None, its_sex: str | None, its_year: int | None, sex: str | None, year: int | None
) -> str | None:
    fits = number is not None and its_sex is not None and its_sex == sex and its_year == year
    return number if fits else None


def _fitting_column(
    number: pa.Array, its_sex: pa.Array, its_year: pa.Array, sex: pa.Array, year: pa.Array
) -> pa.Array:
    fits = pc.and_(pc.equal(its_sex, sex), pc.equal(its_year, year))
    return pc.if_else(pc.fill_null(fits, fill_value=False), number, pa.nulls(len(number), pa.string()))


_OF_RECORD: Mapping[str, Callable[..., Any]] = {
    "name_sound": _sound,
    "name_ends": _ends,
    "address_now": _address,
    "personal_id_fitting": _fitting,
}
_OF_TABLE: Mapping[str, Callable[..., pa.Array]] = {
    "name_sound": _sound_column,
    "name_ends": _ends_column,
    "address_now": _address_column,
    "personal_id_fitting": _fitting_column,
}
