"""Webhooks to a real receiver on loopback: in order, at least once, signed, whatever the receiver does."""

import base64
import os
import signal
import ssl
import subprocess
import sys
import threading
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from itertools import groupby

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import NameOID
from sqlalchemy import select
from standardwebhooks.webhooks import Webhook, WebhookVerificationError

from mdm.errors import InputError, NoSubscriptionError, RepeatedKeyError, StoreBusyError
from mdm.feed import worker as workers
from mdm.feed.subscriptions import Subscriptions
from mdm.feed.worker import Worker, alone, in_background
from mdm.identity.commands import Decide, DecisionKind, Merge, Revoke
from mdm.store.engine import make_engine
from mdm.store.tables import decision, subscription
from tests.engines import POSTGRESQL, SQLITE, change
from tests.integration.test_concurrency import village_environment
from tests.integration.test_feed import OUTSIDER, feed_of
from tests.receiver import answers, closes, drips, receiving, says_nothing

LOOPBACK = (ip_network("127.0.0.1"), ip_network("::1"))
QUICK = {"webhook_networks": LOOPBACK, "webhook_timeout": 1, "webhook_retry": 0.01, "webhook_attempts": 3}


@pytest.fixture
def village(engine, tmp_path, small_village_on):
    made = small_village_on(engine, tmp_path)
    yield made
    made.close()


@pytest.fixture
def settings(village):
    return village.settings.model_copy(update=QUICK)


@pytest.fixture
def desk(settings):
    engine = make_engine(settings)
    yield Subscriptions(engine, settings)
    engine.dispose()


@contextmanager
def worker_of(settings):
    engine = make_engine(settings)
    try:
        yield Worker(settings, engine=engine)
    finally:
        engine.dispose()


def deliver(settings):
    """All that is due, and what becomes due by trying again."""
    with worker_of(settings) as worker, running(worker):
        until_idle(worker)


def until_idle(worker):
    waits = threading.Event()
    while waiting(worker):
        waits.wait(0.02)


def waiting(worker):
    """Whether an active subscription has something to be sent, now or later."""
    return any(each.state == "active" and each.behind for each in worker._subscriptions.all())


@contextmanager
def running(*several):
    stop = threading.Event()
    threads = [threading.Thread(target=worker.run, args=(stop,)) for worker in several]
    for thread in threads:
        thread.start()
    try:
        yield
    finally:
        stop.set()
        for thread in threads:
            thread.join()


def happen(village, count):
    """Events: a word on two records, and its withdrawal, again and again."""
    left, right = village.record_id("population/r0"), village.record_id("tax/r2")
    for _ in range(count):
        stands = village.query(select(decision).where(decision.c.until_event.is_(None)))
        village.ask(
            Revoke(left=left, right=right)
            if stands
            else Decide(decision=DecisionKind.CANNOT_LINK, left=left, right=right)
        )


def last(village):
    return feed_of(village).last()


def everything(village):
    """Numbers of all events that do not only tell of a sealed registry."""
    page = feed_of(village).page(OUTSIDER, limit=1000)
    assert not page.more
    return [e.seq for e in page.events]


def without_repeats(seqs):
    return [seq for seq, _ in groupby(seqs)]


# --- what arrives ----------------------------------------------------------------------------------------------------


