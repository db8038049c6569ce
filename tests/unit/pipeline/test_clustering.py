"""What the clustering reads from a workspace, and the questions that it leaves."""

from types import SimpleNamespace

import duckdb
import numpy as np
import pytest

from matching.cluster import Clusters, Refused
from matching.clustering.inputs import Decided
from mdm.pipeline.cluster_questions import counts, questions
from mdm.pipeline.cluster_standing import standing
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


def asking(context, clusters, decided):
    with standing(context, clusters) as now:
        return questions(context.model, now, clusters, scored_edges(context), decided)


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
    return asking(context, clusters, decided)


def test_two_clusters_get_one_question_and_the_most_valuable_comes_first(context):
    found = asked(context)
    assert [(q.subject, q.reason) for q in found] == [
        ("pair:3,4", "match.possible"),
        ("pair:5,6", "match.possible"),
        ("pair:1,3", "cluster.weak_evidence"),
        ("pair:1,5", "constraint.verified_number"),
        ("pair:3,6", "conflict.shared_number"),
    ]
    third = found[2].detail
    assert (third["records"], third["sides"], third["weight"], third["evidence"]) == (
        [1, 3],
        [[1, 2], [3]],
        20.0,
        2.0,
    )
    # the chance that asking changes something x records on both sides x the weightiest registry
    chances = [512 / 513 * 3 * 3, 64 / 65 * 3 * 3, 4 / 5 * 3 * 3, 0.5 * 4 * 3, 0.5 * 2 * 1]
    assert [question.detail["worth"] for question in found] == pytest.approx(chances, abs=1e-5)
    assert counts(found)["match.possible"] == 2


def test_a_weak_bridge_is_worth_what_a_wrong_link_costs(context):
    """One pair of a bit less than a link needs holds four records together: its odds of being wrong, as many missed links."""
    connection, link = context.workspace.connection, context.model.thresholds.link
    connection.execute("DELETE FROM edge WHERE record_l = 1 AND record_r IN (3, 5)")
    connection.execute("UPDATE edge SET weight = ? WHERE record_l = 3 AND record_r = 4", [link + 1])
    connection.execute("INSERT INTO edge VALUES (3, 2, 25.0, NULL)")
    clusters = Clusters(np.arange(1, 7), np.array([1, 1, 1, 1, 1, 6]), refused=[], examined=0, refined=0)
    found = asking(context, clusters, Decided.none())
    bridge = next(q for q in found if q.reason == "cluster.weak_bridge")
    assert bridge.detail["records"] == [3, 4]
    assert bridge.detail["worth"] == pytest.approx(2**link / (1 + 2 ** (link + 1)) * 5 * 3, abs=1e-5)


def test_what_a_person_kept_apart_is_not_asked_again(context):
    assert "pair:5,6" not in {question.subject for question in asked(context, cannot=[(6, 4)])}
