"""Training on what a small or foreign office has: few records, no names, no numbers, nothing in common, all the same."""

import numpy as np
import pytest

from matching.batch import score_pairs
from matching.blocking import make_keys, make_pairs
from matching.train import train
from tests.unit.matching.scenario import MODEL, people_records, person_table

SMALL = MODEL.model_copy(update={"training": MODEL.training.model_copy(update={"random_pairs": 50_000})})


def without(records, *names):
    return [{**record, **dict.fromkeys(names)} for record in records]


def scored(records):
    """The trained model, and the weight of every pair that blocking brings together."""
    connection = person_table(records)
    trained = train(connection, SMALL, records="person")
    make_keys(connection, SMALL, records="person", into="keys")
    make_pairs(connection, SMALL, keys="keys", into="pair")
    score_pairs(connection, trained, records="person", pairs="pair", into="edge")
    rows = connection.execute("SELECT record_l, record_r, weight FROM edge").fetchall()
    return trained, {(left, right): weight for left, right, weight in rows}


def assert_sound(trained):
    assert 0 < trained.prior <= 0.5
    for levels in trained.parameters.values():
        assert all(0 < level.m <= 1 and 0 < level.u <= 1 for level in levels)
        assert all(np.isfinite(level.weight) for level in levels)


def told_apart(weights, truth):
    """Shares of pairs of one person, and of two, that are at or above even odds."""
    same = [weight > 0 for (a, b), weight in weights.items() if truth[a] == truth[b]]
    other = [weight > 0 for (a, b), weight in weights.items() if truth[a] != truth[b]]
    return np.mean(same), (np.mean(other) if other else 0.0)


def test_fifty_records_are_enough_to_tell_people_apart():
    records, truth = people_records(20, seed=2)
    trained, weights = scored(records[:50])
    assert_sound(trained)
    same, other = told_apart(weights, truth)
    assert same > 0.8
    assert other < 0.2


@pytest.mark.parametrize(
    "lacking",
    [["personal_id"], ["full_name", "mother_name"], ["birth_date"], ["sex", "phone", "mother_name"]],
    ids=str,
)
def test_a_field_that_is_missing_everywhere_counts_nothing(lacking):
    records, truth = people_records(200, seed=3)
    trained, weights = scored(without(records, *lacking))
    assert_sound(trained)
    same, other = told_apart(weights, truth)
    assert same > 0.8
    assert other < 0.2


@pytest.mark.parametrize(
    "records",
    [
        [{"full_name": "Lê Văn An", "birth_date": "1980-05-06", "personal_id": "001080000001"}] * 50,
        [{"full_name": f"Lê Văn {letter}"} for letter in "ABCDEFGHIJ"],
        [{"sex": "male"}, {"sex": "female"}],
        [{"sex": None}] * 3,
    ],
    ids=["all the same", "nothing in common", "two", "empty"],
)
def test_records_from_which_nothing_can_be_learnt_give_finite_weights(records):
    trained, weights = scored(records)
    assert_sound(trained)
    assert all(np.isfinite(weight) for weight in weights.values())
