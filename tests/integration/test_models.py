"""Candidates, comparison, promotion and rollback, and what a run does when the declaration changes."""

import json

import pyarrow as pa
import pytest

from matching.artefact import TrainedModel
from matching.model import load_model
from mdm.errors import InputError, StoreBusyError, StoreError
from mdm.identity.clock import utc_now
from mdm.identity.events import Stamp
from mdm.pipeline.model_comparison import compare
from mdm.pipeline.models import find_model, go_back, list_models, promote, train_candidate
from mdm.pipeline.run import run
from mdm.pipeline.verify import verify
from mdm.store.engine import bulk
from mdm.store.models import keep_model, kept_models, promote_model
from tests.engines import change, environment
from tests.integration.job import rows, scalar
from tests.integration.test_commands import mdm
from tests.village import SILENT, TELLS, Village, village_settings

BY = {"actor": "an", "reason": "looked at it"}
EVENTS = "SELECT COUNT(*) FROM event"


@pytest.fixture
def village(engine, tmp_path):
    """Matched by file number; two people have a number, one of whom another model would split, and the other join to a third."""
    made = Village(village_settings(engine, tmp_path))
    made.deliver(
        "population",
        a={"full_name": "Lê An", "file_no": "A", "student_code": "1"},
        b={"full_name": "Lê Bình", "file_no": "B", "student_code": "2"},
    )
    made.deliver(
        "tax",
        a={"full_name": "Lê An", "file_no": "A", "student_code": "3"},
        c={"full_name": "Lê Bình", "file_no": "C", "student_code": "2"},
        d={"full_name": "Lê Dần", "file_no": "D", "student_code": "4"},
    )
    made.run()
    yield made
    made.close()


def candidate(village, *, records=10):
    """A model by student code, kept and not promoted."""
    declared = load_model(village.settings.person_model_file)
    trained = TrainedModel(
        declared, prior=0.01, parameters={"student_code": TELLS, "file_no": SILENT}, term_frequencies={},
        frequency_floor=0.1, records=records, untrained=["file_no"],
    )  # fmt: skip
    with bulk(village.settings) as store:
        keep_model(store, trained, stamp=Stamp(at=utc_now(), actor="test", reason="trained"))
    return trained.hash


def states(settings):
    return {listed.model.hash: listed.model.state for listed in list_models(settings)}


def sound(settings):
    return [check.wrong for check in verify(settings) if check.wrong] == []


def test_a_candidate_changes_nothing(village):
    events = scalar(village.settings, EVENTS)
    hash_ = candidate(village)
    assert states(village.settings)[hash_] == "candidate"
    assert find_model(village.settings, None).hash == hash_
    assert scalar(village.settings, EVENTS) == events + 1
    assert village.run().nothing_to_do
    assert sound(village.settings)


def test_a_comparison_tells_what_would_differ_and_writes_nothing(village):
    hash_, homes, events = candidate(village), village.homes(), scalar(village.settings, EVENTS)
    found = compare(village.settings, hash_)
    assert (found.records, found.clusters_before, found.clusters_after) == (5, 4, 4)
    assert found.changed == {"split": 1, "joined": 1, "moved": 0}
    assert (found.people, found.numbers) == (3, 2)
    assert found.numbers_by_kind == {"split": 1, "joined": 1, "moved": 0}
    assert found.reviews_raised == {"split.number_affected": 1}
    assert found.reviews_dropped == {}
    assert (found.edges.linked, found.edges.unlinked) == (1, 1)
    assert {entity for example in found.examples for entity in example.entities} == {
        homes["population/a"], homes["population/b"], homes["tax/c"],
    }  # fmt: skip
    assert "Lê" not in json.dumps(found.as_dict(), ensure_ascii=False)
    assert scalar(village.settings, EVENTS) == events
    assert scalar(village.settings, "SELECT COUNT(*) FROM review") == 0
    assert not any(village.settings.work_folder.glob("compare-*"))


