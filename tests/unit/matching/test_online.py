"""One record is paired and weighed as a run over all records does it, whatever the size of its blocks."""

from collections import defaultdict
from dataclasses import replace

import pytest

from matching.artefact import DECIMALS
from matching.batch import score_pairs
from matching.blocking import blocking_keys, make_keys, make_pairs
from matching.online import OnlineMatcher
from matching.train import train
from tests.unit.matching.scenario import MODEL, family_records, feature_table, person_table

SMALL = MODEL.model_copy(update={"training": MODEL.training.model_copy(update={"random_pairs": 50_000})})


class InMemory:
    def __init__(self, model, features):
        self._features = features
        self._blocks = defaultdict(list)
        for record, its in features.items():
            for key in blocking_keys(model, its):
                self._blocks[key].append(record)

    def blocks(self, keys, *, most):
        return {key: self._blocks[key][: most + 1] for key in keys}

    def features(self, records):
        return {record: self._features[record] for record in records}


@pytest.fixture(scope="module")
def village():
    records = family_records(60, seed=5)
    connection = person_table(records)
    features = dict(enumerate(feature_table(records).to_pylist()))
    return connection, features, train(connection, SMALL, records="person")


def limited(trained, limit):
    return replace(trained, declaration=trained.declaration.model_copy(update={"largest_block": limit}))


@pytest.mark.parametrize("limit", [1000, 12, 5, 2])
def test_a_record_meets_those_that_it_meets_in_a_run(village, limit):
    connection, features, trained = village
    matcher = OnlineMatcher(limited(trained, limit))
    make_keys(connection, matcher.model, records="person", into="keys")
    make_pairs(connection, matcher.model, keys="keys", into="pair")
    every = set(connection.execute("FROM pair").fetchall())
    index = InMemory(matcher.model, features)
    for record, its in features.items():
        assert matcher.candidates({record: matcher.keys(its)}, index) == {
            pair for pair in every if record in pair
        }
    some = {record: matcher.keys(features[record]) for record in (0, 3, 4, 50)}
    assert matcher.candidates(some, index) == {pair for pair in every if some.keys() & set(pair)}


def test_a_record_that_is_not_in_the_index_meets_the_same(village):
    _, features, trained = village
    matcher = OnlineMatcher(trained)
    for record in range(0, len(features), 7):
        others = {number + 1: its for number, its in features.items() if number != record}
        keys = matcher.keys(features[record])
        found = matcher.candidates({0: keys}, InMemory(matcher.model, others))
        whole = matcher.candidates({record: keys}, InMemory(matcher.model, features))
        assert {other - 1 for _, other in found} == {a if b == record else b for a, b in whole}


def test_its_weights_are_those_of_a_run(village):
    connection, features, trained = village
    make_keys(connection, trained.declaration, records="person", into="keys")
    make_pairs(connection, trained.declaration, keys="keys", into="pair")
    score_pairs(connection, trained, records="person", pairs="pair", into="edge")
    edges = {(a, b): (w, c) for a, b, w, c in connection.execute("FROM edge").fetchall()}
    pairs = connection.execute("FROM pair").fetchall()
    found = OnlineMatcher(trained).score(pairs, features)
    assert len(edges) > 200
    assert {pair: (round(its.weight, DECIMALS), its.conflict) for pair, its in found.items()} == edges
