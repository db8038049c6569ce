"""`mdm merge|unmerge|split|decide|withdraw`, `mdm number`, `mdm approval`, `mdm review`: changes that people make by hand."""

from __future__ import annotations

import getpass
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mdm.cli import show_steward
from mdm.cli.terminal import (
    JsonOption,
    SealedOption,
    StoreOption,
    load_settings,
    plain_errors,
    print_json,
)
from mdm.errors import InputError
from mdm.identity.commands import (
    AssignNumber,
    ChangeNumber,
    Decide,
    DecideReview,
    Merge,
    ReserveNumbers,
    Revoke,
    Split,
    Unmerge,
    Verdict,
)
from mdm.identity.decisions import DecisionKind
from mdm.identity.numbers import NumberState, Reason

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from mdm.identity.commands import Command
    from mdm.settings import Settings
    from mdm.stewardship.service import Answer, Identity

number_commands = typer.Typer(
    help="Social-security numbers by hand: reserve, assign, change.", no_args_is_help=True
)
approval_commands = typer.Typer(help="Requests that a second person must approve.", no_args_is_help=True)
review_commands = typer.Typer(help="Questions that the matching leaves to a person.", no_args_is_help=True)

_NAME = "An entity's ID, its number, or REGISTRY/LOCAL_ID of one of its records."
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help=_NAME)]
RecordArgument = Annotated[str, typer.Argument(metavar="RECORD", help="REGISTRY/LOCAL_ID.")]
ReasonOption = Annotated[
    str, typer.Option("--reason", help="Why, in your words: it stands in the log for ever. No personal data.")
]
ActorOption = Annotated[
    str | None,
    typer.Option("--actor", envvar="MDM_ACTOR", help="Who does it  [default: your login name]"),
]
KeyOption = Annotated[
    str | None,
    typer.Option("--key", help="Idempotency key: the same request with the same key is done once."),
]
PreviewOption = Annotated[bool, typer.Option("--preview", help="Show what it would do, and do nothing.")]
ExpectOption = Annotated[
    list[str] | None,
    typer.Option("--expect", metavar="ID=VERSION", help="Refuse if this entity is at another version now."),
]
SurvivorOption = Annotated[
    str | None,
    typer.Option(
        "--survivor", metavar="NAME", help="Which one stays  [default: who has an SSN, else the older]"
    ),
]


