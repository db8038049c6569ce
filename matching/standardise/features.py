"""Comparison features of canonical attributes: for a table of records and, by the same functions, for one record.

What an attribute X gives, by its type:

    name          X_key X_toneless X_folded; full_name also surname middle given name_sorted name_initials
    date          X_iso (full dates only) X_full (those but 1 January) X_year X_month X_day X_precision (day, january_first, month, year)
    unit          X; address_unit and address_province instead commune communes_now province, all three together
    text          X_folded (as does name_part); address_street gives street_folded
    integer       X as a number
    others        X

An attribute of many values gives lists. A person also gets pid_sex and pid_birth_year (what the personal number says)
and personal_ids (current number, former ones, and those found in other fields). Numbers are moved to the field they belong
to: a 12-digit tax code, social-insurance or health-card number is a personal number and fills an empty one; a health card fills an
empty social_insurance_no. Features of several attributes are in `matching.standardise.joint`. A missing value is null in every
feature, a list is never empty.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from matching.standardise.identifiers import personal_id_facts, social_insurance_no_of
from matching.standardise.joint import NEEDS, joint_columns, joint_features
from matching.standardise.letters import fold
from matching.standardise.name_forms import name_forms
from matching.standardise.units import Units, default_units

STRING, INTEGER, STRINGS = pa.string(), pa.int32(), pa.list_(pa.string())


class AttributeDeclaration(Protocol):
    """A canonical attribute: its value type, and whether it holds a list."""

    @property
    def type(self) -> str: ...
    @property
    def many(self) -> bool: ...


_BLOCK = 4096  # tuples alive at a time; many more of them slow the garbage collector down
Declarations = Mapping[str, AttributeDeclaration]


@dataclass(frozen=True, slots=True)
class FeatureSet:
    """The features of one attribute: their columns and how one value gives them (`of` None: the value itself)."""

    columns: tuple[tuple[str, pa.DataType], ...]
    of: Callable[[str], Sequence[Any]] | None


def _name(attribute: str) -> FeatureSet:
    columns = (
        (f"{attribute}_key", STRING),
        (f"{attribute}_toneless", STRING),
        (f"{attribute}_folded", STRING),
    )
    if attribute != "full_name":
        return FeatureSet(columns, lambda value: name_forms(value)[:3])
    more = ("surname", "middle", "given", "name_sorted", "name_initials")
    return FeatureSet((*columns, *((name, STRING) for name in more)), name_forms)


def _date(attribute: str) -> FeatureSet:
    parts = (
        ("iso", STRING),
        ("year", INTEGER),
        ("month", INTEGER),
        ("day", INTEGER),
        ("precision", STRING),
        ("full", STRING),
    )
    return FeatureSet(tuple((f"{attribute}_{part}", kind) for part, kind in parts), date_parts)


def date_parts(value: str) -> tuple[str | None, int, int | None, int | None, str, str | None]:
    """ISO day or None, year, month, day, precision, and ISO day of precision "day", of a canonical date.

    The first of January often stands for an unknown day, so it is a precision of its own.
    """
    year = int(value[:4])
    if len(value) == 4:
        return None, year, None, None, "year", None
    month = int(value[5:7])
    if len(value) == 7:
        return None, year, month, None, "month", None
    if value.endswith("-01-01"):
        return value, year, month, 1, "january_first", None
    return value, year, month, int(value[8:]), "day", value


def _text(attribute: str) -> FeatureSet:
    column = "street_folded" if attribute == "address_street" else f"{attribute}_folded"
    return FeatureSet(((column, STRING),), lambda value: (fold(value) or None,))


def _itself(attribute: str) -> FeatureSet:
    return FeatureSet(((attribute, STRING),), None)


def _integer(attribute: str) -> FeatureSet:
    return FeatureSet(((attribute, INTEGER),), lambda value: (int(value),))


FEATURES: Mapping[str, Callable[[str], FeatureSet]] = {
    "name": _name,
    "date": _date,
    "text": _text,
    "name_part": _text,
    "integer": _integer,
}
_PLACES = ("address_unit", "address_province")
_PLACE_COLUMNS = (("commune", STRING), ("communes_now", STRINGS), ("province", STRING))
_PERSON_COLUMNS = (("pid_sex", STRING), ("pid_birth_year", INTEGER), ("personal_ids", STRINGS))
_NUMBERS_THAT_MAY_BE_PERSONAL = ("tax_code", "social_insurance_no", "health_card_no")


def _feature_set(attribute: str, declared: AttributeDeclaration) -> FeatureSet:
    return FEATURES.get(declared.type, _itself)(attribute)


def feature_schema(kind: str, *, declaration: Declarations) -> pa.Schema:
    fields: list[tuple[str, pa.DataType]] = []
    for attribute, declared in declaration.items():
        if attribute not in _PLACES:
            columns = _feature_set(attribute, declared).columns
            fields.extend((name, pa.list_(type_) if declared.many else type_) for name, type_ in columns)
    fields.extend(_PLACE_COLUMNS if any(place in declaration for place in _PLACES) else ())
    fields.extend(_PERSON_COLUMNS if _has_personal_id(kind, declaration) else ())
    there = {name for name, _ in fields}
    fields.extend((name, STRING) for name, needed in NEEDS.items() if there.issuperset(needed))
    return pa.schema(fields)


def _has_personal_id(kind: str, declaration: Declarations) -> bool:
    declared = declaration.get("personal_id")
    return kind == "person" and declared is not None and declared.type == "personal_id"


# --- one record --------------------------------------------------------------------------------------------------


def features(
    kind: str, attributes: Mapping[str, Any], *, declaration: Declarations, units: Units | None = None
) -> dict[str, Any]:
    """The features of one record from its canonical attributes (strings, lists of strings); missing ones are None."""
    return Features(kind, declaration=declaration, units=units).of(attributes)


class Features:
    """`features` for many records of a kind, one at a time."""

    def __init__(self, kind: str, *, declaration: Declarations, units: Units | None = None) -> None:
        self._declaration = declaration
        self._units = units or default_units()
        self._names = feature_schema(kind, declaration=declaration).names
        self._joint = [name for name in NEEDS if name in self._names]
        self._has_personal_id = _has_personal_id(kind, declaration)
        self._has_place = any(place in declaration for place in _PLACES)
        self._sets = {
            attribute: _feature_set(attribute, declared)
            for attribute, declared in declaration.items()
            if attribute not in _PLACES
        }

    def of(self, attributes: Mapping[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = dict.fromkeys(self._names)
        values = {name: attributes[name] for name in self._declaration if attributes.get(name) is not None}
        if self._has_personal_id:
            values, found["personal_ids"] = _numbers_at_their_place(values)
            facts = personal_id_facts(values["personal_id"]) if "personal_id" in values else None
            found["pid_sex"], found["pid_birth_year"] = (
                (facts.sex, facts.birth_year) if facts else (None, None)
            )
        for attribute, value in values.items():
            if attribute in _PLACES:
                continue
            given = self._sets[attribute]
            if given.of is None:
                found[attribute] = value or None
            elif not self._declaration[attribute].many:
                found.update(zip((name for name, _ in given.columns), given.of(value), strict=True))
            elif value:
                columns = zip(*map(given.of, value), strict=True)
                found.update(zip((name for name, _ in given.columns), map(list, columns), strict=True))
        if self._has_place:
            found.update(_place(self._units, values.get("address_unit"), values.get("address_province")))
        found.update(joint_features(found, self._joint))
        return found


def _numbers_at_their_place(attributes: Mapping[str, Any]) -> tuple[dict[str, Any], list[str] | None]:
    values = dict(attributes)
    moved = []
    for name in _NUMBERS_THAT_MAY_BE_PERSONAL:
        number = values.get(name)
        if number is not None and len(number) == 12:
            moved.append(values.pop(name))
    own = [values["personal_id"]] if "personal_id" in values else []
    ids = list(dict.fromkeys([*own, *moved, *(values.get("former_personal_id") or ())]))
    if moved:
        values.setdefault("personal_id", moved[0])
    card = values.get("health_card_no")
    if card is not None and "social_insurance_no" not in values:
        values["social_insurance_no"] = social_insurance_no_of(card)
    return {name: value for name, value in values.items() if value is not None}, ids or None


def _place(units: Units, unit: str | None, province: str | None) -> dict[str, Any]:
    known = units.by_code.get(unit) if unit is not None else None
    at_commune = known is not None and known.level == "commune"
    communes = list(units.successors(unit)) if at_commune and unit is not None else []
    return {
        "commune": unit if at_commune else None,
        "communes_now": communes or None,
        "province": (units.province_now(unit) if unit else None)
        or (units.province_now(province) if province else None),
    }


# --- a table of records ------------------------------------------------------------------------------------------


def feature_columns(
    kind: str,
    attributes: pa.Table,
    *,
    declaration: Declarations,
    wanted: Collection[str] | None = None,
    units: Units | None = None,
) -> pa.Table:
    """The features of every row, in the row order; columns that are not declared are ignored, missing ones are null.

    `wanted` names the feature columns to make; without it all are made.
    """
    schema = feature_schema(kind, declaration=declaration)
    result = schema if wanted is None else pa.schema([field for field in schema if field.name in wanted])
    joint = [name for name in NEEDS if name in result.names]
    made = {*result.names, *(column for name in joint for column in NEEDS[name])}
    schema = pa.schema([field for field in schema if field.name in made])
    columns = {
        name: _whole(attributes.column(name), many=declared.many)
        for name, declared in declaration.items()
        if name in attributes.column_names
    }
    found: dict[str, pa.Array] = {}
    if _has_personal_id(kind, declaration):
        columns, found["personal_ids"] = _number_columns_at_their_place(columns, attributes.num_rows)
        if "personal_id" in columns:
            found.update(_mapped(columns["personal_id"], _PERSONAL_ID_FACTS, many=False, schema=schema))
    for attribute, column in columns.items():
        if attribute not in _PLACES:
            declared = declaration[attribute]
            found.update(
                _mapped(column, _feature_set(attribute, declared), many=declared.many, schema=schema)
            )
    if any(name in schema.names for name, _ in _PLACE_COLUMNS):
        found.update(_place_columns(units or default_units(), columns, attributes.num_rows))
    found |= {f.name: pa.nulls(attributes.num_rows, f.type) for f in schema if f.name not in found}
    found |= joint_columns(found, joint)
    return pa.table([found[name] for name in result.names], schema=result)


def _whole(column: pa.ChunkedArray, *, many: bool) -> pa.Array:
    """One array; a column in which every value is missing has no type of its own."""
    if pa.types.is_null(column.type):
        return pa.nulls(len(column), STRINGS if many else STRING)
    return column.combine_chunks() if column.num_chunks != 1 else column.chunk(0)


def _sex_and_year(personal_id: str) -> tuple[str | None, int | None]:
    facts = personal_id_facts(personal_id)
    return (facts.sex, facts.birth_year) if facts else (None, None)


_PERSONAL_ID_FACTS = FeatureSet((("pid_sex", STRING), ("pid_birth_year", INTEGER)), _sex_and_year)


def _mapped(column: pa.Array, given: FeatureSet, *, many: bool, schema: pa.Schema) -> dict[str, pa.Array]:
    """The features of one attribute that are in the schema."""
    wanted = [place for place, (name, _) in enumerate(given.columns) if name in schema.names]
    if not wanted:
        return {}
    if given.of is not None:
        return (_each_list_mapped if many else _each_mapped)(column, given, wanted)
    if many:
        column = pc.if_else(
            pc.greater(pc.list_value_length(column), 0), column, pa.nulls(len(column), STRINGS)
        )
    return {given.columns[0][0]: column}


def _each_mapped(column: pa.Array, given: FeatureSet, wanted: Sequence[int]) -> dict[str, pa.Array]:
    """Each distinct value mapped once; of its features those at the places `wanted`."""
    assert given.of is not None
    encoded = pc.dictionary_encode(column)
    values = encoded.dictionary.to_pylist()
    parts: list[list[Any]] = [[] for _ in wanted]
    for start in range(0, len(values), _BLOCK):
        rows = list(zip(*map(given.of, values[start : start + _BLOCK]), strict=True))
        for part, place in zip(parts, wanted, strict=True):
            part.extend(rows[place])
    made = {}
    for part, place in zip(parts, wanted, strict=True):
        name, type_ = given.columns[place]
        made[name] = pa.array(part, type_).take(encoded.indices)
    return made


def _each_list_mapped(column: pa.ListArray, given: FeatureSet, wanted: Sequence[int]) -> dict[str, pa.Array]:
    """The values inside lists mapped; null and empty lists become null."""
    lengths = pc.fill_null(pc.list_value_length(column), 0)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(lengths).cast(pa.int32())])
    mapped = _each_mapped(pc.list_flatten(column), given, wanted)
    empty = pc.equal(lengths, 0)
    return {name: pa.ListArray.from_arrays(offsets, values, mask=empty) for name, values in mapped.items()}


def _number_columns_at_their_place(
    given: Mapping[str, pa.Array], rows: int
) -> tuple[dict[str, pa.Array], pa.Array]:
    columns = dict(given)
    nothing = pa.nulls(rows, STRING)
    moved = []
    for name in _NUMBERS_THAT_MAY_BE_PERSONAL:
        if name in columns:
            personal = pc.equal(pc.utf8_length(columns[name]), 12)
            moved.append(pc.if_else(personal, columns[name], nothing))
            columns[name] = pc.if_else(personal, nothing, columns[name])
    own = columns.get("personal_id", nothing)
    ids = _list_of_distinct([own, *moved], columns.get("former_personal_id"), rows)
    columns["personal_id"] = pc.coalesce(own, *moved) if moved else own
    if "health_card_no" in columns:
        card = columns["health_card_no"]
        inside = pc.utf8_slice_codeunits(card, -10)
        columns["social_insurance_no"] = pc.coalesce(columns.get("social_insurance_no", nothing), inside)
    return columns, ids


def _list_of_distinct(scalars: Sequence[pa.Array], lists: pa.Array | None, rows: int) -> pa.Array:
    """One list for each row: the scalars in order, then the list, equal values once, null where nothing is left.

    Rows with at most one scalar and no list, nearly all, are made in bulk.
    """
    first = pc.coalesce(*scalars)
    several = pc.greater(_count(scalars, rows), 1)
    if lists is not None:
        several = pc.or_(several, pc.greater(pc.fill_null(pc.list_value_length(lists), 0), 0))
    present = pc.is_valid(first)
    offsets = pa.concat_arrays([pa.array([0], pa.int32()), pc.cumulative_sum(present.cast(pa.int32()))])
    single = pa.ListArray.from_arrays(offsets, first.drop_null(), mask=pc.invert(present))
    places = pc.indices_nonzero(several)
    if len(places) == 0:
        return single
    chosen = [scalar.take(places).to_pylist() for scalar in scalars]
    tails = lists.take(places).to_pylist() if lists is not None else [None] * len(places)
    made = [
        list(dict.fromkeys([*(v for v in head if v is not None), *(tail or ())]))
        for head, tail in zip(zip(*chosen, strict=True), tails, strict=True)
    ]
    sources = np.arange(rows)
    sources[places.to_numpy()] = rows + np.arange(len(places))
    return pa.concat_arrays([single, pa.array(made, STRINGS)]).take(pa.array(sources))


def _count(scalars: Sequence[pa.Array], rows: int) -> pa.Array:
    total = np.zeros(rows, np.int32)
    for scalar in scalars:
        total += pc.is_valid(scalar).to_numpy(zero_copy_only=False)
    return pa.array(total)


def _place_columns(units: Units, columns: Mapping[str, pa.Array], rows: int) -> dict[str, pa.Array]:
    nothing = pa.nulls(rows, STRING)
    place = _each_mapped(
        columns.get("address_unit", nothing),
        FeatureSet(_PLACE_COLUMNS, lambda unit: tuple(_place(units, unit, None).values())),
        range(len(_PLACE_COLUMNS)),
    )
    province = _each_mapped(
        columns.get("address_province", nothing),
        FeatureSet((("province", STRING),), lambda code: (units.province_now(code),)),
        [0],
    )
    return {**place, "province": pc.coalesce(place["province"], province["province"])}
