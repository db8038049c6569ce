"""Checkpoints cover every event, proofs stand without the store, and a changed past is found."""

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pyarrow as pa
import pytest

from mdm.errors import ConfigurationError, InputError, VerificationError
from mdm.identity import verifier
from mdm.identity.clock import Source
from mdm.identity.events import SEALED_SCHEMA, leaf_hash
from mdm.identity.verifier import verify
from mdm.store import proofs
from mdm.store.engine import bulk
from mdm.store.keys import log_public_key
from mdm.store.proofs import check_log, checkpoint, consistency, inclusion, latest_checkpoint
from tests.engines import environment
from tests.unit.store.log_store import add_events, empty_log, tamper

NODES = pa.schema([("level", pa.int64()), ("position", pa.int64()), ("hash", pa.string())])
ALL_NODES = "SELECT level, position, hash FROM log_node ORDER BY level, position"
SIZES = (1, 255, 256, 300, 900)


@pytest.fixture
def settings(engine, tmp_path):
    return empty_log(engine, tmp_path)


@pytest.fixture(scope="session")
def signed_once(engine, tmp_path_factory):
    """A log that was signed at each of SIZES, with 5 younger events."""
    settings = empty_log(engine, tmp_path_factory.mktemp("signed"))
    done = 0
    for size in SIZES:
        add_events(settings, size - done)
        assert checkpoint(settings).size == size
        done = size
    add_events(settings, 5)
    return settings


@pytest.fixture
def signed(engine, signed_once, tmp_path):
    return engine.copy(signed_once, tmp_path)


def checked(settings):
    with bulk(settings) as store:
        return check_log(settings, store)


def public_key(settings):
    with bulk(settings) as store:
        return log_public_key(settings, store)


def nodes(settings):
    with bulk(settings) as store:
        return store.scalar("SELECT COUNT(*) FROM log_node")


def test_an_empty_log_has_nothing_to_sign(settings):
    assert checkpoint(settings) is None
    assert checked(settings) == (0, None)


def test_without_new_events_the_present_checkpoint_stands(settings):
    add_events(settings, 3)
    first = checkpoint(settings, source=Source(now=lambda: "2026-02-03T04:05:06.000007+00:00"))
    assert (first.size, first.at) == (3, "2026-02-03T04:05:06.000007+00:00")
    assert "\ntime 2026-02-03T04:05:06.000007+00:00\n" in first.note
    assert checkpoint(settings) == first
    add_events(settings, 1)
    second = checkpoint(settings)
    assert second.size == 4
    assert second.root != first.root
    with bulk(settings) as store:
        assert latest_checkpoint(store) == second


def test_a_log_that_is_well_is_said_to_be(signed):
    assert checked(signed) == (900, None)


def test_signing_in_steps_keeps_the_nodes_of_signing_at_once(engine, signed, tmp_path):
    (tmp_path / "once").mkdir()
    at_once = empty_log(engine, tmp_path / "once")
    with bulk(signed) as store:
        rows = store.read("SELECT * FROM event WHERE seq <= 900 ORDER BY seq", SEALED_SCHEMA)
        in_steps = store.read(ALL_NODES, NODES)
        root = latest_checkpoint(store).root
    with bulk(at_once) as store:
        store.append("event", rows)
    assert checkpoint(at_once).root == root
    with bulk(at_once) as store:
        assert store.read(ALL_NODES, NODES).equals(in_steps)
    assert in_steps.num_rows == 900 >> 8


def test_leaves_are_read_in_parts(signed, monkeypatch):
    monkeypatch.setattr(proofs, "_AT_ONCE", 100)
    add_events(signed, 700)
    assert checkpoint(signed).size == 1_605
    assert checked(signed) == (1_605, None)
    assert nodes(signed) == 1_605 >> 8


