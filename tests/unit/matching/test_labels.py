"""Labels correct what was learnt without them, towards the truth, and do no harm where they tell nothing."""

import random
from dataclasses import replace

import pytest

from matching.artefact import LevelParameters, TrainedModel
from matching.labels import Label, correct
from matching.model import Model, ModelError, load_model

AGREE = ("name", "day", "phone", "place", "mother")
TRUE_M = {"name": 0.9, "day": 0.9, "phone": 0.5, "place": 0.7, "mother": 0.8}
TRUE_U = {"name": 0.01, "day": 0.02, "phone": 0.1, "place": 0.1, "mother": 0.05}
PRIOR = 0.02


def model(*, least=100, spread=1.0):
    return Model.model_validate(
        {
            "name": "person",
            "kind": "person",
            "comparisons": [
                {"name": n, "missing": [n], "levels": [{"equal": [n]}, {"otherwise": True}]} for n in AGREE
            ],
            "blocking": [{"name": "name", "columns": ["name"]}],
            "training": {
                "prior": {"rules": [["name"]], "recall": 0.7},
                "expectation_maximisation": [["name"]],
                "labels": {"least": least, "spread": spread},
            },
            "thresholds": {"link": 10, "review": 4, "keep": -4},
        }
    )


def trained(m=TRUE_M, **declared):
    parameters = {
        n: [LevelParameters(m[n], TRUE_U[n]), LevelParameters(1 - m[n], 1 - TRUE_U[n])] for n in AGREE
    }
    return TrainedModel(
        model(**declared), prior=PRIOR, parameters=parameters, term_frequencies={}, frequency_floor=0.1,
        records=1000, untrained=[],
    )  # fmt: skip


def labelled(count, *, seed, band=(-4, 10)):
    """Pairs drawn as the true probabilities have them, of those that the true weight leaves in the band."""
    draw, truth = random.Random(seed), trained()
    labels, records = [], {}
    while len(labels) < count:
        same = draw.random() < PRIOR
        chances = TRUE_M if same else TRUE_U
        agrees = {n: draw.random() < chances[n] for n in AGREE}
        weight = truth.prior_bits + sum(truth.parameters[n][0 if agrees[n] else 1].weight for n in AGREE)
        if band[0] <= weight < band[1]:
            left = 2 * len(labels)
            labels.append(Label(left, left + 1, same))
            records[left] = dict.fromkeys(AGREE, "a")
            records[left + 1] = {n: "a" if agrees[n] else "b" for n in AGREE}
    return labels, records


def off(found, name):
    """How far the weight of agreement is from that of disagreement, less what it truly is: in bits."""

    def tells(of):
        return of.parameters[name][0].weight - of.parameters[name][1].weight

    return abs(tells(found) - tells(trained()))


@pytest.fixture(scope="module")
def answers():
    return labelled(2000, seed=1)


def test_a_wrong_m_is_corrected_towards_the_truth(answers):
    wrong = trained({**TRUE_M, "phone": 0.98})
    found, report = correct(wrong, *answers)
    assert report.used
    assert report.loss_with < report.loss_without
    assert off(wrong, "phone") > 5
    assert off(found, "phone") < 0.3 * off(wrong, "phone")
    assert all(off(found, name) < 1 for name in AGREE if name != "phone")
    assert found.labels == report
    assert found.hash != wrong.hash


def test_a_right_model_is_hardly_moved(answers):
    found, report = correct(trained(), *answers)
    assert report.loss_with == pytest.approx(report.loss_without, rel=0.02)
    assert all(off(found, name) < 0.6 for name in AGREE)


def test_too_few_labels_change_nothing(answers):
    labels, records = answers
    wrong = trained({**TRUE_M, "phone": 0.98})
    same, different = ([x for x in labels if x.same is kind] for kind in (True, False))
    found, report = correct(wrong, [*same[:99], *different], records)
    assert found is wrong
    assert (report.same, report.different, report.least, report.used) == (99, len(different), 100, False)
    assert correct(wrong, [*same[:100], *different[:100]], records)[1].loss_with is not None
    assert correct(wrong, [], {})[0] is wrong


