"""`mdm log` from signing to checking, as a person and as a script would use it."""

import json

import pytest
from typer.testing import CliRunner

from mdm.cli import app
from mdm.identity.verifier import PublicKey, open_checkpoint
from tests.engines import environment
from tests.unit.store.log_store import add_events, empty_log, tamper

RUNNER = CliRunner()


@pytest.fixture
def settings(engine, tmp_path):
    made = empty_log(engine, tmp_path)
    add_events(made, 20)
    return made


@pytest.fixture
def mdm(settings):
    def run(*arguments, status=0):
        result = RUNNER.invoke(
            app, [str(a) for a in arguments], env={"COLUMNS": "200", **environment(settings)}
        )
        assert result.exit_code == status, result.output
        assert "Traceback" not in result.output
        return result.output

    return run


def test_init_makes_the_key_and_shows_the_public_one(engine, tmp_path):
    at = environment(engine.settings(tmp_path))
    first = RUNNER.invoke(app, ["init"], env=at).output
    assert "Log key created" in first
    again = RUNNER.invoke(app, ["init"], env=at).output
    assert "Log key created" not in again
    assert PublicKey.parse(first.splitlines()[-1]) == PublicKey.parse(again.splitlines()[-1])


def test_a_checkpoint_is_shown_or_written(mdm, tmp_path):
    shown = mdm("log", "checkpoint")
    key = PublicKey.parse(mdm("log", "key"))
    assert open_checkpoint(shown, key).size == 20
    mdm("log", "checkpoint", "--out", tmp_path / "kept.txt")
    assert (tmp_path / "kept.txt").read_text(encoding="utf-8") == shown
    as_json = json.loads(mdm("log", "checkpoint", "--json"))
    assert (as_json["size"], as_json["note"]) == (20, shown)
    assert json.loads(mdm("log", "key", "--json")) == {"public_key": str(key)}


def test_an_event_is_proved_and_the_proof_checked(mdm, tmp_path):
    mdm("log", "checkpoint")
    proof, key = tmp_path / "proof.json", tmp_path / "public.key"
    mdm("log", "prove", 17, "--out", proof)
    mdm("log", "key", "--out", key)
    assert json.loads(mdm("log", "prove", 17)) == json.loads(proof.read_text(encoding="utf-8"))
    told = mdm("log", "check", proof)
    assert told.startswith("Event 17 of kind entity.formed is in the log of 20 events signed at ")
    assert mdm("log", "check", proof, "--key", key, "--store", "nowhere.db") == told
    assert json.loads(mdm("log", "check", proof, "--json")) == {"proved": told.strip()}


def test_a_log_is_shown_to_have_only_grown(mdm, settings, tmp_path):
    mdm("log", "checkpoint", "--out", tmp_path / "kept.txt")
    add_events(settings, 5)
    mdm("log", "checkpoint")
    mdm("log", "consistency", 20, "--out", tmp_path / "grown.json")
    assert json.loads(mdm("log", "consistency", 20, 25))["new_size"] == 25
    told = mdm("log", "check", tmp_path / "grown.json", "--kept", tmp_path / "kept.txt")
    assert "The log of 25 events" in told
    assert "The kept checkpoint of 20 events agrees." in told


def test_a_proof_that_was_changed_is_refused(mdm, tmp_path):
    mdm("log", "checkpoint")
    proof = json.loads(mdm("log", "prove", 3))
    (tmp_path / "proof.json").write_text(json.dumps(proof | {"body": "{}"}), encoding="utf-8")
    assert "event 3 as given here is not in the log" in mdm("log", "check", tmp_path / "proof.json", status=7)
    assert "cannot be read" in mdm("log", "check", tmp_path / "none.json", status=7)


def test_mistakes_end_with_what_to_do(mdm, settings, tmp_path):
    assert "mdm log checkpoint" in mdm("log", "prove", 3, status=4)
    mdm("log", "checkpoint")
    (tmp_path / "kept.txt").touch()
    assert "--force" in mdm("log", "checkpoint", "--out", tmp_path / "kept.txt", status=4)
    mdm("log", "checkpoint", "--out", tmp_path / "kept.txt", "--force")
    settings.log_key_file.unlink()
    add_events(settings, 1)
    assert "restore it from your backup" in mdm("log", "checkpoint", status=3)


def test_an_empty_log_is_not_signed(engine, tmp_path):
    at = environment(empty_log(engine, tmp_path))
    result = RUNNER.invoke(app, ["log", "checkpoint"], env=at)
    assert (result.exit_code, "nothing to sign" in result.output) == (4, True)


def test_verify_finds_a_rewritten_past(mdm, settings):
    mdm("log", "checkpoint")
    tamper(settings, "UPDATE checkpoint SET note = replace(note, 'time 2', 'time 1')")
    assert "signature is wrong" in mdm("verify", status=7)