def test_events_arrive_in_order_once_and_signed(village, settings, desk, monkeypatch):
    monkeypatch.setattr(workers, "EVENTS_A_MESSAGE", 7)
    with receiving() as receiver:
        made = desk.create(receiver.url, actor="An", after="0")
        deliver(settings)
        assert receiver.seqs() == everything(village)
        happen(village, 10)
        deliver(settings)
        assert receiver.seqs() == everything(village)
        deliver(settings)
        assert receiver.seqs() == everything(village)
    assert len({got.id for got in receiver.got}) == len(receiver.got) > 3
    verifier, stranger = Webhook(made.secret), Webhook("whsec_" + base64.b64encode(b"x" * 32).decode())
    page = feed_of(village).page(OUTSIDER, limit=1000)
    told = {e.seq: e for e in page.events}
    for got in receiver.got:
        body = verifier.verify(got.body, got.headers)
        assert body["type"] == "mdm.events"
        assert body["data"]["subscription"] == made.subscription.id
        assert all(
            [c["id"] for c in e["entities"]] == [c.id for c in told[e["seq"]].entities] for e in got.events
        )
        with pytest.raises(WebhookVerificationError):
            stranger.verify(got.body, got.headers)
        with pytest.raises(WebhookVerificationError):
            verifier.verify(got.body + b" ", got.headers)
    listed = desk.get(made.subscription.id)
    assert (listed.behind, listed.delivered, listed.dead) == (0, last(village), 0)


def test_a_subscription_begins_now_and_keeps_to_its_kinds_and_registry(village, settings, desk):
    with receiving() as all_kinds, receiving() as merges, receiving() as tax:
        desk.create(all_kinds.url, actor="An")
        desk.create(merges.url, actor="An", kinds=["entity.merged"])
        desk.create(tax.url, actor="An", registry="tax")
        before = last(village)
        happen(village, 2)
        left, right = village.home("population/r3"), village.home("tax/r5")
        (merged, *_) = village.ask(Merge(left=left, right=right)).events
        deliver(settings)
        assert all_kinds.seqs() == [seq for seq in everything(village) if seq > before]
        assert merges.seqs() == [merged]
        assert tax.seqs()[:3] == [before + 1, before + 2, merged]
        named = {c["id"] for got in tax.got for e in got.events for c in e["entities"]}
        assert named == {village.home("tax/r2"), left, right}


# --- receivers that fail ---------------------------------------------------------------------------------------------


def test_a_receiver_that_fails_gets_the_same_message_again_and_nothing_out_of_order(
    village, settings, desk, monkeypatch
):
    monkeypatch.setattr(workers, "EVENTS_A_MESSAGE", 10)
    patient = settings.model_copy(update={"webhook_attempts": 16})
    away = answers(302, location="/elsewhere")
    with receiving(then=[answers(500), closes, away, says_nothing(30), drips, answers(429)]) as receiver:
        desk.create(receiver.url, actor="An", after="0")
        deliver(patient)
    assert without_repeats(got.id for got in receiver.got) == list(dict.fromkeys(g.id for g in receiver.got))
    first = receiver.got[:7]
    assert len({got.id for got in first}) == len({got.body for got in first}) == 1
    assert {got.path for got in receiver.got} == {"/hook"}
    arrived = [event["seq"] for got in receiver.got[6:] for event in got.events]
    assert arrived == everything(village)


def test_each_failure_is_told_by_its_name(village, settings, desk):
    with receiving() as receiver:
        desk.create(receiver.url, actor="An", after="0")
        once = settings.model_copy(update={"webhook_retry": 0.0001, "webhook_attempts": 100})
        for answer, name in (
            (answers(503), "http.503"),
            (answers(307, location="/x"), "http.307"),
            (closes, "broken"),
            (says_nothing(30), "timeout"),
            (drips, "timeout"),
        ):
            receiver.then.append(answer)
            with worker_of(once) as worker:
                worker.deliver_due()
            assert desk.all()[0].error == name
    with worker_of(once) as worker:
        worker.deliver_due()
    assert desk.all()[0].error == "connect"


def test_after_the_last_attempt_an_ordered_subscription_waits_for_a_person(
    village, settings, desk, monkeypatch
):
    monkeypatch.setattr(workers, "EVENTS_A_MESSAGE", 10)
    with receiving(always=answers(500)) as receiver:
        name = desk.create(receiver.url, actor="An", after="0").subscription.id
        deliver(settings)
        assert len(receiver.got) == 3
        assert desk.get(name).state == "stopped"
        (letter,) = desk.dead()
        assert (letter.subscription, letter.after) == (name, 0)
        assert everything(village)[9] <= letter.upto < everything(village)[10]
        assert (letter.attempts, letter.error) == (3, "http.500")
        happen(village, 4)
        deliver(settings)
        assert len(receiver.got) == 3
        receiver.always, refused = answers(200), receiver.got[0]
        desk.resume(name)
        deliver(settings)
        assert receiver.got[3].id == refused.id
        assert [e["seq"] for got in receiver.got[3:] for e in got.events] == everything(village)
        assert desk.dead() == []


