"""Checkpoints are signed notes as others write and read them."""

import base64

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from mdm.identity.checkpoint import (
    Checkpoint,
    PublicKey,
    checkpoint_text,
    public_key,
    sign_checkpoint,
    signed_note,
)
from mdm.identity.verifier import ProofError, open_checkpoint, open_note
from tests.unit.identity.small_log import KEY, ORIGIN, PUBLIC

# the published example of golang.org/x/mod/sumdb/note
NEUMANN = "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
NEUMANN_SECRET = "AYEKFALVFGyNhPJEMzD1QIDr+Y7hfZx09iUvxdXHKDFz"
NEUMANN_TEXT = (
    "If you think cryptography is the answer to your problem,\nthen you don't know what your problem is.\n"
)
NEUMANN_SIGNATURE = "— PeterNeumann x08go/ZJkuBS9UG/SffcvIAQxVBtiFupLLr8pAcElZInNIuGUgYN1FFYC2pZSNXgKvqfqdngotpRZb6KE6RyyBwJnAM=\n"
STATED = Checkpoint(ORIGIN, 1_203, bytes(range(32)), "2026-01-02T03:04:05.000006+00:00")


def test_a_published_note_opens():
    assert open_note(f"{NEUMANN_TEXT}\n{NEUMANN_SIGNATURE}", PublicKey.parse(NEUMANN)) == NEUMANN_TEXT


def test_a_note_is_signed_as_the_published_one():
    secret = Ed25519PrivateKey.from_private_bytes(base64.b64decode(NEUMANN_SECRET)[1:])
    assert str(public_key(secret, "PeterNeumann")) == NEUMANN
    assert signed_note(NEUMANN_TEXT, secret, "PeterNeumann") == f"{NEUMANN_TEXT}\n{NEUMANN_SIGNATURE}"


def test_every_part_of_a_public_key_is_needed():
    for begin in range(len(NEUMANN)):
        for end in range(begin, len(NEUMANN) + 1):
            if (begin, end) != (0, len(NEUMANN)):
                with pytest.raises(ProofError):
                    PublicKey.parse(NEUMANN[begin:end])


def test_a_checkpoint_has_the_lines_of_a_transparency_log():
    assert checkpoint_text(STATED) == (
        "mdm-log/7d9f3a52-0000-4000-8000-000000000001\n"
        "1203\n"
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=\n"
        "time 2026-01-02T03:04:05.000006+00:00\n"
    )


def test_what_was_signed_is_what_is_opened():
    assert open_checkpoint(sign_checkpoint(STATED, KEY), PublicKey.parse(PUBLIC)) == STATED


def test_signatures_by_others_are_passed_over_but_not_enough():
    other = Ed25519PrivateKey.from_private_bytes(bytes(32))
    note = sign_checkpoint(STATED, KEY)
    by_witness = signed_note(checkpoint_text(STATED), other, "witness").rsplit("\n\n", 1)[1]
    assert open_checkpoint(note + by_witness, PublicKey.parse(PUBLIC)) == STATED
    with pytest.raises(ProofError, match="not signed by this key"):
        open_checkpoint(f"{checkpoint_text(STATED)}\n{by_witness}", PublicKey.parse(PUBLIC))


def test_another_key_of_the_same_name_does_not_open_it():
    other = public_key(Ed25519PrivateKey.from_private_bytes(bytes(32)), ORIGIN)
    with pytest.raises(ProofError, match="not signed by this key"):
        open_checkpoint(sign_checkpoint(STATED, KEY), other)


@pytest.mark.parametrize(
    ("text", "wrong"),
    [
        (checkpoint_text(STATED).replace("1203", "01203"), "does not state"),
        (checkpoint_text(STATED).replace("1203", "１203"), "does not state"),
        (checkpoint_text(STATED).replace("1203", "-1203"), "does not state"),
        (checkpoint_text(STATED).replace("time ", "tide "), "does not state"),
        (checkpoint_text(STATED) + "more\n", "does not state"),
        (checkpoint_text(STATED).replace("h8=", "h9="), "not base64"),
        (checkpoint_text(STATED).replace("AAEC", ""), "not a hash"),
        (checkpoint_text(STATED).replace("mdm-log", "xyz-log"), "another log"),
        (checkpoint_text(STATED).replace("05.0", "05\t0"), "control characters"),
    ],
)
def test_a_text_that_is_no_checkpoint_is_refused_even_if_signed(text, wrong):
    with pytest.raises(ProofError, match=wrong):
        open_checkpoint(signed_note(text, KEY, ORIGIN), PublicKey.parse(PUBLIC))
