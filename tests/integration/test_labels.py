"""Which decisions of stewards a training learns from, and what is told of it."""

import json

import pytest
from sqlalchemy import select

from matching.artefact import LevelParameters, TrainedModel
from matching.model import load_model
from mdm.identity.clock import utc_now
from mdm.identity.commands import Decide, DecideReview, DecisionKind, Merge, Revoke, Unmerge, Verdict
from mdm.identity.events import EventKind, Stamp
from mdm.pipeline.models import find_model, load_kept, train_candidate
from mdm.store.engine import bulk
from mdm.store.models import keep_model, promote_model
from mdm.store.tables import decision, event, review
from tests.engines import environment
from tests.integration.test_commands import mdm
from tests.village import SILENT, Village, village_settings

BY = {"actor": "an", "reason": "answers"}
PEOPLE = 16


@pytest.fixture
def village(engine, tmp_path):
    """Two records of each of some people, of whom the model asks: a file number they share is worth 7 bits in all."""
    made = Village(village_settings(engine, tmp_path), chosen=False)
    asks = [LevelParameters(m=0.9, u=0.9 * 2.0**-14), LevelParameters(m=0.1, u=1 - 0.9 * 2.0**-14)]
    trained = TrainedModel(
        load_model(made.settings.person_model_file), prior=0.01, parameters={"file_no": asks, "student_code": SILENT},
        term_frequencies={}, frequency_floor=0.1, records=10, untrained=["student_code"],
    )  # fmt: skip
    with bulk(made.settings) as store:
        stamp = Stamp(at=utc_now(), actor="test", reason="trained")
        keep_model(store, trained, stamp=stamp)
        promote_model(store, trained.hash, stamp=stamp)
    for registry, code in (("population", "a"), ("tax", "b")):
        people = {
            f"r{n}": {"file_no": f"F{n}", "student_code": f"{n}{code if n % 2 else ''}"}
            for n in range(PEOPLE)
        }
        made.deliver(registry, **people)
    made.run()
    yield made
    made.close()


def questions(village):
    """Number of the person to number of the question."""
    rows = village.query(
        select(review.c.review_id, review.c.subject).where(review.c.reason == "match.possible")
    )
    asked = {subject: number for number, subject in rows}
    of = {}
    for n in range(PEOPLE):
        left, right = sorted((village.record_id(f"population/r{n}"), village.record_id(f"tax/r{n}")))
        of[n] = asked[f"pair:{left},{right}"]
    return of


def answer(village, number, verdict):
    return village.ask(DecideReview(review=number, verdict=Verdict(verdict)))


def counted(village):
    labels = train_candidate(village.settings, **BY).labels
    return labels.same, labels.different


def declare(village, labels):
    path = village.settings.person_model_file
    path.write_text(path.read_text().replace("  random_pairs", f"  labels: {labels}\n  random_pairs"))


def test_standing_answers_are_labels(village):
    asked = questions(village)
    assert counted(village) == (0, 0)
    merged = answer(village, asked[0], "same")
    answer(village, asked[1], "different")
    answer(village, asked[2], "same")
    answer(village, asked[3], "dismissed")
    assert counted(village) == (2, 1)

    # revoked: one that tied two records, one that parted two
    apart = sorted((village.record_id("population/r1"), village.record_id("tax/r1")))
    village.ask(Revoke(left=apart[0], right=apart[1]))
    assert counted(village) == (2, 0)
    # a merge that is undone says that they are two people
    ((seq,),) = village.query(
        select(event.c.seq).where(event.c.seq.in_(merged.events), event.c.kind == EventKind.ENTITY_MERGED)
    )
    village.ask(Unmerge(event=seq))
    assert counted(village) == (1, 1)
    # a record of a pair is withdrawn
    village.deliver("tax", r2=None)
    village.run()
    assert counted(village) == (0, 1)


def test_decisions_on_what_nobody_asked_are_no_labels(village):
    questions(village)
    pairs = [
        sorted(village.record_id(name) for name in pair)
        for pair in (("tax/r4", "tax/r5"), ("population/r6", "tax/r6"))
    ]
    for left, right in pairs:
        village.ask(Decide(decision=DecisionKind.CANNOT_LINK, left=left, right=right))
    assert counted(village) == (
        0,
        1,
    )  # the second pair was asked about, and answered without naming the question


def test_a_tie_between_other_records_than_the_questions_is_of_the_question(village):
    """Merging ties the first records of both sides; the label is of the pair that was asked about."""
    asked = questions(village)
    village.ask(Merge(left=village.home("tax/r8"), right=village.home("tax/r9")))
    assert counted(village) == (0, 0)
    answer(village, asked[9], "same")
    pair = {village.record_id("population/r9"), village.record_id("tax/r9")}
    tied = village.query(select(decision.c.record_l, decision.c.record_r))
    assert len(tied) == 2
    assert all({left, right} != pair for left, right in tied)
    assert counted(village) == (1, 0)


def test_too_few_answers_train_the_same_model(village):
    without = train_candidate(village.settings, **BY)
    asked = questions(village)
    for n in range(PEOPLE):
        answer(village, asked[n], "different" if n % 2 else "same")
    again = train_candidate(village.settings, **BY)
    assert again.trained.hash == without.trained.hash
    assert not again.new
    assert again.labels.loss_with is None
    at = {**environment(village.settings), "MDM_CONFIGS": str(village.settings.configs)}
    assert "8 of 100 needed of each" in mdm("model", "train", **at).output


def test_answers_enough_correct_the_model_and_both_figures_are_kept(village):
    """One number of a pupil is always one person, as the stewards say; the model thinks it worth little."""
    declare(village, "{least: 5, spread: 2.0}")
    asked = questions(village)
    for n in range(PEOPLE):
        answer(village, asked[n], "different" if n % 2 else "same")
    made = train_candidate(village.settings, **BY)
    labels = made.labels
    assert (labels.same, labels.different, labels.used) == (8, 8, True)
    assert labels.loss_with < labels.loss_without
    kept = find_model(village.settings, None)
    assert kept.hash == made.trained.hash
    assert load_kept(village.settings, kept.hash) == made.trained
    agree, differ = made.trained.parameters["student_code"]
    assert agree.correction > differ.correction

    at = {**environment(village.settings), "MDM_CONFIGS": str(village.settings.configs)}
    shown = mdm("model", "show", kept.hash[:8], **at).output
    assert "8 one person, 8 two people" in shown
    assert f"{agree.correction:+.2f}" in shown
    assert f"{labels.loss_without:.3f} bits without" in shown
    told = json.loads(mdm("model", "show", "--json", kept.hash[:8], **at).stdout)
    assert told["labels"]["used"]
    assert told["comparisons"]["student_code"][0]["correction"] == agree.correction
    assert "Answers" not in mdm("model", "show", **at).output  # the current model has seen none
    promoted = mdm("model", "promote", "--reason", "better", "--yes", kept.hash[:8], **at)
    assert "current" in promoted.output
    assert village.run().detail("train")["model"] == kept.hash


def test_a_run_that_trains_learns_from_answers_too(village):
    """One that finds no model of the declaration in force, with answers from before."""
    asked = questions(village)
    answer(village, asked[0], "same")
    with bulk(village.settings, writes=True) as store:
        store.execute("UPDATE model SET state = 'retired'")
    assert village.run(force=True).detail("train")["labels"] == {
        "same": 1, "different": 0, "least": 100, "loss_without": None, "loss_with": None,
    }  # fmt: skip