def test_a_dead_letter_that_is_discarded_is_gone_on_without(village, settings, desk, monkeypatch):
    monkeypatch.setattr(workers, "EVENTS_A_MESSAGE", 10)
    with receiving(then=[answers(400)] * 3) as receiver:
        name = desk.create(receiver.url, actor="An", after="0").subscription.id
        deliver(settings)
        (letter,) = desk.dead(name)
        desk.discard(name, letter.number)
        deliver(settings)
        assert [e["seq"] for got in receiver.got[3:] for e in got.events] == everything(village)[10:]
        with pytest.raises(InputError):
            desk.discard(name, letter.number)


def test_a_subscription_that_goes_on_leaves_dead_letters_behind(village, settings, desk, monkeypatch):
    monkeypatch.setattr(workers, "EVENTS_A_MESSAGE", 10)
    with receiving(then=[answers(400)] * 3) as receiver:
        name = desk.create(receiver.url, actor="An", after="0", ordered=False).subscription.id
        deliver(settings)
        assert [e["seq"] for got in receiver.got[3:] for e in got.events] == everything(village)[10:]
        assert desk.get(name).state == "active"
        (letter,) = desk.dead(name)
        desk.retry(name, letter.number)
        deliver(settings)
        assert [e["seq"] for e in receiver.got[-1].events] == everything(village)[:10]
        assert receiver.got[-1].id == receiver.got[0].id
        assert desk.dead() == []


def test_a_receiver_that_is_gone_is_left_alone(settings, desk):
    with receiving(always=answers(410)) as receiver:
        name = desk.create(receiver.url, actor="An", after="0").subscription.id
        deliver(settings)
        assert len(receiver.got) == 1
    assert desk.get(name).state == "stopped"


def test_a_slow_receiver_does_not_hold_up_another(village, settings, desk):
    slow = settings.model_copy(update={"webhook_timeout": 30})
    with receiving(always=says_nothing(30)) as stuck, receiving() as receiver:
        desk.create(stuck.url, actor="An", after="0")
        desk.create(receiver.url, actor="An", after="0")
        with worker_of(slow) as worker, running(worker):
            stuck.wait(lambda: bool(stuck.got))
            receiver.wait(lambda: receiver.seqs() == everything(village))
            if not settings.is_sqlite:
                assert desk.all()[0].behind > 0
            happen(village, 2)
            receiver.wait(lambda: receiver.seqs() == everything(village))
            stuck.hang_up()


# --- what a person does ----------------------------------------------------------------------------------------------


def test_a_range_is_sent_again(village, settings, desk):
    with receiving() as receiver:
        name = desk.create(receiver.url, actor="An", after="0").subscription.id
        deliver(settings)
        del receiver.got[:]
        desk.replay(name, after="4", upto=9)
        deliver(settings)
        assert receiver.seqs() == [seq for seq in everything(village) if 5 <= seq <= 9]
        for after, upto in (("9", 9), ("4", 10_000), (str(last(village)), None)):
            with pytest.raises(InputError):
                desk.replay(name, after=after, upto=upto)


