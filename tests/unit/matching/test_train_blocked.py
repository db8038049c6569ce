"""Training on the compared pairs, from what is believed of them."""

from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pytest

from matching.model import ModelError, load_model
from matching.train_blocked import train_blocked

MODEL = """
name: household
kind: household
comparisons:
  - name: people
    missing: [people]
    levels:
      - {shared: people, at_least: 2, m: 0.7, u: 0.3}
      - {otherwise: true, m: 0.3, u: 0.7}
  - name: head
    missing: [head]
    levels: [{equal: [head], m: 0.8, u: 0.4}, {otherwise: true, m: 0.2, u: 0.6}]
  - name: place
    missing: [place]
    levels: [{equal: [place], m: 0.8, u: 0.4}, {otherwise: true, m: 0.2, u: 0.6}]
blocking: [{name: people, columns: [people]}]
belief: {share: 0.4, pairs: 100}
thresholds: {link: 2, review: 2, keep: -4}
"""


@pytest.fixture
def model(tmp_path):
    (tmp_path / "household.yaml").write_text(MODEL)
    return load_model(tmp_path / "household.yaml")


def trained(model, *, matches, others, seed=1, backwards=False):
    """Of pairs in which matches agree in 95 of 100 cases and others in 10 of 100."""
    random = np.random.default_rng(seed)
    agrees = np.concatenate([random.random((matches, 3)) < 0.95, random.random((others, 3)) < 0.1])
    records, pairs = [], []
    for number, (people, head, place) in enumerate(agrees.tolist()):
        one, two = 2 * number, 2 * number + 1
        records.append({"record_id": one, "people": ["a", "b"], "head": "h", "place": "p"})
        records.append(
            {
                "record_id": two,
                "people": ["a", "b" if people else "c"],
                "head": "h" if head else "x",
                "place": "p" if place else None if number % 2 else "q",
            }
        )
        pairs.append({"join_key_l": one, "join_key_r": two})
    if backwards:
        records.reverse()
        pairs.reverse()
    schema = pa.schema(
        [
            ("record_id", pa.int64()),
            ("people", pa.list_(pa.string())),
            ("head", pa.string()),
            ("place", pa.string()),
        ]
    )
    with duckdb.connect() as connection:
        connection.register("record", pa.Table.from_pylist(records, schema=schema))
        connection.register(
            "pair",
            pa.Table.from_pylist(
                pairs, schema=pa.schema([("join_key_l", pa.int64()), ("join_key_r", pa.int64())])
            ),
        )
        return train_blocked(connection, model, records="record", pairs="pair")


def test_without_pairs_the_belief_stands(model):
    found = trained(model, matches=0, others=0)
    assert found.prior == pytest.approx(0.4)
    for comparison in model.comparisons:
        declared = [(level.m, level.u) for level in comparison.levels]
        learnt = [(p.m, p.u) for p in found.parameters[comparison.name]]
        np.testing.assert_allclose(learnt, declared)


def test_many_pairs_correct_it(model):
    found = trained(model, matches=6000, others=2000)
    assert found.prior == pytest.approx(0.75, abs=0.02)
    for name in ("people", "head"):
        agree = found.parameters[name][0]
        assert (agree.m, agree.u) == pytest.approx((0.95, 0.1), abs=0.03)


def test_three_times_the_pairs_give_the_same_weights(model):
    """The weights are of the compared pairs, so a larger country does not move them."""
    small, large = (trained(model, matches=3 * n, others=n, seed=n) for n in (3000, 9000))
    for name, levels in small.parameters.items():
        weights = [[level.weight for level in side] for side in (levels, large.parameters[name])]
        np.testing.assert_allclose(*weights, atol=0.35)


def test_the_order_of_rows_does_not_matter(model):
    one, other = (trained(model, matches=300, others=200, backwards=backwards) for backwards in (False, True))
    assert one.hash == other.hash


def test_every_level_declares_what_is_believed(tmp_path):
    path = Path(tmp_path / "household.yaml")
    path.write_text(MODEL.replace("m: 0.7, u: 0.3", "m: 0.7"))
    with pytest.raises(ModelError, match="people"):
        load_model(path)


def test_training_or_belief_but_not_neither(tmp_path):
    path = Path(tmp_path / "household.yaml")
    path.write_text(MODEL.replace("belief: {share: 0.4, pairs: 100}\n", ""))
    with pytest.raises(ModelError, match="either"):
        load_model(path)
