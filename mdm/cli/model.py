"""`mdm model`: train candidates, compare them with the current model, promote one, go back."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mdm.cli.terminal import (
    JsonOption,
    StoreOption,
    err,
    number,
    opened_store,
    out,
    print_json,
    progress_bars,
    table,
)

if TYPE_CHECKING:
    from matching.artefact import LabelReport, TrainedModel
    from mdm.pipeline.model_comparison import Comparison
    from mdm.store.models import KeptModel

model_commands = typer.Typer(
    help="The models by which people are matched: train, compare, promote, roll back.", no_args_is_help=True
)
ModelArgument = Annotated[
    str | None,
    typer.Argument(metavar="MODEL", help="First letters of its hash [default: the latest candidate]."),
]
ActorOption = Annotated[str, typer.Option("--actor", help="Who does it.")]
ReasonOption = Annotated[str, typer.Option("--reason", help="Why; it stands in the log.")]
YesOption = Annotated[
    bool,
    typer.Option("--yes", help="Even if people with a social-security number would be matched otherwise."),
]
_SHORT = 12


@model_commands.command("list")
def list_all(*, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """List all models, oldest first."""
    from mdm.pipeline.models import list_models

    with opened_store(store) as settings:
        listed = list_models(settings)
        if as_json:
            print_json([asdict(row) for row in listed])
            return
        shown = table("Models", "Model", "Trained", "State", "Promoted", "By", "Reason")
        for row in listed:
            promotion = row.promotion
            told = (promotion.at, promotion.actor, promotion.reason) if promotion else ("", "", "")
            shown.add_row(row.model.hash[:_SHORT], row.model.created_at, row.model.state, *told)
        out.print(shown)


@model_commands.command("show")
def show_one(
    model: Annotated[str, typer.Argument(metavar="MODEL", help="First letters of its hash.")] = "current",
    *,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show what a model has learnt: the weight of each level of each comparison."""
    from mdm.pipeline.models import find_model, load_kept

    with opened_store(store) as settings:
        kept = find_model(settings, model)
        trained = load_kept(settings, kept.hash)
        if as_json:
            print_json({**asdict(kept), **_told(trained)})
        else:
            _show(kept, trained)


