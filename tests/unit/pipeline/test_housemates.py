"""Who stands beside a person on a list, as evidence."""

from pathlib import Path

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.model import load_model
from mdm.pipeline.housemates import HOUSEMATES, add_housemates, housemates_among

CONFIGS = Path(__file__).parents[3] / "configs"
FEATURES = pa.schema(
    [("record_id", pa.int64()), ("personal_ids", pa.list_(pa.string()))]
    + [(name, pa.string()) for name in ("name_sorted", "birth_date_iso", "given")]
    + [("birth_date_year", pa.int32())]
)
RECORDS = pa.schema([("record", pa.int64()), ("registry", pa.string()), ("household_ref", pa.string())])


def housemates(rows):
    """`rows`: record -> registry, household, personal IDs, name, day of birth. Both executors say the same."""
    records = [{"record": r, "registry": row[0], "household_ref": row[1]} for r, row in rows.items()]
    features = [
        {
            "record_id": r,
            "personal_ids": ids,
            "name_sorted": name,
            "birth_date_iso": born,
            "given": name and name.split()[0],
            "birth_date_year": born and int(born[:4]),
        }
        for r, (_, _, ids, name, born) in rows.items()
    ]
    with duckdb.connect() as connection:
        connection.register("record_given", pa.Table.from_pylist(records, schema=RECORDS))
        connection.register("feature_given", pa.Table.from_pylist(features, schema=FEATURES))
        connection.execute("CREATE TABLE person AS FROM feature_given")
        add_housemates(connection, features="person", records="record_given")
        found = dict(connection.execute(f"SELECT record_id, {HOUSEMATES} FROM person").fetchall())
    for record, (registry, household, *_) in rows.items():
        if household is not None:
            beside = {
                row["record_id"]: row
                for row in features
                if rows[row["record_id"]][:2] == (registry, household)
            }
            assert housemates_among(beside, record) == found[record]
    return found


MOTHER, FATHER = (["001"], "lan thi tran", "1980-01-02"), (["002"], "hung nguyen van", "1978-03-04")
CHILD = (None, "an nguyen van", "2012-05-06")


def test_a_child_without_a_number_stands_beside_the_same_parents_on_two_lists():
    found = housemates(
        {
            1: ("population", "A", *MOTHER),
            2: ("population", "A", *FATHER),
            3: ("population", "A", *CHILD),
            4: ("insurance", "7", None, *MOTHER[1:]),
            5: ("insurance", "7", *CHILD),
        }
    )
    assert set(found[3]) & set(found[5])
    assert len(found[3]) == 4  # number, and name with day, of two parents
    assert len(found[5]) == 1


def test_nobody_is_a_housemate_of_the_same_person():
    """Two rows of one person on one list, and a number that two share, say nothing."""
    found = housemates(
        {1: ("a", "A", *MOTHER), 2: ("a", "A", *MOTHER), 3: ("a", "A", ["001"], "hoa le", "1990-01-01")}
    )
    assert found[1] == found[2]
    assert not set(found[1]) & set(found[3])
    assert len(found[1]) == 1
    assert housemates({1: ("a", "A", *MOTHER), 2: ("b", "A", *FATHER)}) == {1: None, 2: None}
    assert housemates({1: ("a", None, *MOTHER), 2: ("a", None, *FATHER)}) == {1: None, 2: None}


def test_a_dormitory_is_no_family():
    rows = {n: ("a", "A", [str(n)], f"an {n}", "2000-01-01") for n in range(41)}
    assert set(housemates(rows).values()) == {None}


LISTED = st.tuples(
    st.sampled_from("ab"),
    st.sampled_from(["A", "B", None]),
    st.none() | st.lists(st.sampled_from(["001", "002", "003"]), min_size=1, unique=True),
    st.none() | st.sampled_from(["lan thi tran", "ân đức nguyễn"]),
    st.none() | st.sampled_from(["1980-01-02", "2012-05-06"]),
)


@settings(max_examples=40, deadline=None)
@given(st.lists(LISTED, min_size=1, max_size=8))
def test_one_record_has_the_housemates_that_it_has_among_all(rows):
    found = housemates(dict(enumerate(rows)))
    assert all(found[n] is None for n, row in enumerate(rows) if None in (row[1], row[3], row[4]))


@pytest.mark.parametrize(
    ("other", "beside"),
    [((None, "an nguyen van", "2012-11-30"), True), ((None, "binh nguyen van", "2012-05-06"), False), ((None, "an nguyen van", "2014-05-06"), False)],
)  # fmt: skip
def test_brothers_and_sisters_stand_beside_the_same_people_and_are_not_one_person(other, beside):
    found = housemates(
        {1: ("a", "A", *MOTHER), 2: ("a", "A", *CHILD), 3: ("b", "7", *MOTHER), 4: ("b", "7", *other)}
    )
    assert bool(set(found[2]) & set(found[4])) is beside
    model = load_model(CONFIGS / "matching" / "person.yaml")
    place = next(comparison for comparison in model.comparisons if comparison.name == "place")
    assert place.levels[0].columns == [HOUSEMATES]