@pytest.mark.parametrize("size", SIZES)
def test_every_event_is_proved_for_every_checkpoint(signed, size):
    key = public_key(signed)
    with bulk(signed) as store:
        for seq in {1, 2, size // 2 + 1, 255, 256, 257, size} & set(range(1, size + 1)):
            proof = json.loads(json.dumps(inclusion(store, seq, checkpoint=size)))
            told = verify(proof, key)
            assert told.startswith(f"Event {seq:,} of kind entity.formed is in the log of {size:,} events")
        assert inclusion(store, 1)["tree_size"] == 900


@pytest.mark.parametrize("old", SIZES)
def test_every_checkpoint_is_shown_to_have_only_grown(signed, old):
    key = public_key(signed)
    with bulk(signed) as store:
        for new in SIZES[SIZES.index(old) :]:
            proof = json.loads(json.dumps(consistency(store, old, new)))
            assert f"begins with the {old:,} events" in verify(proof, key, kept=proof["old_checkpoint"])
        assert consistency(store, old)["new_size"] == 900


def test_what_cannot_be_proved_is_said(signed):
    with bulk(signed) as store:
        for seq in (0, 901, 10_000):
            with pytest.raises(InputError, match="mdm log checkpoint"):
                inclusion(store, seq)
        with pytest.raises(InputError, match="no event 256"):
            inclusion(store, 256, checkpoint=255)
        with pytest.raises(InputError, match="900, 300, 256, 255, 1"):
            inclusion(store, 1, checkpoint=17)
        with pytest.raises(InputError, match="smaller size first"):
            consistency(store, 300, 256)
        with pytest.raises(InputError, match="no checkpoint of 2"):
            consistency(store, 2)


def test_before_the_first_checkpoint_it_is_said_what_to_do(settings):
    add_events(settings, 1)
    with bulk(settings) as store, pytest.raises(InputError, match="Sign one: mdm log checkpoint"):
        inclusion(store, 1)


def rewrite(settings, seq):
    """Body and leaf, so that the event is as sound by itself as before."""
    with bulk(settings) as store:
        body = store.scalar(f"SELECT body FROM event WHERE seq = {seq}").replace('"cán bộ"', '"người khác"')
    tamper(settings, "UPDATE event SET body = ?, leaf = ? WHERE seq = ?", body, leaf_hash(body), seq)


@pytest.mark.parametrize(
    ("seq", "wrong"),
    [
        (1, "checkpoint of 1 events: the events are not those that were signed"),
        (2, "checkpoint of 255 events: the events are not those that were signed"),
        (400, "events 257 to 512 are not those of their node"),
        (900, "checkpoint of 900 events: the events are not those that were signed"),
    ],
)
def test_a_rewritten_event_is_found(signed, seq, wrong):
    rewrite(signed, seq)
    assert checked(signed) == (900, wrong)
    with bulk(signed) as store, pytest.raises(VerificationError, match="not as it was signed"):
        inclusion(store, seq)


def test_a_rewritten_event_and_nodes_do_not_give_the_signed_root(signed):
    rewrite(signed, 100)
    with bulk(signed) as store:
        frontier = proofs.Frontier()
        for leaves in proofs._leaves(store, 0, 900):
            (run,) = frontier.append(leaves)
    for position in range(900 >> 8):
        new = run.hashes[position * 32 : position * 32 + 32].hex()
        tamper(signed, "UPDATE log_node SET hash = ? WHERE level = 8 AND position = ?", new, position)
    assert checked(signed)[1] == "checkpoint of 255 events: the events are not those that were signed"
    tamper(signed, "UPDATE checkpoint SET root = ? WHERE size = 900", frontier.root().hex())
    tamper(signed, "DELETE FROM checkpoint WHERE size < 900")
    assert checked(signed)[1] == "checkpoint of 900 events: its row is not what was signed"


@pytest.mark.parametrize(
    ("sql", "wrong"),
    [
        ("DELETE FROM event WHERE seq = 20", "events 2 to 255: one is missing"),
        ("DELETE FROM event WHERE seq > 899", "events 301 to 900: one is missing"),
        ("UPDATE event SET leaf = 'x' WHERE seq = 20", "events 2 to 255: one is missing or has no hash"),
        ("UPDATE event SET leaf = leaf || '00' WHERE seq = 20", "events 2 to 255"),
        ("UPDATE log_node SET hash = upper(hash) || '0' WHERE position = 1", "nodes 1 to 2 of level 8"),
        ("UPDATE log_node SET hash = '" + "00" * 32 + "' WHERE position = 2", "events 513 to 768"),
        ("DELETE FROM log_node WHERE position = 2", "nodes 1 to 2 of level 8"),
        ("INSERT INTO log_node VALUES (8, 3, 'x')", "more nodes"),
        ("UPDATE checkpoint SET at = '2020' WHERE size = 256", "checkpoint of 256 events: its row"),
        ("UPDATE checkpoint SET size = 899 WHERE size = 900", "checkpoint of 899 events: its row"),
        (
            "UPDATE checkpoint SET note = replace(note, '\n256\n', '\n257\n') WHERE size = 256",
            "signature is wrong",
        ),
        ("UPDATE checkpoint SET note = 'x' WHERE size = 256", "not a signed note"),
    ],
)
def test_every_other_change_is_found(signed, sql, wrong):
    tamper(signed, sql)
    assert wrong in checked(signed)[1]


def test_a_store_without_its_checkpoints_has_nodes_too_many(signed):
    tamper(signed, "DELETE FROM checkpoint")
    assert checked(signed) == (0, "nodes without a checkpoint")


def test_damaged_rows_give_an_error_and_no_proof(signed):
    tamper(signed, "UPDATE log_node SET hash = '" + "00" * 32 + "' WHERE position = 2")
    tamper(signed, "UPDATE checkpoint SET root = 'x' WHERE size = 300")
    with bulk(signed) as store:
        with pytest.raises(VerificationError, match="not as it was signed"):
            inclusion(store, 1)
        with pytest.raises(VerificationError, match="not as it was signed"):
            consistency(store, 255)
        with pytest.raises(VerificationError, match="no root"):
            inclusion(store, 1, checkpoint=300)


def test_an_event_that_is_missing_is_no_proof(settings):
    add_events(settings, 1)
    checkpoint(settings)
    tamper(settings, "DELETE FROM event")
    with bulk(settings) as store, pytest.raises(VerificationError, match="not as it was signed"):
        inclusion(store, 1)


def test_a_gap_is_not_signed(settings):
    add_events(settings, 3)
    tamper(settings, "DELETE FROM event WHERE seq = 2")
    with pytest.raises(VerificationError, match="events 1 to 3"):
        checkpoint(settings)
    with bulk(settings) as store:
        assert latest_checkpoint(store) is None


@pytest.mark.parametrize(
    ("sql", "wrong"),
    [
        ("DELETE FROM event WHERE seq > 890", "events 891 to 900 were signed and are missing"),
        ("UPDATE event SET leaf = substr(leaf, 2) || '0' WHERE seq = 890", "not those that were signed"),
        (
            "UPDATE log_node SET hash = substr(hash, 2) || '0' WHERE position = 1",
            "not those that were signed",
        ),
        ("UPDATE checkpoint SET note = replace(note, 'time 2', 'time 1') WHERE size = 900", "signature"),
    ],
)
def test_a_log_does_not_sign_what_contradicts_its_last_checkpoint(signed, sql, wrong):
    tamper(signed, sql)
    with pytest.raises(VerificationError, match=wrong):
        checkpoint(signed)
    with bulk(signed) as store:
        assert latest_checkpoint(store).size == 900


def test_nothing_is_kept_if_the_checkpoint_cannot_be_written(settings, monkeypatch):
    add_events(settings, 300)

    def broken(*_):
        raise ZeroDivisionError

    monkeypatch.setattr(proofs, "sign_checkpoint", broken)
    with pytest.raises(ZeroDivisionError):
        checkpoint(settings)
    assert nodes(settings) == 0


def test_without_its_key_a_log_is_not_signed_but_still_checked(signed):
    signed.log_key_file.rename(signed.log_key_file.with_suffix(".away"))
    with pytest.raises(ConfigurationError, match="restore it"):
        checkpoint(signed)
    assert checked(signed) == (900, None)


def test_signatures_of_another_key_are_found(engine, signed, tmp_path):
    """Whoever replaces key and signatures in the store is betrayed by the key file."""
    (tmp_path / "other").mkdir()
    other = empty_log(engine, tmp_path / "other")
    with bulk(other) as store:
        foreign = store.scalar("SELECT value FROM meta WHERE name = 'log_public_key'")
    tamper(signed, "UPDATE meta SET value = ? WHERE name = 'log_public_key'", foreign)
    assert "not the one" in checked(signed)[1]


def test_two_that_sign_at_once_agree(settings):
    add_events(settings, 300)
    script = (
        "from mdm.settings import Settings; from mdm.store.proofs import checkpoint;"
        "print(checkpoint(Settings()).root)"
    )
    both = [
        subprocess.Popen(
            [sys.executable, "-c", script],
            env={**os.environ, **environment(settings)},
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    roots = [process.communicate()[0] for process in both]
    assert [process.returncode for process in both] == [0, 0]
    assert roots[0] == roots[1]
    assert checked(settings) == (300, None)


def test_a_proof_needs_no_more_than_the_verifier_and_the_key(signed, tmp_path):
    alone = tmp_path / "alone"
    alone.mkdir()
    with bulk(signed) as store:
        (alone / "proof.json").write_text(json.dumps(inclusion(store, 257)), encoding="utf-8")
    (alone / "public.key").write_text(public_key(signed), encoding="utf-8")
    shutil.copy(Path(verifier.__file__), alone)
    done = subprocess.run(
        [sys.executable, "-I", "verifier.py", "proof.json", "public.key"],
        cwd=alone,
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("Event 257 of kind entity.formed is in the log of 900 events signed at ")
