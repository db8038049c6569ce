"""`mdm events` and `mdm webhooks`: what happened, for programs that follow it."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mdm.cli.at_work import ActorOption, who
from mdm.cli.terminal import (
    JsonOption,
    SealedOption,
    StoreOption,
    err,
    number,
    opened_store,
    out,
    print_json,
    table,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mdm.feed.subscriptions import Subscriptions

_FEW = 20
webhook_commands = typer.Typer(
    help="Tell other systems of events: subscriptions, delivery, what could not be delivered.",
    no_args_is_help=True,
)

SubscriptionArgument = Annotated[
    str, typer.Argument(metavar="SUBSCRIPTION", help="As `mdm webhooks list` shows it.")
]
LetterArgument = Annotated[int, typer.Argument(metavar="NUMBER", help="As `mdm webhooks dead` shows it.")]
KindsOption = Annotated[
    list[str] | None, typer.Option("--kind", help="Only events of this kind; may be repeated.")
]
RegistryOption = Annotated[
    str | None, typer.Option("--registry", help="Only people with a record of this registry.")
]


def events(
    *,
    after: Annotated[
        str,
        typer.Option(
            "--after", metavar="POSITION", help="An event's number, or `next` of an earlier answer."
        ),
    ] = "0",
    limit: Annotated[int, typer.Option("--limit", help="At most so many, 1 to 1000.")] = 100,
    kinds: KindsOption = None,
    registry: RegistryOption = None,
    include_sealed: SealedOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show events in order, each with the people that it affects and how they stood afterwards."""
    from mdm.feed.events import Feed
    from mdm.queries.viewer import viewer_on_behalf
    from mdm.registries.attributes import load_attributes
    from mdm.registries.declaration import load_registries
    from mdm.store.engine import make_engine
    from mdm.store.sealing import sealing_rules

    with opened_store(store) as settings:
        attributes = load_attributes(settings.attributes_file)
        registries = load_registries(settings.registries_folder, attributes=attributes)
        viewer = viewer_on_behalf(registries, registry=registry, sees_sealed=include_sealed)
        rules = sealing_rules(settings, registries, attributes)
        engine = make_engine(settings)
        try:
            page = Feed(engine, rules).page(viewer, after=after, limit=limit, kinds=kinds)
        finally:
            engine.dispose()
        if as_json:
            print_json({"events": [asdict(e) for e in page.events], "next": page.next, "more": page.more})
            return
        for e in page.events:
            typer.echo(f"{e.id}  {e.at[:19]}Z  {e.kind}")
            for entity in e.entities[:_FEW]:
                heir = f" by {entity.superseded_by}" if entity.superseded_by else ""
                typer.echo(f"    {entity.id}  {entity.status}{heir}")
            if len(e.entities) > _FEW:
                typer.echo(f"    and {len(e.entities) - _FEW:,} more")
        typer.echo(f"{'Go on with' if page.more else 'No more yet. Later go on with'}: --after {page.next}")


