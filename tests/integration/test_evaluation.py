"""Evaluation of a finished store: against the truth, and by a sample whose clerks know the truth."""

import csv
import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from matching.estimate import Interval
from mdm.errors import InputError
from mdm.pipeline.evaluation import evaluate
from mdm.pipeline.evaluation.by_sample import evaluate_reviews
from mdm.pipeline.evaluation.households import evaluate_households
from mdm.pipeline.evaluation.sample import draw_reviews
from mdm.pipeline.run import run
from mdm.registries.attributes import load_attributes
from mdm.registries.declaration import load_registries
from tests.engines import environment
from tests.integration.job import rows
from tests.integration.test_commands import mdm

RECORDS = pa.schema([("record_id", pa.int64()), ("registry", pa.string()), ("local_id", pa.string())])


@pytest.fixture(scope="module")
def found(finished, country):
    return evaluate(finished, country.truth, anchor="population", blocking=True)


def test_everything_that_was_asked_of_an_evaluation_is_in_it(found):
    told = json.loads(json.dumps(found.as_dict()))
    assert 0.99 < told["b_cubed"]["precision"] <= 1.0
    assert {"exact_share", "false_merges_per_million", "split_rate"} <= set(told["clusters"])
    assert set(told["groups"]) == {"registry", "age", "sex", "ethnicity", "region"}
    for name, dimension in told["groups"].items():
        records = sum(group["records"] for group in dimension["groups"])
        assert records == told["records"] or (
            name == "region" and records > 0.9 * told["records"]
        )  # born abroad
        assert dimension["worst_recall"]["gap"] >= -1e-9
        assert dimension["worst_recall"]["group"] in {group["group"] for group in dimension["groups"]}
    assert {"twins", "same_name_and_birthday"} == set(told["confused"])
    assert {"twin", "name_error"} <= {group["group"] for group in told["circumstances"]}
    assert 0 <= told["calibration"]["expected_error"] < 0.1
    joined = {b["low"]: b for b in told["calibration_of_joined"]["bins"]}
    every = {b["low"]: b for b in told["calibration"]["bins"]}
    assert joined
    assert all(b["pairs"] <= every[low]["pairs"] for low, b in joined.items())
    assert sum(b["pairs"] for b in joined.values()) < sum(b["pairs"] for b in every.values())
    assert {rule["rule"] for rule in told["rules"]} == {rule["rule"] for rule in told["blocking"]["rules"]}


def test_what_is_missed_and_wrong_adds_up(found):
    assert sum(found.missed.values()) == found.pairs.true - found.pairs.both
    assert sum(found.wrong.values()) == found.pairs.predicted - found.pairs.both
    blocking = found.blocking
    assert blocking.true == found.pairs.true
    assert 0.95 < blocking.recall <= 1
    assert max(rule.found for rule in blocking.rules) <= blocking.true - blocking.lost - blocking.capped
    assert sum(rule.alone for rule in blocking.rules) <= blocking.true


def drawn(settings, path, **options):
    attributes = load_attributes(settings.attributes_file)
    registries = load_registries(settings.registries_folder, attributes=attributes)
    return draw_reviews(
        settings, path, attributes=attributes, registries=registries, **{"size": 120, "seed": 1} | options
    )


def answered(settings, country, path):
    """The file, filled in by clerks who know everything; returns the true pairs among the rows."""
    truth = {
        (row["registry"], row["local_id"]): row["person_id"]
        for row in pq.read_table(country.truth / "records.parquet").to_pylist()
        if row["kind"] == "person"
    }
    sql = "SELECT record_id, registry, local_id FROM record WHERE kind = 'person'"
    person = {
        row["record_id"]: truth[row["registry"], row["local_id"]] for row in rows(settings, sql, RECORDS)
    }
    with path.open(encoding="utf-8-sig", newline="") as file:
        table = list(csv.DictReader(file))
    for row in table:
        row["same_person"] = "yes" if person[int(row["record_1"])] == person[int(row["record_2"])] else "no"
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(table[0]))
        writer.writeheader()
        writer.writerows(table)
    return table


