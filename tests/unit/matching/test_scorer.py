"""The Python scorer gives the weights that Splink gives, and says why."""

import math
import random
from dataclasses import replace

import pyarrow as pa
import pytest

from matching.batch import score_pairs
from matching.scorer import Scorer
from matching.train import train
from tests.unit.matching.scenario import MODEL, family_records, feature_table, person_table

EVERYTHING = MODEL.model_copy(
    update={
        "thresholds": MODEL.thresholds.model_copy(update={"keep": -1000.0, "review": -1000.0}),
        "training": MODEL.training.model_copy(update={"random_pairs": 100_000}),
    }
)


def corrected(trained):
    """As if labels had moved every level that counts, some so far that m exceeds 1."""
    parameters = {
        name: [
            replace(p, correction=round(2 * math.sin(p.weight * 7), 6) if p.weight else 0.0) for p in levels
        ]
        for name, levels in trained.parameters.items()
    }
    return replace(trained, parameters=parameters, prior_correction=-0.75)


def compared(families, pairs, *, seed, change=lambda trained: trained):
    """Weights and conflicts of drawn pairs by both executors. Some records are unknown to the training."""
    records = family_records(families, seed=seed)
    trained = change(train(person_table(records[: len(records) * 4 // 5]), EVERYTHING, records="person"))
    connection = person_table(records)
    draw = random.Random(seed)
    near = [(n, n + draw.randint(1, 8)) for n in range(len(records) - 8) for _ in range(2)]
    far = [tuple(sorted(draw.sample(range(len(records)), 2))) for _ in range(pairs)]
    chosen = (
        sorted({*near, *far})[:pairs] if len(near) >= pairs else sorted({*near, *far[: pairs - len(near)]})
    )
    left, right = zip(*chosen, strict=True)
    connection.register("pair", pa.table({"join_key_l": left, "join_key_r": right}))
    score_pairs(connection, trained, records="person", pairs="pair", into="edge")
    by_splink = {
        (a, b): (weight, conflict) for a, b, weight, conflict in connection.execute("FROM edge").fetchall()
    }
    features = feature_table(records).to_pylist()
    scorer = Scorer(trained)
    by_python = {(a, b): scorer.score(features[a], features[b]) for a, b in chosen}
    return trained, features, by_splink, by_python


def assert_equal(by_splink, by_python):
    assert set(by_splink) == set(by_python)
    for pair, (weight, conflict) in by_splink.items():
        assert by_python[pair].weight == pytest.approx(weight, abs=1e-6)
        assert by_python[pair].conflict == conflict


@pytest.fixture(scope="module")
def few():
    return compared(250, 6_000, seed=1)


def test_weights_are_equal_to_those_of_splink(few):
    trained, _, by_splink, by_python = few
    assert trained.alternative
    assert_equal(by_splink, by_python)
    found = list(by_python.values())
    assert {pair.conflict for pair in found} == {None, "shared_number"}
    assert any(pair.alternative < -1 for pair in found)
    assert any(evidence.level is None for pair in found for evidence in pair.evidence.values())
    assert any(evidence.frequency_bits for pair in found for evidence in pair.evidence.values())


def test_weights_that_labels_corrected_are_equal_to_those_of_splink(few):
    before, _, _, weights_before = few
    trained, _, by_splink, by_python = compared(250, 6_000, seed=1, change=corrected)
    assert_equal(by_splink, by_python)
    levels = [(c, place) for c in MODEL.comparisons for place in range(len(c.levels))]
    moved = {(c.name, place) for c, place in levels if trained.parameters[c.name][place].correction}
    assert any(trained.parameters[name][place].corrected_m > 1 for name, place in moved)
    assert any(c.levels[place].term_frequency and (c.name, place) in moved for c, place in levels)
    assert all(trained.leaning(c.name) == before.leaning(c.name) for c in MODEL.comparisons)
    for pair, found in by_python.items():
        former = weights_before[pair]
        bits = trained.prior_correction + sum(
            trained.parameters[name][e.level].correction
            for name, e in found.evidence.items()
            if e.level is not None
        )
        assert found.weight == pytest.approx(former.weight + bits, abs=1e-9)
        assert found.alternative == former.alternative


@pytest.mark.nightly
def test_weights_of_a_hundred_thousand_pairs_are_equal_to_those_of_splink():
    _, _, by_splink, by_python = compared(8_000, 100_000, seed=2)
    assert len(by_splink) == 100_000
    assert_equal(by_splink, by_python)


def test_the_evidence_adds_up_to_the_weight(few):
    trained, features, _, by_python = few
    scorer = Scorer(trained)
    for (a, b), pair in list(by_python.items())[:500]:
        bits = sum(evidence.bits + evidence.frequency_bits for evidence in pair.evidence.values())
        assert pair.weight == pytest.approx(pair.prior + bits + pair.alternative)
        assert scorer.weight(features[a], features[b]) == pytest.approx(pair.weight)
        assert scorer.weight(features[b], features[a]) == pytest.approx(pair.weight)


def test_what_a_family_shares_makes_no_one_person_of_twins(few):
    trained, *_ = few
    shared = {
        "birth_date": "2012-03-04",
        "sex": "male",
        "mother_name": "Phạm Thị Hoa",
        "father_name": "Trịnh Văn Tạo",
        "phone": ["0912345678"],
        "address_unit": "L00103",
        "address_street": "Số 4 ngõ 7",
    }
    one, other = feature_table(
        [{**shared, "full_name": "Trịnh Gia Hùng"}, {**shared, "full_name": "Trịnh Gia Dũng"}]
    ).to_pylist()
    scorer = Scorer(trained)
    assert scorer.weight(one, other) < trained.declaration.thresholds.link < scorer.weight(one, one)
    assert scorer.score(one, other).alternative < -4
