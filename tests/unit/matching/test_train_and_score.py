"""Training without labels, the artefact, and scores that do not depend on how the work is cut."""

import duckdb
import numpy as np
import pytest

import matching.batch
from matching.artefact import TrainedModel
from matching.batch import score_pairs
from matching.blocking import make_keys, make_pairs
from matching.cluster import cluster
from matching.clustering.inputs import NO_CONFLICT, Edges, Rules
from matching.evaluate import pair_counts
from matching.train import TrainingError, train
from tests.unit.matching.scenario import MODEL, people_records, person_table

RULES = Rules(
    link=MODEL.thresholds.link,
    merge=MODEL.clustering.merge,
    unscored=MODEL.clustering.unscored,
    largest=MODEL.clustering.largest,
)
SMALL = MODEL.model_copy(update={"training": MODEL.training.model_copy(update={"random_pairs": 200_000})})


@pytest.fixture(scope="module")
def job():
    """Records, their people, a connection with pairs, and a trained model."""
    records, truth = people_records(1_500, seed=1)
    connection = person_table(records)
    trained = train(connection, SMALL, records="person")
    make_keys(connection, SMALL, records="person", into="keys")
    make_pairs(connection, SMALL, keys="keys", into="pair")
    return records, truth, connection, trained


def edges(connection, *, link=MODEL.thresholds.link):
    rows = connection.execute(
        "SELECT record_l, record_r, weight FROM edge WHERE weight >= ? AND conflict IS NULL", [link]
    ).fetchnumpy()
    return Edges(
        rows["record_l"], rows["record_r"], rows["weight"], np.full(len(rows["weight"]), NO_CONFLICT)
    )


def test_a_model_trained_without_labels_finds_the_people(job):
    records, truth, connection, trained = job
    score_pairs(connection, trained, records="person", pairs="pair", into="edge")
    clusters = cluster(np.arange(len(records)), edges(connection), rules=RULES)
    found = pair_counts(np.array(truth), clusters.cluster)
    assert found.precision > 0.999
    assert found.recall > 0.8  # a fifth of the records has no number, and names here are few


def test_the_parts_of_a_weight_are_of_the_comparisons_that_could_be_made(job):
    records, _, connection, trained = job
    score_pairs(connection, trained, records="person", pairs="pair", into="edge")
    score_pairs(connection, trained, records="person", pairs="pair", into="parted", parts=True)
    names = [comparison.name for comparison in MODEL.comparisons]
    prior = np.log2(trained.prior / (1 - trained.prior))
    total = " + ".join(f"COALESCE(bits_{name}, 0)" for name in names)
    pairs, wrong = connection.execute(
        f"SELECT COUNT(*), COUNT(*) FILTER (abs(weight - ({total}) - {prior}) > 1e-6) FROM parted"
    ).fetchall()[0]
    assert (pairs, wrong) == (connection.execute("SELECT COUNT(*) FROM pair").fetchall()[0][0], 0)
    assert connection.execute(
        "SELECT COUNT(*) FROM edge ANTI JOIN parted USING (record_l, record_r, weight)"
    ).fetchall() == [(0,)]
    made = connection.execute(
        "SELECT record_l, record_r, bits_personal_id IS NOT NULL FROM parted"
    ).fetchall()
    for left, right, there in made:
        assert there == bool(records[left]["personal_id"] and records[right]["personal_id"])


def test_the_artefact_is_the_same_after_a_round_trip(job):
    *_, trained = job
    again = TrainedModel.from_body(trained.body)
    assert again == trained
    assert again.hash == trained.hash


def test_training_twice_on_the_same_records_gives_the_same_model(job):
    records, _, _, trained = job
    assert train(person_table(records), SMALL, records="person").hash == trained.hash


def test_weights_do_not_depend_on_the_slices(job, monkeypatch):
    _, _, connection, trained = job
    score_pairs(connection, trained, records="person", pairs="pair", into="edge")
    whole = connection.execute("SELECT record_l, record_r, weight FROM edge ORDER BY 1, 2").fetchall()
    monkeypatch.setattr(matching.batch, "_PAIRS_AT_ONCE", 500)
    score_pairs(connection, trained, records="person", pairs="pair", into="edge")
    sliced = connection.execute("SELECT record_l, record_r, weight FROM edge ORDER BY 1, 2").fetchall()
    assert [row[:2] for row in sliced] == [row[:2] for row in whole]
    assert np.allclose([row[2] for row in sliced], [row[2] for row in whole], atol=1e-9)


def test_a_shared_number_with_another_name_and_birth_date_is_a_conflict(job):
    *_, trained = job
    records = [
        {
            "full_name": "Nguyễn Văn An",
            "birth_date": "1960-01-05",
            "sex": "male",
            "personal_id": "001060000001",
        },
        {
            "full_name": "Trần Thị Yến",
            "birth_date": "1988-11-23",
            "sex": "female",
            "personal_id": "001060000001",
        },
    ]
    connection = person_table(records, name="few")
    make_keys(connection, SMALL, records="few", into="keys")
    make_pairs(connection, SMALL, keys="keys", into="pair")
    score_pairs(connection, trained, records="few", pairs="pair", into="edge")
    assert connection.execute("SELECT conflict FROM edge").fetchall() == [("shared_number",)]
    assert len(edges(connection)) == 0


def test_columns_that_hold_nothing_count_nothing():
    records, _ = people_records(300, seed=5)
    bare = [{**record, "personal_id": None, "phone": None} for record in records]
    trained = train(person_table(bare), SMALL, records="person")
    assert {"passport_no", "personal_id", "phone"} <= set(trained.untrained)
    assert [level.weight for level in trained.parameters["passport_no"]] == [0.0, 0.0]


def test_one_record_is_too_few_to_train():
    connection = duckdb.connect()
    connection.execute("CREATE TABLE person AS SELECT 1 AS record_id")
    with pytest.raises(TrainingError, match="two records"):
        train(connection, SMALL, records="person")
