"""The stand-alone verifier: every true proof is told in plain words, everything else is refused."""

import copy
import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from hypothesis import given, settings
from hypothesis import strategies as st

from mdm.identity import verifier
from mdm.identity.checkpoint import Checkpoint, public_key, sign_checkpoint
from mdm.identity.verifier import ProofError, verify
from tests.unit.identity.small_log import ORIGIN, PUBLIC, SmallLog

LOG = SmallLog(300)
INCLUSION, CONSISTENCY = LOG.inclusion(16), LOG.consistency(257)


@pytest.mark.parametrize("size", [1, 2, 3, 7, 8, 64, 100, 257])
def test_every_proof_of_a_log_is_told(size):
    log = SmallLog(size)
    for place in range(size):
        assert f"Event {place + 1:,} of kind entity.formed" in verify(log.inclusion(place), PUBLIC)
        assert f"begins with the {place + 1:,} events" in verify(log.consistency(place + 1), PUBLIC)


def test_it_says_in_plain_words_what_was_proved():
    assert verify(INCLUSION, PUBLIC) == (
        "Event 17 of kind entity.formed is in the log of 300 events signed at 2026-01-02T03:04:05.000300+00:00"
        " by mdm-log/7d9f3a52-0000-4000-8000-000000000001."
    )
    assert verify(CONSISTENCY, PUBLIC, kept=LOG.checkpoint(257)) == (
        "The log of 300 events signed at 2026-01-02T03:04:05.000300+00:00 by mdm-log/7d9f3a52-0000-4000-8000-000000000001"
        " begins with the 257 events signed at 2026-01-02T03:04:05.000257+00:00: none of them was changed, taken out or put"
        " in between. The kept checkpoint of 257 events agrees."
    )


@pytest.mark.parametrize("proof", [INCLUSION, CONSISTENCY])
@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_no_byte_of_a_proof_may_differ(proof, data):
    text = json.dumps(proof, ensure_ascii=False).encode()
    refused_or_same(text, flipped(text, data), lambda b: verify(parsed(b), PUBLIC))


@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_no_byte_of_the_key_may_differ(data):
    refused_or_same(PUBLIC.encode(), flipped(PUBLIC.encode(), data), lambda b: verify(INCLUSION, decoded(b)))


@pytest.mark.parametrize("name", ["body", "checkpoint"])
@given(data=st.data())
@settings(max_examples=200, deadline=None)
def test_no_byte_of_event_or_note_may_differ(name, data):
    whole = INCLUSION[name].encode()
    changed = flipped(whole, data)
    with pytest.raises(ProofError):
        verify(INCLUSION | {name: decoded(changed)}, PUBLIC)


def flipped(text, data):
    changed = bytearray(text)
    changed[data.draw(st.integers(0, len(text) - 1))] ^= data.draw(st.integers(1, 255))
    return bytes(changed)


def decoded(text):
    try:
        return text.decode()
    except UnicodeDecodeError:
        raise ProofError("not text") from None


def parsed(text):
    try:
        return json.loads(text)
    except ValueError:
        raise ProofError("not JSON") from None


def refused_or_same(text, changed, check):
    """A changed byte is refused, or is between the tokens of the JSON and changes nothing of it."""
    try:
        check(changed)
    except ProofError:
        return
    assert json.loads(changed) == json.loads(text)


def test_the_last_bits_of_base64_and_the_case_of_hexadecimal_are_no_freedom():
    root = INCLUSION["checkpoint"].split("\n")[2]
    assert root[-2] in "AEIMQUYcgkosw048"
    signature_line = INCLUSION["checkpoint"].split("\n")[-2]
    loose = signature_line[:-2] + chr(ord(signature_line[-2]) + 1) + "="
    with pytest.raises(ProofError, match="base64"):
        verify(INCLUSION | {"checkpoint": INCLUSION["checkpoint"].replace(signature_line, loose)}, PUBLIC)
    with pytest.raises(ProofError, match="path"):
        verify(INCLUSION | {"path": [node.upper() for node in INCLUSION["path"]]}, PUBLIC)
    name, key_id, encoded = PUBLIC.split("+", 2)
    with pytest.raises(ProofError, match="ID"):
        verify(INCLUSION, f"{name}+{key_id.upper()}+{encoded}")


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"leaf_index": 17}, "event 18 as given here is not in the log"),
        ({"leaf_index": 300}, "outside the log"),
        ({"leaf_index": -1}, "not a number"),
        ({"leaf_index": True}, "not a number"),
        ({"leaf_index": 16.0}, "not a number"),
        ({"tree_size": 299}, "tree_size"),
        ({"path": INCLUSION["path"][1:]}, "not in the log"),
        ({"path": [*INCLUSION["path"], "00" * 32]}, "not in the log"),
        ({"path": [INCLUSION["path"]]}, "path"),
        ({"path": "00"}, "path"),
        ({"body": INCLUSION["body"] + " "}, "not in the log"),
        ({"body": "\ud800"}, "letters"),
        ({"body": None}, "not a text"),
        ({"checkpoint": LOG.checkpoint(299)}, "tree_size"),
        ({"checkpoint": "a\n\nb\n"}, "line that is not a signature"),
        ({"checkpoint": ""}, "not a signed note"),
        ({"checkpoint": INCLUSION["checkpoint"] * 2}, "wrong"),
        ({"comment": "trust me"}, "no other"),
        ({"format": "mdm-log-inclusion/2"}, "neither"),
    ],
)
def test_the_first_wrong_thing_is_named(change, wrong):
    with pytest.raises(ProofError, match=wrong):
        verify(copy.deepcopy(INCLUSION) | change, PUBLIC)