def merge(
    left: NameArgument,
    right: NameArgument,
    *,
    reason: ReasonOption,
    survivor: SurvivorOption = None,
    preview: PreviewOption = False,
    expect: ExpectOption = None,
    actor: ActorOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make two people one. Two social-security numbers need a second person: see `mdm approval`."""
    with _at_work(store) as work:
        command = Merge(
            left=work.entity(left),
            right=work.entity(right),
            survivor=None if survivor is None else work.entity(survivor),
            expected=_versions(expect),
        )
        work.do(command, reason=reason, actor=actor, key=key, preview=preview, as_json=as_json)


def unmerge(
    event: Annotated[int, typer.Argument(help="The merge's event: `mdm entity history NAME` shows it.")],
    *,
    reason: ReasonOption,
    preview: PreviewOption = False,
    actor: ActorOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Undo a merge. What joined since stays with the one that survived, and is shown."""
    with _at_work(store) as work:
        work.do(Unmerge(event=event), reason=reason, actor=actor, key=key, preview=preview, as_json=as_json)


def split(
    name: NameArgument,
    records: Annotated[
        list[str], typer.Argument(metavar="RECORD...", help="REGISTRY/LOCAL_ID of those that go.")
    ],
    *,
    reason: ReasonOption,
    preview: PreviewOption = False,
    expect: ExpectOption = None,
    actor: ActorOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Take records out of a person into a new one."""
    with _at_work(store) as work:
        command = Split(
            entity=work.entity(name),
            records=tuple(work.record(record) for record in records),
            expected=_versions(expect),
        )
        work.do(command, reason=reason, actor=actor, key=key, preview=preview, as_json=as_json)


def decide(
    decision: Annotated[DecisionKind, typer.Argument(help="One person, or two.")],
    left: RecordArgument,
    right: RecordArgument,
    *,
    reason: ReasonOption,
    actor: ActorOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Say that two records are one person or never are. It outlives every model; `mdm run` follows it."""
    with _at_work(store) as work:
        command = Decide(decision=decision, left=work.record(left), right=work.record(right))
        work.do(command, reason=reason, actor=actor, key=key, as_json=as_json)


def withdraw(
    left: RecordArgument,
    right: RecordArgument,
    *,
    reason: ReasonOption,
    actor: ActorOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Withdraw the decision on two records. It stays in the history."""
    with _at_work(store) as work:
        command = Revoke(left=work.record(left), right=work.record(right))
        work.do(command, reason=reason, actor=actor, key=key, as_json=as_json)


# --- numbers ---------------------------------------------------------------------------------------------------------


@number_commands.command("reserve")
def reserve_numbers(
    count: Annotated[int, typer.Argument(min=1, max=10_000, help="How many.")],
    *,
    reason: ReasonOption,
    actor: ActorOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Set numbers aside, to be assigned to people later."""
    with _at_work(store) as work:
        work.do(ReserveNumbers(count=count), reason=reason, actor=actor, key=key, as_json=as_json)


@number_commands.command("assign")
def assign_number(
    number: Annotated[str, typer.Argument(help="A reserved number.")],
    name: NameArgument,
    *,
    reason: ReasonOption,
    preview: PreviewOption = False,
    expect: ExpectOption = None,
    actor: ActorOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Give a reserved number to a person whom the population database knows and who has none."""
    with _at_work(store) as work:
        command = AssignNumber(number=number, entity=work.entity(name), expected=_versions(expect))
        work.do(command, reason=reason, actor=actor, key=key, preview=preview, as_json=as_json)


@number_commands.command("change")
def change_number(
    number: Annotated[str, typer.Argument(help="The number.")],
    state: Annotated[NumberState, typer.Argument(help="What it becomes.")],
    code: Annotated[Reason, typer.Argument(help="Reason code: which ones are allowed depends on the state.")],
    *,
    reason: ReasonOption,
    preview: PreviewOption = False,
    actor: ActorOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Suspend a number, lift it, tell or revoke a death, cancel."""
    with _at_work(store) as work:
        command = ChangeNumber(number=number, state=state, reason=code)
        work.do(command, reason=reason, actor=actor, key=key, preview=preview, as_json=as_json)


# --- four eyes -------------------------------------------------------------------------------------------------------


@approval_commands.command("list")
def list_requests(*, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show open requests."""
    from mdm.store.questions import requests

    with _reading(store) as (connection, _):
        found = requests(connection)
        if as_json:
            print_json([asdict(request) for request in found])
        else:
            show_steward.requests(found)


@approval_commands.command("approve")
def approve(
    number: Annotated[int, typer.Argument(help="Number of the request.")],
    *,
    actor: ActorOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Approve what another person asked for: it is carried out now."""
    with _at_work(store) as work:
        show_steward.answer(work.identity.approve(number, actor=_actor(actor)), as_json=as_json)


@approval_commands.command("refuse")
def refuse(
    number: Annotated[int, typer.Argument(help="Number of the request.")],
    *,
    reason: ReasonOption,
    actor: ActorOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Refuse it: nothing is done, and the refusal is kept."""
    with _at_work(store) as work:
        done = work.identity.refuse(number, actor=_actor(actor), reason=reason)
        show_steward.answer(done, as_json=as_json)


# --- questions -------------------------------------------------------------------------------------------------------


@review_commands.command("list")
def list_questions(
    *,
    reason: Annotated[str | None, typer.Option("--reason", help="Only with this reason, as listed.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many.")] = 50,
    include_sealed: SealedOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show open questions."""
    from mdm.store.questions import questions

    with _reading(store, include_sealed=include_sealed) as (connection, hidden):
        found, total = questions(connection, reason=reason, limit=limit, hidden=hidden)
        if as_json:
            print_json({"questions": [asdict(question) for question in found], "total": total})
        else:
            show_steward.questions(found, total)


@review_commands.command("show")
def show_question(
    number: Annotated[int, typer.Argument(help="Number of the question.")],
    *,
    include_sealed: SealedOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one question with its records."""
    from mdm.store.questions import question

    with _reading(store, include_sealed=include_sealed) as (connection, hidden):
        found = question(connection, number, hidden=hidden)
        if as_json:
            print_json(asdict(found))
        else:
            show_steward.question(found)


@review_commands.command("decide")
def decide_question(
    number: Annotated[int, typer.Argument(help="Number of the question.")],
    verdict: Annotated[Verdict, typer.Argument(help="One person, two people, or nothing to decide.")],
    *,
    reason: ReasonOption,
    survivor: SurvivorOption = None,
    version: Annotated[
        int | None, typer.Option("--version", help="Refuse if the question has changed since.")
    ] = None,
    preview: PreviewOption = False,
    actor: ActorOption = None,
    key: KeyOption = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Answer a question: `same` merges, `different` keeps apart for ever, `dismissed` only closes it."""
    with _at_work(store) as work:
        command = DecideReview(
            review=number,
            verdict=verdict,
            survivor=None if survivor is None else work.entity(survivor),
            version=version,
        )
        work.do(command, reason=reason, actor=actor, key=key, preview=preview, as_json=as_json)


# --- at work ---------------------------------------------------------------------------------------------------------


class _Work:
    def __init__(self, settings: Settings, identity: Identity) -> None:
        self.settings, self.identity = settings, identity

    def entity(self, name: str) -> str:
        """The entity that a name leads to now. An ID is taken as it is, so that a request means the same when it is repeated."""
        from mdm.store.engine import reading
        from mdm.store.resolving import parse_name, resolve_one

        given = parse_name(name)
        if given.kind == "entity":
            return given.value
        with reading(self.settings) as connection:
            return resolve_one(connection, given).entity_id

    def record(self, name: str) -> int:
        from mdm.store.engine import reading
        from mdm.store.references import find_record

        registry, mark, local_id = name.partition("/")
        if not mark:
            raise InputError("a record is named by REGISTRY/LOCAL_ID")
        with reading(self.settings) as connection:
            return find_record(connection, registry, local_id)

    def do(
        self,
        command: Command,
        *,
        reason: str,
        actor: str | None,
        key: str | None,
        as_json: bool,
        preview: bool = False,
    ) -> None:
        if preview:
            show_steward.preview(self.identity.preview(command), as_json=as_json)
            return
        done: Answer = self.identity.carry_out(command, actor=_actor(actor), reason=reason, key=key)
        show_steward.answer(done, as_json=as_json)


@contextmanager
def _at_work(store: str | None) -> Iterator[_Work]:
    from mdm.stewardship.service import Identity
    from mdm.store.schema import require

    with plain_errors():
        settings = load_settings(store)
        require(settings)
        identity = Identity(settings)
        try:
            yield _Work(settings, identity)
        finally:
            identity.close()


@contextmanager
def _reading(
    store: str | None, *, include_sealed: bool = False
) -> Iterator[tuple[Connection, frozenset[str]]]:
    """A connection, and the registries whose records may not be shown."""
    from mdm.registries.attributes import load_attributes
    from mdm.registries.declaration import load_registries
    from mdm.store.engine import reading
    from mdm.store.schema import require

    with plain_errors():
        settings = load_settings(store)
        require(settings)
        registries = load_registries(
            settings.registries_folder, attributes=load_attributes(settings.attributes_file)
        )
        sealed = {code for code, declared in registries.items() if declared.sensitivity == "sealed"}
        with reading(settings) as connection:
            yield connection, frozenset() if include_sealed else frozenset(sealed)


def _actor(given: str | None) -> str:
    if given:
        return given
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise InputError(
            "this system does not tell who you are", hint="Give --actor NAME, or set MDM_ACTOR."
        ) from error


def _versions(given: list[str] | None) -> dict[str, int]:
    versions = {}
    for text in given or []:
        name, mark, version = text.partition("=")
        if not mark or not version.isdecimal():
            raise InputError("--expect takes ID=VERSION", hint="`mdm entity show` tells both.")
        versions[name] = int(version)
    return versions
