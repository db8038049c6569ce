"""`mdm merge|unmerge|split|decide|withdraw` and `mdm number`: changes that people make by hand."""

from __future__ import annotations

from typing import Annotated

import typer

from mdm.cli.at_work import (
    ActorOption,
    ExpectOption,
    KeyOption,
    NameArgument,
    PreviewOption,
    ReasonOption,
    RecordArgument,
    SurvivorOption,
    at_work,
    versions_of,
)
from mdm.cli.terminal import JsonOption, StoreOption
from mdm.identity.commands import (
    AssignNumber,
    ChangeNumber,
    Decide,
    DecisionKind,
    Merge,
    ReserveNumbers,
    Revoke,
    Split,
    Unmerge,
)
from mdm.identity.numbers import NumberState, Reason

number_commands = typer.Typer(
    help="Social-security numbers by hand: reserve, assign, change.", no_args_is_help=True
)


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
    with at_work(store) as work:
        command = Merge(
            left=work.entity(left),
            right=work.entity(right),
            survivor=None if survivor is None else work.entity(survivor),
            expected=versions_of(expect),
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
    with at_work(store) as work:
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
    with at_work(store) as work:
        command = Split(
            entity=work.entity(name),
            records=tuple(work.record(record) for record in records),
            expected=versions_of(expect),
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
    with at_work(store) as work:
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
    with at_work(store) as work:
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
    with at_work(store) as work:
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
    with at_work(store) as work:
        command = AssignNumber(number=number, entity=work.entity(name), expected=versions_of(expect))
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
    with at_work(store) as work:
        command = ChangeNumber(number=number, state=state, reason=code)
        work.do(command, reason=reason, actor=actor, key=key, preview=preview, as_json=as_json)