def test_secrets_are_changed_with_both_valid_for_a_time(village, settings, desk):
    with receiving() as receiver:
        made = desk.create(receiver.url, actor="An")
        name, old = made.subscription.id, made.secret
        new = desk.rotate(name)
        happen(village, 1)
        deliver(settings)
        for secret in (old, new):
            Webhook(secret).verify(receiver.got[-1].body, receiver.got[-1].headers)
        change(settings, "UPDATE subscription SET former_until = ?", "2026-01-01T00:00:00.000000+00:00")
        happen(village, 1)
        deliver(settings)
        newest = desk.rotate(name, keep_hours=0, key="once")
        assert desk.rotate(name, keep_hours=0, key="once") == newest
        happen(village, 1)
        deliver(settings)
    (_, second, third) = receiver.got
    for got, secret, former in ((second, new, old), (third, newest, new)):
        Webhook(secret).verify(got.body, got.headers)
        with pytest.raises(WebhookVerificationError):
            Webhook(former).verify(got.body, got.headers)


def test_a_paused_subscription_loses_nothing(village, settings, desk):
    with receiving() as receiver:
        name = desk.create(receiver.url, actor="An").subscription.id
        before = last(village)
        desk.pause(name)
        happen(village, 3)
        deliver(settings)
        assert receiver.got == []
        desk.resume(name)
        deliver(settings)
        assert receiver.seqs() == [before + 1, before + 2, before + 3]
        desk.delete(name)
        happen(village, 1)
        deliver(settings)
        assert len(receiver.got) == 1
    for act in (desk.get, desk.pause, desk.resume, desk.delete, desk.rotate, desk.dead):
        with pytest.raises(NoSubscriptionError):
            act(name)


def test_a_registry_knows_only_its_own_subscriptions(settings, desk):
    mine = desk.create("https://tax.example/hook", actor="tax", registry="tax").subscription.id
    other = desk.create("https://else.example/hook", actor="An").subscription.id
    assert [each.id for each in desk.all(of={"tax"})] == [mine]
    assert {each.id for each in desk.all()} == {mine, other}
    with pytest.raises(NoSubscriptionError):
        desk.pause(other, of={"tax"})
    with pytest.raises(InputError):
        desk.create("https://x.example/", actor="An", registry="nowhere")


def test_a_request_that_is_repeated_makes_one_subscription(desk):
    first = desk.create("https://a.example/hook", actor="An", key="k")
    assert desk.create("https://a.example/hook", actor="An", key="k") == first
    assert len(desk.all()) == 1
    with pytest.raises(RepeatedKeyError):
        desk.create("https://b.example/hook", actor="An", key="k")


def test_the_store_alone_cannot_sign(village, settings, desk, caplog):
    """A store with another webhook key sends nothing; the secret stands in no row."""
    with receiving() as receiver:
        made = desk.create(receiver.url, actor="An", after="0")
        rows = village.query(select(subscription))
        assert made.secret.removeprefix("whsec_") not in str(rows)
        kept = settings.webhook_key_file.read_text()
        assert settings.webhook_key_file.stat().st_mode & 0o077 == 0
        settings.webhook_key_file.write_text("0" * 64)
        with worker_of(settings) as worker:
            worker.deliver_due()
        assert receiver.got == []
        assert "webhook key" in caplog.text
        settings.webhook_key_file.write_text(kept)
        deliver(settings)
        Webhook(made.secret).verify(receiver.got[0].body, receiver.got[0].headers)


# --- where messages may go -------------------------------------------------------------------------------------------


def test_a_name_that_leads_to_this_machine_is_not_gone_to(village, settings, desk):
    with receiving() as receiver:
        url = receiver.url.replace("http://127.0.0.1", "https://localhost")
        desk.create(url, actor="An", after="0")
        public_only = settings.model_copy(update={"webhook_networks": ()})
        with worker_of(public_only) as worker:
            worker.deliver_due()
        assert receiver.got == []
    assert desk.all()[0].error == "address"


# --- workers ---------------------------------------------------------------------------------------------------------


def test_on_sqlite_a_second_worker_is_refused_and_on_postgresql_not(settings):
    with in_background(settings) as first:
        assert first
        if settings.is_sqlite:
            with pytest.raises(StoreBusyError), alone(settings):
                pass
        with in_background(settings) as second:
            assert second is not settings.is_sqlite