def test_what_a_comparison_foretells_is_what_the_next_run_does(village):
    promote(village.settings, candidate(village), sure=True, **BY)
    report = village.run()
    assert not report.nothing_to_do
    homes = village.homes()
    assert homes["tax/c"] == homes["population/b"]  # joined: only one of the two had a number
    assert homes["tax/a"] == homes["population/a"]  # not split, but asked
    reasons = rows(village.settings, "SELECT reason FROM review", pa.schema([("reason", pa.string())]))
    assert [row["reason"] for row in reasons] == ["split.number_affected"]
    assert sound(village.settings)


def test_a_promotion_that_touches_numbers_must_be_meant(village):
    hash_ = candidate(village)
    with pytest.raises(InputError, match="2 people with a social-security number") as refused:
        promote(village.settings, hash_, sure=False, **BY)
    assert "--yes" in refused.value.hint
    assert states(village.settings)[hash_] == "candidate"
    assert promote(village.settings, hash_, sure=True, **BY) == 2
    assert states(village.settings)[hash_] == "current"
    event = rows(
        village.settings,
        "SELECT body FROM event ORDER BY seq DESC LIMIT 1",
        pa.schema([("body", pa.string())]),
    )
    told = json.loads(event[0]["body"])
    assert (told["kind"], told["actor"], told["reason"]) == ("model.promoted", "an", "looked at it")
    assert (told["data"]["hash"], told["data"]["touched"]) == (hash_, 2)
    with pytest.raises(InputError, match="current model already"):
        promote(village.settings, hash_, sure=True, **BY)


def test_a_promotion_is_of_what_was_compared(village, monkeypatch):
    """Another one that comes between the comparison and the promotion is not overruled."""
    first, second = candidate(village), candidate(village, records=11)

    def meanwhile(settings, hash_, **_):
        with bulk(settings, writes=True) as store:
            promote_model(store, second, stamp=Stamp(at=utc_now(), actor="else", reason="quicker"))
        return compare(settings, hash_)

    monkeypatch.setattr("mdm.pipeline.models.compare", meanwhile)
    with pytest.raises(StoreBusyError, match="Somebody else"):
        promote(village.settings, first, sure=True, **BY)
    assert states(village.settings)[second] == "current"
    assert sound(village.settings)


def test_a_candidate_learns_from_housemates_as_a_run_does(engine, finished, tmp_path, monkeypatch):
    settings = engine.copy(finished, tmp_path)
    declared = load_model(settings.person_model_file)
    few = declared.model_copy(
        update={"training": declared.training.model_copy(update={"random_pairs": 20_000})}
    )
    monkeypatch.setattr("mdm.pipeline.models.load_model", lambda _: few)
    made = train_candidate(settings, **BY)
    assert "housemates" in made.trained.declaration.feature_columns
    assert "place" not in made.trained.untrained
    assert made.new


def test_every_link_remembers_its_model(village):
    first = find_model(village.settings, "current").hash
    promote(village.settings, second := candidate(village), sure=True, **BY)
    village.run()
    schema = pa.schema([("model", pa.string())])
    now = {row["model"] for row in rows(village.settings, "SELECT model FROM edge", schema)}
    past = {row["model"] for row in rows(village.settings, "SELECT model FROM edge_past", schema)}
    assert (now, past) == ({second}, {first})


def test_rolling_back_goes_through_the_promotions_one_by_one(village):
    first = find_model(village.settings, "current").hash
    second, third = candidate(village, records=11), candidate(village, records=12)
    for hash_ in (second, third):
        promote(village.settings, hash_, sure=True, **BY)
    assert go_back(village.settings, sure=True, **BY) == (second, 0)  # the same weights: nobody is touched
    assert states(village.settings) == {first: "retired", second: "current", third: "retired"}
    with pytest.raises(InputError, match="would be matched otherwise"):
        go_back(village.settings, sure=False, **BY)
    assert go_back(village.settings, sure=True, **BY) == (first, 2)
    with pytest.raises(InputError, match="no former model"):
        go_back(village.settings, sure=True, **BY)
    assert states(village.settings) == {first: "current", second: "retired", third: "retired"}
    assert sound(village.settings)
    assert village.run().detail("train")["model"] == first


def changed_declaration(village):
    path = village.settings.person_model_file
    path.write_text(path.read_text().replace("link: 14", "link: 13"))
    return load_model(path)