@pytest.mark.parametrize("proof", [None, [], "mdm-log-inclusion/1", {}, {"format": []}])
def test_what_is_no_proof_is_refused(proof):
    with pytest.raises(ProofError, match="neither"):
        verify(proof, PUBLIC)


@pytest.mark.parametrize(
    ("change", "wrong"),
    [
        ({"old_size": 256}, "sizes"),
        ({"path": CONSISTENCY["path"][:-1]}, "not those that were signed then"),
        ({"path": []}, "not those that were signed then"),
        ({"old_size": 300, "old_checkpoint": LOG.checkpoint()}, "not those that were signed then"),
        ({"new_size": 200, "new_checkpoint": LOG.checkpoint(200)}, "order"),
    ],
)
def test_a_log_that_did_not_only_grow_is_refused(change, wrong):
    with pytest.raises(ProofError, match=wrong):
        verify(CONSISTENCY | change, PUBLIC)


def test_an_event_that_lies_about_its_number_is_refused():
    log = SmallLog(1)
    log.__dict__["bodies"] = ['{"kind":"entity.formed","seq":2}']
    with pytest.raises(ProofError, match="own number"):
        verify(log.inclusion(0), PUBLIC)


def test_who_holds_the_key_cannot_rewrite_what_was_kept():
    rewritten = SmallLog(300)
    rewritten.__dict__["bodies"] = [LOG.bodies[0].replace("Bưởi", "Mai"), *LOG.bodies[1:]]
    proof = rewritten.consistency(257)
    assert "begins with" in verify(proof, PUBLIC)
    with pytest.raises(ProofError, match="not those of the kept checkpoint"):
        verify(proof, PUBLIC, kept=LOG.checkpoint(257))
    with pytest.raises(ProofError, match="none of that size"):
        verify(proof, PUBLIC, kept=LOG.checkpoint(256))


def test_a_kept_checkpoint_must_be_signed_too():
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    forged = sign_checkpoint(Checkpoint(ORIGIN, 300, bytes(32), "2026"), other)
    with pytest.raises(ProofError, match="not signed by this key"):
        verify(INCLUSION, PUBLIC, kept=forged)
    with pytest.raises(ProofError, match="not signed by this key"):
        verify(INCLUSION, str(public_key(other, ORIGIN)))


def test_names_that_are_given_twice_are_refused(tmp_path):
    path = tmp_path / "proof.json"
    path.write_text(json.dumps(INCLUSION)[:-1] + ', "body": "other"}')
    with pytest.raises(ProofError, match="not JSON"):
        verifier.read_json(path)


@pytest.fixture
def alone(tmp_path):
    """An empty directory with no more than the one file and what an auditor has."""
    shutil.copy(Path(verifier.__file__), tmp_path / "verifier.py")
    (tmp_path / "proof.json").write_text(json.dumps(INCLUSION), encoding="utf-8")
    (tmp_path / "grown.json").write_text(json.dumps(CONSISTENCY), encoding="utf-8")
    (tmp_path / "public.key").write_text(PUBLIC + "\n", encoding="utf-8")
    (tmp_path / "kept.txt").write_text(LOG.checkpoint(257), encoding="utf-8")
    return tmp_path


def run_alone(folder, *arguments):
    done = subprocess.run(
        [sys.executable, "-I", "verifier.py", *arguments],
        cwd=folder,
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert "Traceback" not in done.stderr
    return done.returncode, done.stdout + done.stderr


def test_alone_it_verifies_both_kinds(alone):
    assert run_alone(alone, "proof.json", "public.key") == (0, verify(INCLUSION, PUBLIC) + "\n")
    status, told = run_alone(alone, "grown.json", "public.key", "kept.txt")
    assert status == 0
    assert told.endswith("The kept checkpoint of 257 events agrees.\n")


def test_alone_it_says_what_is_wrong(alone):
    (alone / "proof.json").write_text(json.dumps(INCLUSION | {"body": "{}"}), encoding="utf-8")
    assert run_alone(alone, "proof.json", "public.key") == (
        1,
        "NOT PROVED: event 17 as given here is not in the log that was signed.\n",
    )
    assert run_alone(alone, "none.json", "public.key") == (
        1,
        "NOT PROVED: none.json cannot be read as text.\n",
    )
    (alone / "proof.json").write_text("[" * 100_000, encoding="utf-8")
    assert run_alone(alone, "proof.json", "public.key") == (1, "NOT PROVED: the proof is not JSON.\n")
    (alone / "proof.json").write_bytes(b"\xff")
    assert run_alone(alone, "proof.json", "public.key")[0] == 1
    assert run_alone(alone)[0] == 2


def test_it_imports_nothing_of_ours():
    text = Path(verifier.__file__).read_text(encoding="utf-8")
    imported = [line for line in text.splitlines() if line.startswith(("import ", "from "))]
    ours = ("mdm", "matching", "golden_record", "api", ".")
    assert imported
    assert not [line for line in imported if line.split()[1].startswith(ours)]