def test_two_workers_on_postgresql_keep_the_order(engine_of, tmp_path, small_village_on, monkeypatch):
    monkeypatch.setattr(workers, "EVENTS_A_MESSAGE", 2)
    monkeypatch.setattr(workers, "_POLL_SECONDS", 0.005)
    monkeypatch.setattr(workers, "_MESSAGES_A_TURN", 1)
    village = small_village_on(engine_of(POSTGRESQL), tmp_path)
    settings = village.settings.model_copy(update={**QUICK, "webhook_attempts": 100})
    engine = make_engine(settings)
    desk = Subscriptions(engine, settings)
    refusing = [answers(500) if number % 5 == 0 else answers(200) for number in range(20)]
    with receiving(then=refusing) as receiver, worker_of(settings) as one, worker_of(settings) as two:
        desk.create(receiver.url, actor="An", after="0")
        with running(one, two):
            happen(village, 60)
            until_idle(one)
        taken = [got for number, got in enumerate(receiver.got) if number >= 20 or number % 5]
        assert [event["seq"] for got in taken for event in got.events] == everything(village)
        assert len(receiver.got) == len(taken) + 4
    engine.dispose()
    village.close()


# --- killed ----------------------------------------------------------------------------------------------------------


def test_a_worker_that_is_killed_is_followed_by_another_without_a_gap(village, settings, desk):
    """Killed while the receiver holds a message: it comes again with the same ID, and everything after it in order."""
    given = {
        **village_environment(settings),
        "MDM_WEBHOOK_NETWORKS": "127.0.0.1",
        "MDM_WEBHOOK_TIMEOUT": "60",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    with receiving(then=[answers(200), says_nothing(60)]) as receiver:
        desk.create(receiver.url, actor="An")
        happen(village, 1)
        command = [sys.executable, "-m", "mdm.cli", "webhooks", "run"]
        killed = subprocess.Popen(command, env=given, stderr=subprocess.DEVNULL)
        receiver.wait(lambda: len(receiver.got) == 1)
        happen(village, 3)
        receiver.wait(lambda: len(receiver.got) == 2)
        killed.send_signal(signal.SIGKILL)
        killed.wait()
        happen(village, 2)
        next_one = subprocess.Popen(command, env=given, stderr=subprocess.DEVNULL)
        whole = [seq for seq in everything(village) if seq > receiver.seqs()[0] - 1]
        receiver.wait(lambda: receiver.seqs()[-1] == whole[-1])
        next_one.terminate()
        assert next_one.wait() == 0
    assert receiver.got[2].id == receiver.got[1].id
    assert receiver.got[2].body == receiver.got[1].body
    taken = [receiver.got[0], *receiver.got[2:]]
    assert [event["seq"] for got in taken for event in got.events] == whole


# --- certificates ----------------------------------------------------------------------------------------------------


def certificate(folder, name):
    """A certificate of its own authority, for a host name; its file has the key too."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.now(UTC)
    made = (
        x509.CertificateBuilder(subject_name=who, issuer_name=who, public_key=key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    path = folder / f"{name}.pem"
    private = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    path.write_bytes(made.public_bytes(Encoding.PEM) + private)
    return path


@pytest.mark.parametrize("name", ["localhost", "other.example"])
def test_the_certificate_must_be_of_the_name_although_the_address_is_gone_to(
    engine_of, tmp_path, small_village_on, name
):
    village = small_village_on(engine_of(SQLITE), tmp_path)
    path = certificate(tmp_path, name)
    tls = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    tls.load_cert_chain(path)
    settings = village.settings.model_copy(update={**QUICK, "webhook_ca_file": path})
    with receiving(tls=tls) as receiver, worker_of(settings) as worker:
        assert receiver.url.startswith("https://localhost:")
        desk = worker._subscriptions
        desk.create(receiver.url, actor="An", after="0")
        worker.deliver_due()
        if name == "localhost":
            assert receiver.seqs() == everything(village)
        else:
            assert receiver.got == []
            assert desk.all()[0].error == "connect"
    village.close()
