"""What the clustering reads from a workspace, and the questions that it leaves."""

from types import SimpleNamespace

import duckdb
import numpy as np
import pytest

from matching.cluster import Clusters, Refused
from matching.clustering.inputs import Decided
from mdm.pipeline.cluster_questions import counts, questions
from mdm.pipeline.clustering import read_constraints, scored_edges
from tests.unit.matching.scenario import MODEL

PEOPLE = [
    # record, registry, sex, year, numbers
    (1, "population", "male", 1980, ["A"]),
    (2, "tax", "male", 1980, ["A"]),
    (3, "tax", "female", None, ["B"]),
    (4, "population", None, 1990, ["B", "C"]),
    (5, "tax", None, 1991, ["C"]),
    (6, "school", None, None, None),
]
EDGES = [
    # a link by number, a link without one, a weak pair by number, links with both, a possible match, a conflict
    (1, 2, 30.0, None),
    (1, 3, 20.0, None),
    (3, 4, 9.0, None),
    (4, 5, 25.0, None),
    (1, 5, 15.0, None),
    (5, 6, 6.0, None),
    (3, 6, 30.0, "shared_number"),
]


@pytest.fixture
def context():
    connection = duckdb.connect()
    connection.execute(
        "CREATE TABLE person (record_id BIGINT, registry VARCHAR, sex VARCHAR, birth_date_year INTEGER, personal_ids VARCHAR[])"
    )
    connection.executemany("INSERT INTO person VALUES (?, ?, ?, ?, ?)", PEOPLE)
    connection.execute(
        "CREATE TABLE edge (record_l BIGINT, record_r BIGINT, weight DOUBLE, conflict VARCHAR)"
    )
    connection.executemany("INSERT INTO edge VALUES (?, ?, ?, ?)", EDGES)
    yield SimpleNamespace(
        workspace=SimpleNamespace(connection=connection),
        person_table=lambda: "person",
        model=MODEL,
        anchors=["population"],
        registries={
            code: SimpleNamespace(duplicate_free=code == "population")
            for code in ("population", "tax", "school")
        },
        delta=None,
    )
    connection.close()


def test_a_number_is_verified_by_a_link_to_one_anchor_record_that_shares_it(context):
    record = np.arange(1, 7)
    free, verified, impossible = read_constraints(context, record)
    assert (free.name, free.label.tolist()) == ("duplicate_free:population", [0, -1, -1, 0, -1, -1])
    assert (verified.name, verified.label.tolist()) == ("verified_number", [1, 1, -1, 4, 4, -1])
    apart = impossible.apart(np.array([0, 0, 1]), np.array([1, 2, 3]))
    assert (impossible.name, apart.tolist()) == ("sex_and_birth_year", [False, False, False])


def test_constraints_of_some_records_are_in_their_order(context):
    context.workspace.connection.execute("UPDATE person SET birth_date_year = 1999 WHERE record_id = 3")
    free, verified, impossible = read_constraints(context, np.array([2, 3, 4]))
    assert free.label.tolist() == [-1, -1, 0]
    assert verified.label.tolist() == [1, -1, 4]
    assert impossible.apart(np.array([0]), np.array([1])).tolist() == [True]


def test_edges_come_with_the_place_of_their_conflict(context):
    edges = scored_edges(context)
    assert sorted(zip(edges.left.tolist(), edges.right.tolist(), edges.conflict.tolist(), strict=True)) == [
        (1, 2, -1),
        (1, 3, -1),
        (1, 5, -1),
        (3, 4, -1),
        (3, 6, 0),
        (4, 5, -1),
        (5, 6, -1),
    ]


def asked(context, *, cannot=()):
    clusters = Clusters(
        record=np.arange(1, 7),
        cluster=np.array([1, 1, 3, 4, 4, 6]),
        refused=[
            Refused(1, 3, 20.0, 2.0, "weak_evidence"),
            Refused(1, 5, 15.0, 10.0, "verified_number"),
        ],
        examined=6,
        refined=6,
    )
    decided = Decided(np.empty((0, 2), np.int64), np.array(cannot, dtype=np.int64).reshape(-1, 2))
    return questions(context, clusters, scored_edges(context), decided)


def test_two_clusters_get_one_question_and_the_most_valuable_comes_first(context):
    found = asked(context)
    assert [(q.subject, q.reason) for q in found] == [
        ("pair:1,3", "cluster.weak_evidence"),
        ("pair:1,5", "constraint.verified_number"),
        ("pair:5,6", "match.possible"),
        ("pair:3,4", "match.possible"),
        ("pair:3,6", "conflict.shared_number"),
    ]
    first = found[0].detail
    assert (first["records"], first["sides"], first["weight"], first["evidence"]) == (
        [1, 3],
        [[1, 2], [3]],
        20.0,
        2.0,
    )
    assert first["worth"] == round(3 * 2 ** (-2 / 14) * 3, 3)
    assert found[-1].detail["worth"] == round(2 * 2 ** (-30 / 14), 3)
    assert counts(found)["match.possible"] == 2


def test_what_a_person_kept_apart_is_not_asked_again(context):
    assert "pair:5,6" not in {question.subject for question in asked(context, cannot=[(6, 4)])}