def test_a_changed_declaration_waits_for_a_promotion_once_numbers_were_issued(village):
    homes = village.homes()
    changed_declaration(village)
    report = village.run()
    assert report.waiting
    assert report.nothing_to_do
    forced = village.run(force=True)
    assert forced.waiting
    assert not forced.detail("train")["trained"]
    assert village.homes() == homes
    assert (
        "stays in force"
        in mdm("run", **environment(village.settings), MDM_CONFIGS=str(village.settings.configs)).output
    )


def test_a_changed_declaration_comes_into_force_while_nothing_hangs_on_the_former(engine, tmp_path):
    made = Village(village_settings(engine, tmp_path), chosen=False)
    made.deliver(
        "tax",
        **{f"r{n}": {"full_name": "Lê An", "file_no": f"{n // 2}", "student_code": f"{n}"} for n in range(8)},
    )
    first = made.run()
    assert first.detail("train")["trained"]
    declared = changed_declaration(made)
    second = made.run()
    assert not second.waiting
    assert second.detail("train")["trained"]
    assert second.detail("train")["model"] != first.detail("train")["model"]
    # once a person has promoted one, that person decides
    promote(made.settings, first.detail("train")["model"], sure=True, **BY)
    assert made.run().waiting
    again = train_candidate(made.settings, **BY)
    assert (again.trained.declaration, again.new) == (declared, False)
    promote(made.settings, again.trained.hash, sure=True, **BY)
    assert not made.run().waiting
    assert sound(made.settings)
    made.close()


def test_a_declaration_that_cannot_be_read_is_not_promoted_and_does_not_match(village):
    hash_ = candidate(village)
    body = "UPDATE model SET body = replace(body, 'largest_block', 'unheard_of') WHERE hash = ?"
    assert change(village.settings, body, hash_) == 1
    with pytest.raises(StoreError, match="cannot be read by this version"):
        promote(village.settings, hash_, sure=True, **BY)
    current = find_model(village.settings, "current").hash
    assert change(village.settings, body, current) == 1
    with pytest.raises(StoreError, match="mdm model train"):
        run(village.settings, force=True)
    another = candidate(village, records=12)
    with pytest.raises(InputError, match="nobody can tell"):
        promote(village.settings, another, sure=False, **BY)
    assert promote(village.settings, another, sure=True, **BY) is None


@pytest.mark.parametrize(
    "sql",
    [
        "UPDATE model SET state = 'candidate' WHERE state = 'retired'",
        "UPDATE model SET state = CASE state WHEN 'current' THEN 'retired' ELSE 'current' END",
        "DELETE FROM model WHERE state = 'retired'",
    ],
)
def test_another_standing_of_a_model_is_found(village, sql):
    promote(village.settings, candidate(village), sure=True, **BY)
    assert sound(village.settings)
    assert change(village.settings, sql) > 0
    assert not sound(village.settings)


def test_a_link_of_a_model_that_was_never_kept_is_found(village):
    with bulk(village.settings) as store:
        assert len(kept_models(store, "person")) == 1
    assert change(village.settings, "UPDATE edge SET model = 'f00'") > 0
    assert not sound(village.settings)


def test_the_commands(village):
    at = {**environment(village.settings), "MDM_CONFIGS": str(village.settings.configs)}
    hash_ = candidate(village)
    assert hash_[:12] in mdm("model", "list", **at).output
    assert len(json.loads(mdm("model", "list", "--json", **at).stdout)) == 2
    assert "student_code" in mdm("model", "show", hash_[:6], **at).output
    assert json.loads(mdm("model", "show", "--json", **at).stdout)["state"] == "current"
    assert "with a social-security number" in mdm("model", "compare", **at).output
    assert "current" in mdm("model", "promote", "--reason", "better", "--yes", **at).output
    assert (
        json.loads(mdm("model", "rollback", "--reason", "worse", "--yes", "--json", **at).stdout)["touched"]
        == 2
    )
    assert "no model begins with" in mdm("model", "show", "zz", status=4, **at).output
    assert "Candidate" in mdm("model", "train", **at).output