@webhook_commands.command("create")
def create(
    url: Annotated[str, typer.Argument(help="Where messages go: an https URL.")],
    *,
    kinds: KindsOption = None,
    registry: RegistryOption = None,
    include_sealed: SealedOption = False,
    go_on: Annotated[
        bool,
        typer.Option(
            "--go-on", help="Go on without a message that cannot be delivered, rather than stop there."
        ),
    ] = False,
    after: Annotated[
        str | None,
        typer.Option("--after", metavar="POSITION", help="Begin after this event  [default: from now on]"),
    ] = None,
    actor: ActorOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Subscribe a URL. Its secret, by which it knows that a message is ours, is shown once."""
    with _subscriptions(store) as desk:
        made = desk.create(
            url,
            actor=who(actor),
            kinds=kinds,
            registry=registry,
            sees_sealed=include_sealed,
            ordered=not go_on,
            after=after,
        )
        if as_json:
            print_json(asdict(made))
            return
        out.print(f"Subscription {made.subscription.id}")
        out.print("Secret, shown only now; give it to the receiver:")
        typer.echo(made.secret)


@webhook_commands.command("list")
def list_subscriptions(*, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show subscriptions, how far each has come and what it waits for."""
    with _subscriptions(store) as desk:
        found = desk.all()
        if as_json:
            print_json([asdict(each) for each in found])
            return
        for each in found:
            why = f", last attempt: {each.error}" if each.error else ""
            typer.echo(f"{each.id}  {each.state}  {each.url}")
            typer.echo(
                f"    {each.registry or 'all people'}; delivered up to {number(each.delivered) or 'none'},"
                f" {each.behind:,} behind, {each.dead:,} dead{why}"
            )


@webhook_commands.command("rotate")
def rotate(
    subscription: SubscriptionArgument,
    *,
    keep_hours: Annotated[
        float, typer.Option("--keep-hours", help="How long messages are signed by the former secret too.")
    ] = 24,
    store: StoreOption = None,
) -> None:
    """Make a new secret, shown once."""
    with _subscriptions(store) as desk:
        typer.echo(desk.rotate(subscription, keep_hours=keep_hours))


@webhook_commands.command("pause")
def pause(subscription: SubscriptionArgument, *, store: StoreOption = None) -> None:
    """Send nothing to it for now; nothing is lost."""
    with _subscriptions(store) as desk:
        desk.pause(subscription)


@webhook_commands.command("resume")
def resume(subscription: SubscriptionArgument, *, store: StoreOption = None) -> None:
    """Go on: one that stopped, with the message at which it did."""
    with _subscriptions(store) as desk:
        desk.resume(subscription)


@webhook_commands.command("delete")
def delete(subscription: SubscriptionArgument, *, store: StoreOption = None) -> None:
    """End a subscription, with what was still to be sent."""
    with _subscriptions(store) as desk:
        desk.delete(subscription)


@webhook_commands.command("dead")
def dead(
    subscription: Annotated[str | None, typer.Argument(metavar="SUBSCRIPTION", help="[default: all]")] = None,
    *,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show messages that were given up after the last attempt."""
    with _subscriptions(store) as desk:
        letters = desk.dead(subscription)
        if as_json:
            print_json([asdict(letter) for letter in letters])
            return
        shown = table("", "Subscription", "Number", "After", "Up to", "Attempts", "Error", right=(1, 2, 3, 4))
        for letter in letters:
            shown.add_row(
                letter.subscription,
                str(letter.number),
                str(letter.after),
                str(letter.upto),
                str(letter.attempts),
                letter.error or "",
            )
        out.print(shown)


@webhook_commands.command("retry")
def retry(subscription: SubscriptionArgument, letter: LetterArgument, *, store: StoreOption = None) -> None:
    """Try a dead letter anew."""
    with _subscriptions(store) as desk:
        desk.retry(subscription, letter)


@webhook_commands.command("discard")
def discard(subscription: SubscriptionArgument, letter: LetterArgument, *, store: StoreOption = None) -> None:
    """Give a dead letter up for good, and go on without it."""
    with _subscriptions(store) as desk:
        desk.discard(subscription, letter)


@webhook_commands.command("replay")
def replay(
    subscription: SubscriptionArgument,
    *,
    after: Annotated[
        str, typer.Option("--after", metavar="POSITION", help="An event's number, or `next` of a message.")
    ],
    upto: Annotated[
        int | None, typer.Option("--upto", metavar="EVENT", help="[default: all that was handed out]")
    ] = None,
    store: StoreOption = None,
) -> None:
    """Send events again, in order, before what has not been sent yet."""
    with _subscriptions(store) as desk:
        span = desk.replay(subscription, after=after, upto=upto)
        out.print(f"Events {span.after + 1} to {span.upto} are sent again.")


@webhook_commands.command("run")
def run(
    *,
    once: Annotated[bool, typer.Option("--once", help="Send what is due now, and end.")] = False,
    store: StoreOption = None,
) -> None:
    """Send messages until stopped (Ctrl-C, SIGTERM). On PostgreSQL several may run; on SQLite one."""
    import logging
    import signal
    from threading import Event

    from mdm.feed.worker import Worker, alone

    with opened_store(store) as settings:
        logging.basicConfig(format="%(asctime)s %(levelname)s %(message)s", level=logging.INFO)
        with alone(settings):
            worker = Worker(settings)
            try:
                if once:
                    worker.deliver_due()
                    return
                stop = Event()
                for name in (signal.SIGINT, signal.SIGTERM):
                    signal.signal(name, lambda *_: stop.set())
                err.print("Sending webhooks. Stop with Ctrl-C.")
                worker.run(stop)
            finally:
                worker.close()


@contextmanager
def _subscriptions(store: str | None) -> Iterator[Subscriptions]:
    from mdm.feed.subscriptions import Subscriptions
    from mdm.store.engine import make_engine

    with opened_store(store) as settings:
        engine = make_engine(settings)
        try:
            yield Subscriptions(engine, settings)
        finally:
            engine.dispose()
