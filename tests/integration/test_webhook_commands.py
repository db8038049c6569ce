"""`mdm events` and `mdm webhooks` as a person and as a script would use them."""

import json

import pytest
from standardwebhooks.webhooks import Webhook

from tests.engines import environment
from tests.integration.test_commands import mdm
from tests.integration.test_webhooks import everything, happen, last
from tests.receiver import answers, receiving


@pytest.fixture
def village(engine, tmp_path, small_village_on):
    made = small_village_on(engine, tmp_path)
    yield made
    made.close()


@pytest.fixture
def at(village):
    return {
        **environment(village.settings),
        "MDM_CONFIGS": str(village.settings.configs),
        "MDM_ACTOR": "lan",
        "MDM_WEBHOOK_NETWORKS": "127.0.0.1",
        "MDM_WEBHOOK_ATTEMPTS": "1",
    }


def asked(*arguments, **given):
    return json.loads(mdm(*arguments, "--json", **given).stdout)


def test_events_are_shown(village, at):
    told = asked("events", "--limit", 1000, **at)
    assert [e["seq"] for e in told["events"]] == everything(village)
    whole = asked("events", "--limit", 1000, "--include-sealed", **at)
    assert [e["seq"] for e in whole["events"]] == list(range(1, last(village) + 1))
    merged = asked("events", "--kind", "entity.formed", "--registry", "tax", **at)
    assert {e["kind"] for e in merged["events"]} == {"entity.formed"}
    text = mdm("events", "--after", "3", "--limit", "2", **at).output
    assert "Go on with: --after 5-" in text
    assert village.home("tax/r2") in mdm("events", "--limit", 1000, **at).output


def test_a_subscription_from_its_beginning_to_its_end(village, at):
    with receiving() as receiver:
        made = asked("webhooks", "create", receiver.url, "--after", "0", **at)
        name = made["subscription"]["id"]
        mdm("webhooks", "run", "--once", **at)
        assert receiver.seqs() == everything(village)
        Webhook(made["secret"]).verify(receiver.got[0].body, receiver.got[0].headers)
        (listed,) = asked("webhooks", "list", **at)
        assert (listed["behind"], listed["created_by"]) == (0, "lan")
        mdm("webhooks", "replay", name, "--after", "0", "--upto", "3", **at)
        secret = mdm("webhooks", "rotate", name, **at).stdout.strip()
        mdm("webhooks", "pause", name, **at)
        mdm("webhooks", "resume", name, **at)
        mdm("webhooks", "run", "--once", **at)
        assert [e["seq"] for e in receiver.got[-1].events] == [1, 2, 3]
        Webhook(secret).verify(receiver.got[-1].body, receiver.got[-1].headers)
        assert made["secret"] not in mdm("webhooks", "list", **at).output
        mdm("webhooks", "delete", name, **at)
        assert asked("webhooks", "list", **at) == []


def test_a_dead_letter_is_shown_retried_and_discarded(village, at):
    with receiving(then=[answers(400)] * 2) as receiver:
        mdm("webhooks", "create", receiver.url, **at)
        happen(village, 1)
        for then in ("retry", "discard"):
            mdm("webhooks", "run", "--once", **at)
            (letter,) = asked("webhooks", "dead", **at)
            assert letter["error"] == "http.400"
            assert letter["subscription"] in mdm("webhooks", "dead", letter["subscription"], **at).output
            assert "stopped" in mdm("webhooks", "list", **at).output
            mdm("webhooks", then, letter["subscription"], letter["number"], **at)
        happen(village, 1)
        mdm("webhooks", "run", "--once", **at)
        assert [e["seq"] for e in receiver.got[-1].events] == [last(village)]
        assert len(receiver.got) == 3


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("events", "--after", "x"), "no position"),
        (("events", "--kind", "entity.eaten"), "no such kind"),
        (("webhooks", "create", "ftp://a.example/"), "no https URL"),
        (("webhooks", "create", "https://10.0.0.1/"), "MDM_WEBHOOK_NETWORKS"),
        (("webhooks", "pause", "sub_0"), "no such subscription"),
        (("webhooks", "retry", "sub_0", "1"), "no such subscription"),
    ],
)
def test_mistakes_are_told(at, arguments, says):
    assert says in mdm(*arguments, status=4, **at).stderr
