"""`mdm evaluate`: against the truth of a simulation, or by a sample of pairs that clerks judge."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mdm.cli import show_evaluation
from mdm.cli.terminal import (
    JsonOption,
    SealedOption,
    StoreOption,
    confirm_overwrite,
    err,
    opened_store,
    out,
    print_json,
)
from mdm.errors import InputError
from mdm.settings import Settings


def evaluate(
    *,
    truth: Annotated[
        Path | None,
        typer.Option("--truth", help="The folder that `mdm simulate` wrote: compare with its truth."),
    ] = None,
    blocking: Annotated[
        bool,
        typer.Option("--blocking", help="With --truth: also measure what each blocking rule finds (slower)."),
    ] = False,
    sample_out: Annotated[
        Path | None,
        typer.Option(
            "--sample-out",
            help="Draw pairs for clerks to judge and write them to this .csv or .xlsx file. It holds personal data: keep it as such.",
        ),
    ] = None,
    size: Annotated[int, typer.Option("--size", min=1, help="With --sample-out: pairs to draw.")] = 600,
    seed: Annotated[
        int, typer.Option("--seed", min=0, help="With --sample-out: the same seed draws the same pairs.")
    ] = 1,
    sample: Annotated[
        Path | None,
        typer.Option(
            "--sample", help="The file with answers (same_person: yes, no, unsure): estimate from it."
        ),
    ] = None,
    earlier_run: Annotated[
        bool, typer.Option("--earlier-run", help="With --sample: take a sample of a run before the latest.")
    ] = False,
    include_sealed: SealedOption = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file of --sample-out.")] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """How good the linkage is: against the truth of a simulation, or, without truth, estimated from pairs that clerks judged.

    Without truth: --sample-out draws the pairs, clerks fill in the column same_person, --sample gives precision and recall with
    95% intervals. Sealed registries are left out unless --include-sealed.
    """
    with opened_store(store) as settings:
        given = [path for path in (truth, sample_out, sample) if path is not None]
        if len(given) != 1:
            raise InputError("give one of --truth, --sample-out and --sample")
        if truth is not None:
            _against_truth(settings, truth, blocking=blocking, as_json=as_json)
        elif sample is not None:
            _by_sample(settings, sample, earlier_run=earlier_run, as_json=as_json)
        elif sample_out is not None:
            confirm_overwrite(sample_out, force=force)
            _draw(settings, sample_out, size=size, seed=seed, include_sealed=include_sealed, as_json=as_json)


def _against_truth(settings: Settings, truth: Path, *, blocking: bool, as_json: bool) -> None:
    from mdm.pipeline.evaluation import anchor_of
    from mdm.pipeline.evaluation import evaluate as evaluate_store
    from mdm.registries.declaration import load_registries

    anchor = anchor_of(load_registries(settings.registries_folder))
    with err.status("Evaluating"):
        result = evaluate_store(settings, truth, anchor=anchor, blocking=blocking)
    if as_json:
        print_json(result.as_dict())
    else:
        show_evaluation.evaluation(result)


def _by_sample(settings: Settings, sample: Path, *, earlier_run: bool, as_json: bool) -> None:
    from mdm.pipeline.evaluation.by_sample import evaluate_reviews

    result = evaluate_reviews(settings, sample, earlier_run=earlier_run)
    if as_json:
        print_json(result.as_dict())
    else:
        show_evaluation.estimates(result)


def _draw(
    settings: Settings, path: Path, *, size: int, seed: int, include_sealed: bool, as_json: bool
) -> None:
    from dataclasses import asdict

    from mdm.pipeline.evaluation.sample import draw_reviews
    from mdm.registries.attributes import load_attributes
    from mdm.registries.declaration import load_registries

    attributes = load_attributes(settings.attributes_file)
    registries = load_registries(settings.registries_folder, attributes=attributes)
    with err.status("Drawing pairs"):
        design = draw_reviews(
            settings,
            path,
            size=size,
            seed=seed,
            attributes=attributes,
            registries=registries,
            include_sealed=include_sealed,
        )
    if as_json:
        print_json({**asdict(design), "file": str(path)})
    else:
        out.print(
            f"{design.size:,} of {sum(design.pairs):,} pairs written to {path}. It holds personal data.\n"
            f"Fill in the column same_person (yes, no, unsure), then: mdm evaluate --sample {path}"
        )
