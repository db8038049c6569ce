"""Each level means the same in SQL and in Python."""

import duckdb
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from matching.levels import Level

ADAPTER = TypeAdapter(Level)
LEVELS = [
    {"equal": ["a"]},
    {"equal": ["a", "b"]},
    {"jaro_winkler": "a", "at_least": 0.9},
    {"jaro_winkler": "a", "at_least": 0.7},
    {"distance": "a", "at_most": 1},
    {"distance": "a", "at_most": 2},
    {"within": "n", "at_most": 1},
    {"swapped": ["n", "k"]},
    {"swapped": ["n", "k"], "equal": ["a"]},
    {"equal": ["a"], "missing": "b"},
    {"overlap": "many"},
    {"present": ["a", "n"]},
    {"shared": "many"},
    {"shared": "many", "at_least": 2, "percent_of_both": 67},
    {"shared": "many", "percent_of_shorter": 100},
    {"all_of": [{"equal": ["a"]}, {"within": "n", "at_most": 2}]},
    {"any_of": [{"equal": ["a"]}, {"overlap": "many"}]},
]
SCHEMA = pa.schema(
    [
        ("a", pa.string()),
        ("b", pa.string()),
        ("n", pa.int32()),
        ("k", pa.int32()),
        ("many", pa.list_(pa.string())),
    ]
)
text = st.none() | st.text("anh bc", min_size=1, max_size=7)
small = st.none() | st.integers(1, 4)
side = st.fixed_dictionaries(
    {
        "a": text,
        "b": text,
        "n": small,
        "k": small,
        "many": st.none() | st.lists(st.sampled_from("wxyz"), min_size=1, max_size=4),
    }
)


@pytest.mark.parametrize("declared", LEVELS, ids=str)
@settings(max_examples=25, deadline=None)
@given(pairs=st.lists(st.tuples(side, side), min_size=1, max_size=30))
def test_sql_and_python_agree(declared, pairs):
    level = ADAPTER.validate_python(declared)
    sides = {}
    for name in SCHEMA.names:
        for place, suffix in enumerate("lr"):
            sides[f"{name}_{suffix}"] = pa.array(
                [pair[place][name] for pair in pairs], SCHEMA.field(name).type
            )
    connection = duckdb.connect()
    connection.register("pair", pa.table(sides))
    in_sql = [
        bool(row[0])
        for row in connection.execute(f"SELECT COALESCE({level.sql()}, false) FROM pair").fetchall()
    ]
    connection.close()
    holds = level.test()
    assert in_sql == [holds(left, right) for left, right in pairs]


@pytest.mark.parametrize(
    ("left", "right", "both", "shorter"),
    [("abcd", "abcd", True, True), ("abcd", "abc", True, True), ("abcde", "ab", False, True), ("abc", "abx", True, False), ("abx", "acy", False, False)],
)  # fmt: skip
def test_how_much_two_lists_share(left, right, both, shorter):
    sides = {"many": list(left)}, {"many": list(right)}
    declared = {"shared": "many", "at_least": 2}
    assert ADAPTER.validate_python({**declared, "percent_of_both": 50}).test()(*sides) is both
    assert ADAPTER.validate_python({**declared, "percent_of_shorter": 100}).test()(*sides) is shorter


def test_a_level_tells_which_columns_it_reads():
    level = ADAPTER.validate_python(
        {"all_of": [{"equal": ["a"]}, {"any_of": [{"overlap": "many"}, {"within": "n", "at_most": 1}]}]}
    )
    assert level.columns == ["a", "many", "n"]


@pytest.mark.parametrize(
    "declared",
    [{"equals": ["a"]}, {"jaro_winkler": "a"}, {"distance": "a", "at_most": 0}, {"otherwise": False}],
)
def test_what_is_no_level_is_refused(declared):
    with pytest.raises(ValueError, match="validation error"):
        ADAPTER.validate_python(declared)
