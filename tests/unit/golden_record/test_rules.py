"""Each criterion by itself: the Python key and the SQL expression are the same number."""

from __future__ import annotations

from datetime import date, timedelta

import duckdb
import pyarrow as pa
import pytest
from pydantic import TypeAdapter

from golden_record.contribution import Contribution, Trust
from golden_record.rules import CRITERIA, Criterion, Setting, Subject, Support, criterion_fields
from tests.unit.golden_record.scenario import AS_OF

REGISTRIES = ("birth_events", "population", "tax")
TRUST = Trust({("population", "x"): 0.917, ("tax", "default"): 0.333, ("birth_events", "y"): 1.0})
DAYS = [
    None,
    *(AS_OF - timedelta(days=age) for age in (*range(-3, 400, 7), 1824, 1825, 1826, 40000, 46000, 400000)),
]
BY_CONTRIBUTION = [
    "trust", "valid", "most_recent", {"valid": ["a.b"]}, {"precedence": ["tax", "nobody"]}, {"decaying_trust": 1},
    {"decaying_trust": 97}, {"decaying_trust": {"half_life_days": 36500, "undated_days": 0}}, {"decaying_trust": 1825},
]  # fmt: skip
BY_VALUE = [
    "longest", "most_frequent", "minimum", "maximum", {"most_frequent": "registries"}, {"minimum": "number"},
    {"maximum": "number"}, {"most_complete": "words"}, {"most_complete": "date"}, {"most_complete": "marks"},
    {"personal_number_agrees": {"sex": "sex", "birth_date": "birth_date"}},
]  # fmt: skip
VALUES = [
    "a", "Nguyễn Văn Ân", "H'Hen Niê", "e\u0301", "👨‍👩‍👧", " 1", "-7", "007", "9" * 18, "9" * 19, "1980", "1980-05-17",
    "001080123456", "001180123456", "001279000001", "00108012345", "٠٠١٠٨٠١٢٣٤٥٦",
]  # fmt: skip


def criterion_of(written):
    return TypeAdapter(Criterion).validate_python(criterion_fields(written))


@pytest.mark.parametrize("written", BY_CONTRIBUTION, ids=str)
@pytest.mark.parametrize("subject", [Subject("x", ("x",)), Subject("g", ("x", "y"), is_group=True)], ids=str)
def test_a_contribution_has_one_key_in_both_executors(written, subject):
    criterion = criterion_of(written)
    setting = Setting(as_of=AS_OF, trust=TRUST)
    said = [None, {}, {"x": "a.b"}, {"x": "c", "y": "a.b"}, {"y": "", "x": "d"}]
    rows = [(registry, day, issues) for registry in REGISTRIES for day in DAYS for issues in said]
    keys = [
        criterion.key(Contribution(1, 1, registry, day, {}, issues or {}), subject=subject, setting=setting)
        for registry, day, issues in rows
    ]
    table = pa.table(
        {
            "registry_no": pa.array([REGISTRIES.index(registry) + 1 for registry, _, _ in rows], pa.int32()),
            "observed_on": pa.array([day for _, day, _ in rows], pa.date32()),
            "found": pa.array(
                [None if issues is None else list(map(issues.get, subject.members)) for _, _, issues in rows],
                pa.list_(pa.string()),
            ),
        }
    )
    expression = criterion.sql(REGISTRIES, subject=subject, setting=setting)
    with duckdb.connect() as connection:
        connection.register("contributing", table)
        found = [row[0] for row in connection.execute(f"SELECT {expression} FROM contributing").fetchall()]
    assert found == keys
    assert 0 <= min(keys) <= max(keys) < 2**criterion.bits
    assert len(set(keys)) > 1


@pytest.mark.parametrize("written", BY_VALUE, ids=str)
@pytest.mark.parametrize(
    "facts", [{}, {"sex": "male", "birth_date": "1980"}, {"sex": "x", "birth_date": "2079-01-01"}], ids=str
)
def test_a_value_has_one_key_in_both_executors(written, facts):
    criterion = criterion_of(written)
    counts = [(position % 3 + 1, position % 2 + 1) for position in range(len(VALUES))]
    keys = [
        criterion.key(value, support=Support(records=n, registries=m, peers=sorted(VALUES), facts=facts))
        for value, (n, m) in zip(VALUES, counts, strict=True)
    ]
    table = pa.table(
        {
            "entity": [1] * len(VALUES),
            "value": VALUES,
            "records": [n for n, _ in counts],
            "registries": [m for _, m in counts],
            "fact_sex": pa.array([facts.get("sex")] * len(VALUES), pa.string()),
            "fact_birth_date": pa.array([facts.get("birth_date")] * len(VALUES), pa.string()),
        }
    )
    with duckdb.connect() as connection:
        connection.register("claims", table)
        query = f"SELECT value, ({criterion.sql()})::BIGINT FROM claims"
        found = dict(connection.execute(query).fetchall())
    assert [found[value] for value in VALUES] == keys
    assert 0 <= min(keys) <= max(keys) < 2**criterion.bits


def test_every_criterion_is_tried_here():
    tried = {criterion_of(written).kind for written in (*BY_CONTRIBUTION, *BY_VALUE)}
    assert tried | {"most_members"} == set(CRITERIA)


def test_decay_is_a_straight_line_between_halvings():
    criterion = criterion_of({"decaying_trust": 100})
    setting = Setting(as_of=date(2025, 1, 1), trust=Trust({("tax", "default"): 0.8}))
    subject = Subject("x", ("x",))
    ages = {0: 800_000, 50: 600_000, 100: 400_000, 150: 300_000, 200: 200_000}
    for age, score in ages.items():
        contribution = Contribution(1, 1, "tax", date(2025, 1, 1) - timedelta(days=age))
        assert criterion.key(contribution, subject=subject, setting=setting) == 1_000_000 - score