def test_a_sample_estimates_what_the_truth_says(finished, country, tmp_path, found):
    path = tmp_path / "reviews.csv"
    design = drawn(finished, path, include_sealed=True)
    assert len(answered(finished, country, path)) == design.size == 120
    made = evaluate_reviews(finished, path)
    assert made.unanswered == []
    precision, recall = made.estimates.precision, made.estimates.recall
    assert precision.low <= found.pairs.precision <= precision.high
    # the sample knows nothing of pairs that were never scored
    scored = found.pairs.both + sum(
        n for why, n in found.missed.items() if why != "not_compared_or_forgotten"
    )
    assert recall.low <= found.pairs.both / scored <= recall.high
    assert made.if_unsure_are_same == made.estimates


def test_a_sample_of_all_pairs_is_the_truth(finished, country, tmp_path, found):
    path = tmp_path / "reviews.csv"
    drawn(finished, path, size=10**6, include_sealed=True)
    answered(finished, country, path)
    exactly = evaluate_reviews(finished, path).estimates.precision
    assert exactly == Interval(*[pytest.approx(found.pairs.precision)] * 3)


def test_the_same_seed_draws_the_same_file_and_another_another(finished, tmp_path):
    for name, seed in (("a", 1), ("b", 1), ("c", 2)):
        drawn(finished, tmp_path / f"{name}.csv", seed=seed)
    a, b, c = ((tmp_path / f"{name}.csv").read_bytes() for name in "abc")
    assert a == b != c


def test_sealed_registries_are_not_shown_unless_asked_for(finished, tmp_path):
    shown = []
    for name, include in (("open", False), ("all", True)):
        drawn(finished, tmp_path / f"{name}.csv", size=10**6, include_sealed=include)
        with (tmp_path / f"{name}.csv").open(encoding="utf-8-sig", newline="") as file:
            shown.append({row[side] for row in csv.DictReader(file) for side in ("registry_1", "registry_2")})
    assert "social_evils" not in shown[0]
    assert shown[0] <= shown[1]


def test_a_sample_of_an_earlier_run_must_be_asked_for(engine, finished, country, tmp_path):
    settings = engine.copy(finished, tmp_path)
    drawn(settings, tmp_path / "reviews.csv")
    answered(settings, country, tmp_path / "reviews.csv")
    run(settings, force=True)
    with pytest.raises(InputError, match="another run"):
        evaluate_reviews(settings, tmp_path / "reviews.csv")
    assert (
        evaluate_reviews(settings, tmp_path / "reviews.csv", earlier_run=True).estimates.precision.estimate
        > 0.9
    )


def said_by(*arguments, **at):
    """What a command prints, however wide the terminal is."""
    return " ".join(mdm(*arguments, **at).output.replace("│", " ").split())


def test_the_commands(finished, country, tmp_path):
    at, path = environment(finished), tmp_path / "reviews.csv"
    text = said_by("evaluate", "--truth", country.truth, "--blocking", **at)
    for said in ("B-cubed", "By age", "Worst recall", "Expected calibration error", "recall of blocking"):
        assert said in text
    lists = [
        f"{one} and {other}".replace("_", " ")
        for one, other in evaluate_households(finished, country.truth).lists
    ]
    assert len(lists) > 1
    for said in ("Households against the truth", "Households found exactly", *lists):
        assert said in text
    told = json.loads(mdm("evaluate", "--truth", country.truth, "--json", **at).stdout)["households"]
    assert told == evaluate_households(finished, country.truth).as_dict()
    assert told["pairs"]["f1"] > 0.9
    assert told["clusters"]["exact"] <= told["clusters"]["households"]
    assert "Fill in" in mdm("evaluate", "--sample-out", path, "--size", 100, **at).output
    assert "--force" in mdm("evaluate", "--sample-out", path, status=4, **at).output
    assert "no row has an answer" in mdm("evaluate", "--sample", path, status=4, **at).output
    answered(finished, country, path)
    told = json.loads(mdm("evaluate", "--sample", path, "--json", **at).stdout)
    assert told["estimates"]["precision"]["low"] > 0.5
    assert "never compared are not in it" in said_by("evaluate", "--sample", path, **at)
    assert (
        "too few" in mdm("evaluate", "--sample-out", tmp_path / "x.csv", "--size", 3, status=4, **at).output
    )
    assert "give one of" in mdm("evaluate", status=4, **at).output
    assert "personal data" in said_by("evaluate", "--help")