def test_labels_that_foretell_nothing_change_no_weight():
    """Answers as the model expects them, drawn anew: what is fitted to some is noise to the others."""
    labels, records = labelled(220, seed=4)
    right = trained(least=20, spread=8.0)
    found, report = correct(right, labels, records)
    assert report.loss_with >= report.loss_without
    assert not report.used
    assert found.parameters == right.parameters
    assert found.prior_bits == right.prior_bits
    assert found.labels == report


def test_contradictory_labels_leave_the_pair_open_and_the_rest_as_it_was():
    """Of pairs of one look half are said to be one person: they weigh about nothing then, and are linked no more than before."""
    looks = {"name": "a", "day": "a", "phone": "a", "place": None, "mother": None}
    records = dict.fromkeys(range(800), looks)
    labels = [Label(2 * n, 2 * n + 1, n % 2 == 0) for n in range(400)]
    before = trained()
    found, report = correct(before, labels, records)
    assert report.used
    weight = found.prior_bits + sum(found.parameters[n][0].weight for n in ("name", "day", "phone"))
    assert abs(weight) < 0.5
    assert found.parameters["mother"] == before.parameters["mother"]
    assert [levels[1].correction for levels in found.parameters.values()] == [0.0] * 5


def test_one_sided_labels_of_a_level_move_it_by_a_few_bits(answers):
    """Where everybody with one phone is said to be two people, the weight falls, and not without end."""
    labels, records = answers
    labels = [
        replace(x, same=x.same and records[x.left]["phone"] != records[x.right]["phone"]) for x in labels
    ]
    found, report = correct(trained(), labels, records)
    assert report.used
    assert -8 < found.parameters["phone"][0].correction < -1
    assert all(
        abs(level.correction) < 3 for name in AGREE if name != "phone" for level in found.parameters[name]
    )


def test_the_order_of_the_labels_is_nothing(answers):
    labels, records = answers
    wrong = trained({**TRUE_M, "phone": 0.98})
    shuffled = random.Random(5).sample(labels, len(labels))
    assert correct(wrong, shuffled, records)[0].body == correct(wrong, labels, records)[0].body


def test_a_level_that_counts_nothing_goes_on_counting_nothing(answers):
    nothing = trained()
    nothing.parameters["phone"] = [LevelParameters(0.5, 0.5), LevelParameters(0.5, 0.5)]
    found, report = correct(nothing, *answers)
    assert report.loss_with is not None
    assert [level.weight for level in found.parameters["phone"]] == [0.0, 0.0]


def test_levels_of_one_weight_move_together(answers):
    """To the declared alternative they are one level."""
    labels, records = answers
    twice = trained({**TRUE_M, "phone": 0.98})
    declared = twice.declaration.model_dump(mode="json", exclude_none=True)
    place = next(c for c in declared["comparisons"] if c["name"] == "place")
    place["levels"] = [{"equal": ["place"]}, {"equal": ["place", "day"]}, {"otherwise": True}]
    agree, disagree = twice.parameters["place"]
    found, _ = correct(
        replace(
            twice,
            declaration=Model.model_validate(declared),
            parameters={**twice.parameters, "place": [agree, agree, disagree]},
        ),
        labels,
        records,
    )
    first, second, _ = found.parameters["place"]
    assert first.correction
    assert first == second


def test_a_model_keeps_its_corrections_and_an_older_one_its_hash(answers):
    found, _ = correct(trained({**TRUE_M, "phone": 0.98}), *answers)
    again = TrainedModel.from_body(found.body)
    assert again == found
    assert again.hash == found.hash
    assert replace(again, records=1).hash not in {again.hash, replace(found, records=2).hash}
    older = trained().body.replace(',"labels":null', "").replace(',"prior_correction":0.0', "")
    older = older.replace('"labels":{"least":100,"spread":1.0},', "")
    assert "labels" not in older
    read = TrainedModel.from_body(older)
    assert read == trained()
    assert read.body == older


def test_a_declaration_without_sense_is_refused(tmp_path):
    path = tmp_path / "person.yaml"
    text = (
        "name: p\nkind: person\ncomparisons: []\nblocking: []\nthresholds: {link: 1, review: 0, keep: 0}\n"
        "training: {prior: {rules: [[a]], recall: 1}, expectation_maximisation: [], labels: {spread: 0}}\n"
    )
    path.write_text(text)
    with pytest.raises(ModelError, match=r"training\.labels\.spread"):
        load_model(path)
