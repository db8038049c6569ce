"""Signatures and secrets."""

import base64
from datetime import UTC, datetime

import pytest
from standardwebhooks.webhooks import Webhook

from mdm.errors import InputError
from mdm.feed.position import Position, cursor, parse_cursor
from mdm.feed.signing import fingerprint, new_salt, secret, signed_headers
from mdm.feed.worker import wait_before

KEY = bytes(range(32))


def test_the_example_of_the_specification():
    """Of the libraries of Standard Webhooks."""
    headers = signed_headers(
        ["whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"],
        message="msg_p5jXN8AQM9LWM0D4loKWxJek",
        body=b'{"test": 2432232314}',
        at=datetime.fromtimestamp(1614265330, UTC),
    )
    assert headers == {
        "webhook-id": "msg_p5jXN8AQM9LWM0D4loKWxJek",
        "webhook-timestamp": "1614265330",
        "webhook-signature": "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE=",
    }


def test_a_message_with_two_secrets_is_verified_by_either():
    one, two = (secret(KEY, subscription="sub_1", salt=new_salt()) for _ in range(2))
    body = '{"tên":"Lê"}'.encode()
    headers = signed_headers([one, two], message="msg_1", body=body, at=datetime.now(UTC))
    assert Webhook(one).verify(body, headers) == Webhook(two).verify(body, headers) == {"tên": "Lê"}


def test_secrets_differ_by_key_salt_and_subscription_and_come_again():
    salt = new_salt()
    made = secret(KEY, subscription="sub_1", salt=salt)
    assert made == secret(KEY, subscription="sub_1", salt=salt)
    others = {
        secret(bytes(32), subscription="sub_1", salt=salt),
        secret(KEY, subscription="sub_2", salt=salt),
        secret(KEY, subscription="sub_1", salt=new_salt()),
    }
    assert len({made, *others}) == 4
    assert len(base64.b64decode(made.removeprefix("whsec_"))) == 32
    assert KEY.hex() not in fingerprint(KEY)


def test_waits_grow_and_have_an_end():
    for attempt in range(1, 40):
        longest = min(5 * 2 ** (attempt - 1), 6 * 3600)
        assert longest / 2 <= wait_before(attempt, first=5) <= longest
    assert len({wait_before(9, first=5) for _ in range(20)}) > 1
    assert wait_before(1, first=5, asked=90) == 90
    assert wait_before(1, first=5, asked=1e9) == 6 * 3600


def test_a_cursor_comes_back_as_the_position_that_it_was_of():
    for position in (Position(0), Position(17), Position(17, 5)):
        found, known = parse_cursor(cursor(position, "2026-01-01T00:00:00.000000+00:00"))
        assert (found, len(known or "")) == (position, 8)
    assert parse_cursor("17") == (Position(17), None)
    with pytest.raises(InputError):
        parse_cursor("١٧")
