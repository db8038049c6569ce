"""`mdm review` and `mdm approval`: what waits for a person."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mdm.cli import show_steward
from mdm.cli.at_work import (
    ActorOption,
    Desk,
    KeyOption,
    LanguageOption,
    PreviewOption,
    ReasonOption,
    SurvivorOption,
    at_work,
    reading_desk,
    who,
)
from mdm.cli.terminal import JsonOption, SealedOption, StoreOption, print_json
from mdm.identity.commands import DecideReview, Verdict

if TYPE_CHECKING:
    from matching.explain import Explanation
    from mdm.store.questions import Question

approval_commands = typer.Typer(help="Requests that a second person must approve.", no_args_is_help=True)
review_commands = typer.Typer(help="Questions that the matching leaves to a person.", no_args_is_help=True)


# --- four eyes -------------------------------------------------------------------------------------------------------


@approval_commands.command("list")
def list_requests(*, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show open requests."""
    from mdm.store.questions import requests

    with reading_desk(store) as desk:
        found = requests(desk.connection)
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
    with at_work(store) as work:
        show_steward.answer(work.identity.approve(number, actor=who(actor)), as_json=as_json)


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
    with at_work(store) as work:
        done = work.identity.refuse(number, actor=who(actor), reason=reason)
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

    with reading_desk(store, include_sealed=include_sealed) as desk:
        found, total = questions(desk.connection, reason=reason, limit=limit, hidden=desk.hidden)
        if as_json:
            print_json({"questions": [asdict(question) for question in found], "total": total})
        else:
            show_steward.questions(found, total)


@review_commands.command("show")
def show_question(
    number: Annotated[int, typer.Argument(help="Number of the question.")],
    *,
    language: LanguageOption = "en",
    include_sealed: SealedOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show one question with its records, and why it is asked."""
    from mdm.store.questions import question

    with reading_desk(store, include_sealed=include_sealed) as desk:
        found = question(desk.connection, number, hidden=desk.hidden)
        why = _explained(desk, found)
        if as_json:
            sentences = None if why is None else {name: why.sentence(name) for name in ("vi", "en")}
            print_json({**asdict(found), "sentence": sentences})
        else:
            show_steward.question(found, None if why is None else why.sentence(language))


def _explained(desk: Desk, found: Question) -> Explanation | None:
    """Where the question is about two records, and both stand and may be shown."""
    if len(found.records) != 2 or found.hidden_records or any(h.entity_id is None for h in found.records):
        return None
    return desk.explainer().explain(desk.connection, *(held.record.record for held in found.records))


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
    with at_work(store) as work:
        command = DecideReview(
            review=number,
            verdict=verdict,
            survivor=None if survivor is None else work.entity(survivor),
            version=version,
        )
        work.do(command, reason=reason, actor=actor, key=key, preview=preview, as_json=as_json)
