"""`mdm explain` and the sentence of a question, on a store with real links."""

import json

import pytest
from sqlalchemy import select

from matching.model import load_model
from mdm.pipeline.workspace import discard, workspace
from mdm.registries.attributes import load_attributes
from mdm.registries.declaration import load_registries, sealed_codes
from mdm.stewardship.explaining import PairExplainer
from mdm.store.comparing import standing_records
from mdm.store.engine import reading
from mdm.store.tables import edge, record
from tests.engines import environment
from tests.integration.test_commands import mdm


@pytest.fixture(scope="module")
def at(finished):
    return environment(finished)


@pytest.fixture(scope="module")
def sealed(finished):
    attributes = load_attributes(finished.attributes_file)
    return sealed_codes(load_registries(finished.registries_folder, attributes=attributes))


def pairs(store, statement):
    with reading(store) as connection:
        return list(connection.execute(statement).all())


LEFT, RIGHT = record.alias(), record.alias()
EDGES = (
    select(
        edge.c.record_l,
        edge.c.record_r,
        edge.c.weight,
        edge.c.conflict,
        (LEFT.c.registry + "/" + LEFT.c.local_id).label("left"),
        (RIGHT.c.registry + "/" + RIGHT.c.local_id).label("right"),
    )
    .join(LEFT, LEFT.c.record_id == edge.c.record_l)
    .join(RIGHT, RIGHT.c.record_id == edge.c.record_r)
    .where(LEFT.c.kind == "person")
    .order_by(edge.c.record_l, edge.c.record_r)
)


def pair_of(store, sealed, *, one_sealed):
    """Names and numbers of two records that were scored."""
    for row in pairs(store, EDGES):
        names = [row.left, row.right]
        if any(name.partition("/")[0] in sealed for name in names) == one_sealed:
            return names, (row.record_l, row.record_r)
    raise AssertionError("there is such a pair")


def test_a_pair_is_explained_by_the_weight_that_the_run_gave_it(finished):
    scored = pairs(finished, EDGES)
    conflicts = [row for row in scored if row.conflict]
    with reading(finished) as connection:
        explainer = PairExplainer(finished, connection)
        for row in [*scored[:: max(1, len(scored) // 300)], *conflicts[:20]]:
            found = explainer.explain(connection, row.record_l, row.record_r)
            assert found.weight == pytest.approx(row.weight, abs=1e-6)
            assert found.prior + sum(one.bits for one in found.rows) == pytest.approx(row.weight, abs=1e-6)
            assert found.forbidden == (row.conflict is not None)


def made_by_run(store):
    """By record, the features of the model as a run makes them."""
    columns = load_model(store.person_model_file).feature_columns
    try:
        with workspace(store, "parity") as work:
            work.load_records("person", load_attributes(store.attributes_file))
            work.make_features("person", columns, load_attributes(store.attributes_file))
            rows = work.connection.sql("FROM person").to_arrow_table().to_pylist()
    finally:
        discard(store, "parity")
    return columns, {row["record_id"]: row for row in rows}


def test_one_record_has_the_features_that_a_run_gives_it(finished):
    columns, expected = made_by_run(finished)
    beside = [number for number, row in expected.items() if row["housemates"]]
    assert len(beside) > 100
    with reading(finished) as connection:
        explainer = PairExplainer(finished, connection)
        for one in standing_records(connection, (*beside[::5], *sorted(expected)[::5])):
            made = explainer.features(connection, one)
            for name in columns:
                assert made[name] == expected[one.ref.record][name], name


def test_pairs_with_the_same_housemates_have_the_weight_of_the_run(finished):
    beside = {number: set(row["housemates"] or ()) for number, row in made_by_run(finished)[1].items()}
    shared = [row for row in pairs(finished, EDGES) if beside[row.record_l] & beside[row.record_r]]
    told = 0
    with reading(finished) as connection:
        explainer = PairExplainer(finished, connection)
        for row in shared[:200]:
            found = explainer.explain(connection, row.record_l, row.record_r)
            assert found.weight == pytest.approx(row.weight, abs=1e-6)
            told += any(one.finding.en == "same housemates" for one in found.rows)
    assert told > 20


def test_it_is_told_in_both_languages_and_with_the_values(finished, at, sealed):
    names, (left, right) = pair_of(finished, sealed, one_sealed=False)
    told = json.loads(mdm("explain", *names, "--json", **at).stdout)
    assert [one["record"] for one in told["records"]] == [left, right]
    assert told["prior"] + sum(row["bits"] for row in told["rows"]) == pytest.approx(told["weight"])
    for language, heading in (("vi", "Kết quả"), ("en", "Finding")):
        text = mdm("explain", left, right, "--language", language, **at).output
        assert told["sentence"][language] in text
        assert heading in text
        shown = next(row for row in told["rows"] if row["left"] and row["right"])
        assert shown["left"].split()[0] in text
        assert shown["label"][language].split()[0] in text
    assert told["sentence"]["vi"] != told["sentence"]["en"]


def test_a_sealed_registry_is_kept_back(finished, at, sealed):
    names, numbers = pair_of(finished, sealed, one_sealed=True)
    for asked in (names, numbers):
        refused = mdm("explain", *asked, status=4, **at)
        assert "sealed" in refused.stderr
        assert not any(code in refused.stderr for code in sealed)
    assert mdm("explain", *numbers, "--include-sealed", **at).output


def test_a_question_about_two_records_has_its_sentence(finished, at):
    asked = json.loads(mdm("review", "list", "--limit", 500, "--include-sealed", "--json", **at).stdout)[
        "questions"
    ]
    pair = next(one for one in asked if len(one["records"]) == 2)
    told = json.loads(mdm("review", "show", pair["review"], "--include-sealed", "--json", **at).stdout)
    for language in ("vi", "en"):
        shown = mdm("review", "show", pair["review"], "--lang", language, "--include-sealed", **at)
        assert told["sentence"][language] in shown.output
    hidden = next(
        one for one in asked if any(h["record"]["registry"] == "social_evils" for h in one["records"])
    )
    assert json.loads(mdm("review", "show", hidden["review"], "--json", **at).stdout)["sentence"] is None


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("1", "999999999"), "no record 999999999"),
        (("no-slash", "1"), "REGISTRY/LOCAL_ID"),
        (("tax/absent", "1"), "no such record"),
    ],
)
def test_mistakes_are_told(at, arguments, says):
    result = mdm("explain", *arguments, status=None, **at)
    assert result.exit_code not in {0, 1}
    assert says in result.stderr