@model_commands.command("train")
def train(
    *,
    actor: ActorOption = "operator",
    reason: ReasonOption = "trained",
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Train a candidate on the records in the store, by the declaration in the configs. The current model stays."""
    from mdm.pipeline.models import train_candidate

    with opened_store(store) as settings:
        with err.status("Training"):
            made = train_candidate(settings, actor=actor, reason=reason)
        trained = made.trained
        if as_json:
            print_json(
                {
                    "hash": trained.hash,
                    "new": made.new,
                    "records": trained.records,
                    "untrained": trained.untrained,
                    "labels": {**asdict(made.labels), "used": made.labels.used},
                }
            )
            return
        out.print(_told_labels(made.labels))
        if made.new:
            out.print(
                f"Candidate {trained.hash[:_SHORT]}, trained on {trained.records:,} records.\n"
                "Next: mdm model compare, then mdm model promote --reason ..."
            )
        else:
            out.print(f"The outcome is model {trained.hash[:_SHORT]}, which the store has already.")


@model_commands.command("compare")
def compare_(model: ModelArgument = None, *, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Score and cluster all records with a candidate and with the current model, and tell what would differ. Changes nothing."""
    from mdm.pipeline.model_comparison import compare
    from mdm.pipeline.models import find_model

    with opened_store(store) as settings:
        kept = find_model(settings, model)
        with progress_bars() as bars:
            found = compare(settings, kept.hash, progress=bars)
        if as_json:
            print_json(found.as_dict())
        else:
            _show_comparison(found)


@model_commands.command("promote")
def promote_(
    model: ModelArgument = None,
    *,
    reason: ReasonOption,
    actor: ActorOption = "operator",
    yes: YesOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make a model the one that `mdm run` uses from the next run on. It is compared with the current one first."""
    from mdm.pipeline.models import find_model, promote

    with opened_store(store) as settings:
        kept = find_model(settings, model)
        with progress_bars() as bars:
            touched = promote(settings, kept.hash, actor=actor, reason=reason, sure=yes, progress=bars)
        _done(kept.hash, touched, as_json=as_json)


@model_commands.command("rollback")
def rollback(
    *,
    reason: ReasonOption,
    actor: ActorOption = "operator",
    yes: YesOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Go back to the model that was current before the last promotion."""
    from mdm.pipeline.models import go_back

    with opened_store(store) as settings:
        with progress_bars() as bars:
            former, touched = go_back(settings, actor=actor, reason=reason, sure=yes, progress=bars)
        _done(former, touched, as_json=as_json)


def _done(current: str, touched: int | None, *, as_json: bool) -> None:
    if as_json:
        print_json({"current": current, "touched": touched})
    else:
        out.print(f"{current[:_SHORT]} is the current model. The next mdm run uses it, over all records.")


def _told_labels(labels: LabelReport) -> str:
    told = f"Stewards' answers: {labels.same:,} one person, {labels.different:,} two people"
    if labels.loss_with is None:
        return f"{told}; {min(labels.same, labels.different)} of {labels.least} needed of each. They change nothing yet."
    figures = f"log loss {labels.loss_without:.3f} bits without them, {labels.loss_with:.3f} with"
    outcome = "The weights are corrected by them" if labels.used else "They change nothing"
    return f"{told}. {outcome}: {figures} (each foretold by the others)."


def _told(trained: TrainedModel) -> dict[str, object]:
    labels = trained.labels
    return {
        "prior": trained.prior,
        "prior_correction": trained.prior_correction,
        "labels": {**asdict(labels), "used": labels.used} if labels else None,
        "records": trained.records,
        "untrained": trained.untrained,
        "thresholds": trained.declaration.thresholds.model_dump(),
        "comparisons": {
            name: [{**asdict(level), "weight": level.weight} for level in levels]
            for name, levels in trained.parameters.items()
        },
    }


def _show(kept: KeptModel, trained: TrainedModel) -> None:
    thresholds = trained.declaration.thresholds
    out.print(
        f"Model {kept.hash}, {kept.state}, trained {kept.created_at} on {trained.records:,} records.\n"
        f"Two records at random are one person with probability {trained.prior:.3g}. "
        f"Bits to link {thresholds.link:g}, to ask {thresholds.review:g}, to keep {thresholds.keep:g}."
    )
    corrected = trained.labels is not None and trained.labels.used
    if trained.labels:
        out.print(_told_labels(trained.labels))
    if corrected:
        out.print(f"They add {trained.prior_correction:+.2f} bits to every pair.")
    more = ("By answers",) if corrected else ()
    shown = table(
        "Comparisons",
        "Comparison",
        "Level",
        "m",
        "u",
        "Weight (bits)",
        *more,
        right=(2, 3, 4, 5)[: 3 + len(more)],
    )
    for comparison in trained.declaration.comparisons:
        untrained = " (not trained)" if comparison.name in trained.untrained else ""
        for place, learnt in enumerate(trained.parameters[comparison.name]):
            name = f"{comparison.name}{untrained}" if place == 0 else ""
            level = comparison.levels[place].model_dump(
                exclude_none=True, exclude={"m", "u", "term_frequency"}
            )
            told = ", ".join(f"{key} {value}" for key, value in level.items())
            moved = (f"{learnt.correction:+.2f}" if learnt.correction else "",) if corrected else ()
            shown.add_row(name, told, f"{learnt.m:.4g}", f"{learnt.u:.4g}", f"{learnt.weight:+.2f}", *moved)
    out.print(shown)


def _show_comparison(found: Comparison) -> None:
    shown = table("What would change", "Measure", "Value", right=(1,))
    shown.add_row("records", number(found.records))
    shown.add_row("clusters, current model", number(found.clusters_before))
    shown.add_row("clusters, candidate", number(found.clusters_after))
    for kind, count in found.changed.items():
        shown.add_row(f"groups of clusters {kind}", number(count))
    shown.add_row("people whose records they are", number(found.people))
    shown.add_row("… with a social-security number", number(found.numbers), style="bold")
    for kind, count in found.numbers_by_kind.items():
        shown.add_row(f"   {kind}", number(count))
    for title, reasons in (("raised", found.reviews_raised), ("dropped", found.reviews_dropped)):
        shown.add_row(f"questions {title}", number(sum(reasons.values())))
        for reason, count in reasons.items():
            shown.add_row(f"   {reason}", number(count))
    edges = found.edges
    for name in ("gained", "lost", "kept", "linked", "unlinked"):
        shown.add_row(f"edges {name}", number(getattr(edges, name)))
    shown.add_row("mean change of weight (bits)", f"{edges.mean_change:+.3f}")
    shown.add_row("mean absolute change", f"{edges.mean_absolute_change:.3f}")
    out.print(shown)
    if found.examples:
        examples = table("Examples", "Kind", "Entities", "Records", "With a number", right=(2, 3))
        for example in found.examples:
            examples.add_row(
                example.kind, "\n".join(example.entities), number(example.records), number(example.numbers)
            )
        out.print(examples)
    out.print(
        "People with a number are not split or joined by a run: such changes become questions for stewards."
    )
