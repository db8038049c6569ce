"""The simulated population: five Arrow tables whose rows are true facts. Deliveries are made from them.

Conventions: ids are int64 from 0 and equal the row number of their table; -1 means none; a null means that the person
has no such thing (no phone, not dead). Dates are date32. Unit codes are those of configs/reference/units.csv.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from datetime import date

OCCUPATIONS = (
    "child",  # below school age
    "student",  # school, vocational school, university
    "unemployed",  # of working age without work, looking for it or not
    "formal_employee",  # labour contract, compulsory social insurance; has employer_id
    "self_employed",
    "farmer",
    "retired_pension",
    "elderly_no_pension",
    "disabled",  # unable to work
    "soldier",  # army and police; has employer_id
    "export_worker",  # works abroad; has a passport
)
MERIT = ("none", "martyr", "martyr_relative", "wounded", "veteran", "heroic_mother", "resistance_activist")
EDUCATION = ("none", "primary", "lower_secondary", "upper_secondary", "vocational", "university")
INCOME_CLASSES = ("poor", "near_poor", "other")
RELATIONS = ("head", "spouse", "child", "grandchild", "parent", "other")
EVENT_KINDS = ("birth", "death", "marriage", "divorce", "move", "personal_id_change", "name_change")

_text = pa.string()
_id = pa.int64()
_date = pa.date32()


def _schema(**columns: pa.DataType) -> pa.Schema:
    return pa.schema(list(columns.items()))


PERSONS = _schema(
    person_id=_id,
    sex=_text,  # male, female: as it truly is
    birth_date=_date,
    death_date=_date,  # null: alive on `Population.until`
    birth_registered_on=_date,  # null for foreigners and for a baby whose birth is not registered yet
    death_registered_on=_date,  # null: alive, or the death is not registered yet; later than death_date, often by much
    full_name=_text,  # canonical form; null for a baby not named yet (birth registered or not)
    surname=_text,  # null where the naming of the group has none
    middle=_text,  # all words between surname and given name; null where there are none
    given=_text,  # the last word in Kinh order; the whole given name in minority and foreign order
    former_name=_text,  # full name before a legal change of name
    former_name_until=_date,  # day of that change
    ethnicity=_text,  # official two-digit code of the 54 groups (01 Kinh); 55 foreigner
    nationality=_text,  # ISO 3166-1 alpha-2
    birth_commune=_text,  # commune valid on the birth date (L... until 2025-06-30, then N...); null for foreigners
    native_province=_text,  # province of the father's line (quê quán), old vocabulary L..; null for foreigners
    mother_id=_id,
    father_id=_id,
    spouse_id=_id,  # current spouse; the last one for a person who died married
    twin_of=_id,  # the other twin, both ways
    education_level=_text,  # EDUCATION, highest finished
    occupation_status=_text,  # OCCUPATIONS, at the end or at death
    employer_id=_id,
    disabled=pa.bool_(),
    orphan=pa.bool_(),  # under 16 with no living parent (or no known one)
    merit=_text,  # MERIT
    is_foreign=pa.bool_(),
    died_before_window=pa.bool_(),  # kept as a martyr or as somebody's parent; no residence spells, no numbers
    personal_id=_text,  # 12 digits, the number valid at the end; null for foreigners and unregistered babies
    former_personal_id=_text,  # the cancelled number of a person whose number was re-established
    personal_id_changed_on=_date,
    cmnd=_text,  # last 9-digit identity-card number, for those who were old enough before cards had 12 digits
    cmnd_previous=_text,  # the number of the province lived in before
    social_insurance_no=_text,  # 10 digits, for life
    health_card_no=_text,  # 15 characters, current category
    health_card_previous=_text,  # same last ten digits, earlier category or province
    tax_code=_text,  # 10 digits with check digit
    tax_code_2=_text,  # a second one, issued by mistake
    phone=_text,  # 10 digits; a family member's where one phone is shared
    phone_previous=_text,  # the same number as written before 15 September 2018 (11 digits)
    passport_no=_text,
    student_code=_text,
)
"""One row is a person who lived during the window, or an older dead person who is still named in a file."""

RESIDENCE_SPELLS = _schema(
    person_id=_id,
    household_id=_id,
    from_date=_date,
    to_date=_date,  # first day elsewhere, or the day of death; null: still open
    kind=_text,  # permanent: registered there (never two at once); temporary: lives there, registered elsewhere
    relation_to_head=_text,  # RELATIONS, to the household's (last) head
)
"""One row is one stay of one person. Where a person actually lives on a day: the temporary spell open on that day,
else the permanent one. Sorted by person, kind, from_date."""

HOUSEHOLDS = _schema(
    household_id=_id,
    household_no=_text,  # number of its residence record
    commune_legacy=_text,  # L...; a household never moves: a move makes another household
    commune_now=_text,  # N..., the successor in which it lies
    street=_text,  # house number and street, or hamlet; null for a few
    urban=pa.bool_(),
    formed_on=_date,
    dissolved_on=_date,  # last member left or died
    head_id=_id,  # at the end
    income_class=_text,  # INCOME_CLASSES, at the end
    income_class_from=pa.int32(),  # first year of that class
    income_class_before=_text,  # the class of the years before
)

EMPLOYERS = _schema(
    employer_id=_id,
    name=_text,
    tax_code=_text,
    commune_legacy=_text,
    commune_now=_text,
)

LIFE_EVENTS = _schema(
    person_id=_id,
    kind=_text,  # EVENT_KINDS
    date=_date,
    registered_on=_date,  # null: not registered (yet)
    other_id=_id,  # spouse of a marriage or divorce, mother of a birth, -1 otherwise
    from_household=_id,  # of a move
    to_household=_id,
)
"""Events of the window only. A marriage or divorce has one row for each spouse. Sorted by date, kind, person."""


@dataclass(frozen=True, kw_only=True)
class Population:
    since: date
    """First day of the window."""
    until: date
    """Last day of the window: the day on which the tables tell the present state."""
    persons: pa.Table
    residence_spells: pa.Table
    households: pa.Table
    employers: pa.Table
    life_events: pa.Table
