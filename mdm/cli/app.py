"""Commands of the engine. Each one is thin: it reads options, calls the product, and shows the outcome."""

from __future__ import annotations

from dataclasses import asdict
from datetime import date
from pathlib import Path
from typing import Annotated

import typer

from mdm.cli import show
from mdm.cli.access import key_commands, user_commands
from mdm.cli.backup import backup, restore
from mdm.cli.entity import entity_commands
from mdm.cli.evaluate import evaluate
from mdm.cli.explain import explain
from mdm.cli.index import index
from mdm.cli.log import log_commands
from mdm.cli.model import model_commands
from mdm.cli.openlineage import openlineage
from mdm.cli.quarantine import quarantine_commands
from mdm.cli.registry import registry_commands
from mdm.cli.reviews import approval_commands, review_commands
from mdm.cli.serve import serve
from mdm.cli.steward import decide, merge, number_commands, split, unmerge, withdraw
from mdm.cli.terminal import (
    AsOfOption,
    JsonOption,
    SealedOption,
    StoreOption,
    confirm_overwrite,
    err,
    load_settings,
    opened_store,
    out,
    plain_errors,
    print_json,
    progress_bars,
)
from mdm.cli.webhooks import events, webhook_commands
from mdm.errors import InputError, VerificationError
from mdm.pipeline import Export
from mdm.pipeline.progress import share_of

app = typer.Typer(
    name="mdm",
    help="Master data management and entity resolution for a national social-security database.",
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
_BY_HAND = "Changes by hand"
_SERVER = "The HTTP API"
app.add_typer(registry_commands, name="registry")
app.add_typer(quarantine_commands, name="quarantine")
app.add_typer(log_commands, name="log")
app.add_typer(model_commands, name="model")
app.command()(backup)
app.command()(restore)
app.command()(evaluate)
app.add_typer(entity_commands, name="entity")
app.command()(explain)
app.add_typer(review_commands, name="review", rich_help_panel=_BY_HAND)
app.add_typer(approval_commands, name="approval", rich_help_panel=_BY_HAND)
app.add_typer(number_commands, name="number", rich_help_panel=_BY_HAND)
for command in (merge, unmerge, split, decide, withdraw):
    app.command(rich_help_panel=_BY_HAND)(command)
app.command()(openlineage)
app.command(rich_help_panel=_SERVER)(serve)
app.command(rich_help_panel=_SERVER)(index)
app.add_typer(key_commands, name="key", rich_help_panel=_SERVER)
app.add_typer(user_commands, name="user", rich_help_panel=_SERVER)
app.command(rich_help_panel=_SERVER)(events)
app.add_typer(webhook_commands, name="webhooks", rich_help_panel=_SERVER)

PeopleOption = Annotated[
    int, typer.Option("--people", min=1, help="People alive at the end of the simulation.")
]
SeedOption = Annotated[
    int, typer.Option("--seed", min=0, help="The same seed gives the same files, byte for byte.")
]


@app.command()
def init(*, store: StoreOption = None) -> None:
    """Create the store (or bring its schema up to date) and its secret keys: of the SSN numbers and of the log."""
    from mdm.store.engine import bulk
    from mdm.store.keys import log_public_key, make_key, make_log_key
    from mdm.store.schema import create

    with plain_errors():
        settings = load_settings(store)
        new = create(settings)
        key, log_key = make_key(settings), make_log_key(settings)
        with bulk(settings) as opened:
            public_key = log_public_key(settings, opened)
        out.print(
            f"Store {'created' if new else 'is up to date'}: {settings.store_file if settings.is_sqlite else 'PostgreSQL'}"
        )
        if key:
            out.print(
                f"SSN key created: {settings.key_file}. Back it up apart from the store: without it no new number can be issued."
            )
        if log_key:
            out.print(
                f"Log key created: {settings.log_key_file}. Back it up apart from the store: without it the log cannot be signed."
            )
        out.print("Public key of the log, for those who verify proofs:")
        typer.echo(public_key)


@app.command()
def simulate(
    *,
    people: PeopleOption = 20_000,
    seed: SeedOption = 1,
    out_folder: Annotated[
        Path, typer.Option("--out", help="Folder for the deliveries and, aside, the truth.")
    ],
    config: Annotated[
        Path | None, typer.Option("--config", help="Settings file [default: configs/simulation.yaml].")
    ] = None,
    profile: Annotated[
        str | None, typer.Option("--profile", help="How faulty the offices are: mild, default or hard.")
    ] = None,
    as_json: JsonOption = False,
) -> None:
    """Simulate a population and the files that every registry would send of it."""
    from mdm.simulation.settings import load_simulation_settings
    from mdm.simulation.simulate import simulate as simulate_files

    with plain_errors():
        settings = load_simulation_settings(config or load_settings().configs / "simulation.yaml")
        if profile is not None:
            settings = settings.with_profile(profile)
        with progress_bars() as bars, share_of(bars, "simulate") as tell:
            summary = simulate_files(
                people=people,
                seed=seed,
                out=out_folder,
                settings=settings,
                progress=lambda step, done: tell(done, step),
            )
        if as_json:
            print_json(
                {
                    "people": summary.people,
                    "rows": dict(summary.rows),
                    "rejects": summary.rejects,
                    "out": str(summary.out),
                }
            )
        else:
            show.simulation(summary)


@app.command()
def ingest(
    paths: Annotated[
        list[Path], typer.Argument(help="The folder of a delivery; or, with --registry, files.")
    ],
    *,
    registry: Annotated[
        str | None, typer.Option("--registry", help="The registry that the files are of.")
    ] = None,
    delivered: Annotated[
        str | None,
        typer.Option(
            "--date", metavar="YYYY-MM-DD", help="Day of the delivery, where its files do not tell it."
        ),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Read files of the registries into the store. What cannot be accepted goes to quarantine with a reason."""
    from mdm.pipeline.ingest import Ingest

    with opened_store(store) as settings:
        with progress_bars() as bars:
            ingest_ = Ingest(settings, delivered_on=_day(delivered), progress=bars)
            if registry is not None:
                report = ingest_.files(registry, paths)
            else:
                if len(paths) != 1:
                    raise InputError("give one folder, or --registry NAME and files")
                report = ingest_.folder(paths[0])
        if as_json:
            print_json(
                {
                    "registries": {code: asdict(counts) for code, counts in report.by_registry().items()},
                    "already_landed": [file.file for file in report.files if file.already],
                    "failed": [
                        {"registry": f.registry, "file": f.file, "error": f.error} for f in report.failed
                    ],
                    "unmatched": report.unmatched,
                }
            )
        else:
            show.ingest(report)
        if report.failed:
            raise typer.Exit(InputError.exit_code)


@app.command()
def run(
    *,
    force: Annotated[
        bool, typer.Option("--force", help="Run even if nothing has changed since the last run.")
    ] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Match, cluster, reconcile, compute golden records and issue numbers. A run that was stopped goes on where it was."""
    from mdm.pipeline.run import run as run_batch

    with opened_store(store) as settings:
        with progress_bars() as bars:
            report = run_batch(settings, force=force, progress=bars)
        if as_json:
            print_json(
                {
                    "run": report.run_id,
                    "nothing_to_do": report.nothing_to_do,
                    "model_waits": report.waiting,
                    "resumed": report.resumed,
                    "changed_anything": report.changed_anything,
                    "steps": [asdict(step) for step in report.steps],
                }
            )
        else:
            show.run(report)


@app.command()
def demo(
    *,
    people: PeopleOption = 20_000,
    seed: SeedOption = 7,
    out_folder: Annotated[
        Path,
        typer.Option("--out", help="Folder for files, store and report; an earlier demo there is replaced."),
    ] = Path("demo"),
    profile: Annotated[
        str, typer.Option("--profile", help="How faulty the offices are: mild, default or hard.")
    ] = "default",
) -> None:
    """The whole job on simulated registries: simulate, ingest, match, cluster, golden records, numbers, evaluation, report."""
    from mdm.pipeline.demo import run_demo

    with plain_errors():
        with progress_bars() as bars:
            result = run_demo(people=people, seed=seed, folder=out_folder, profile=profile, progress=bars)
        show.demo(result)


@app.command()
def export(
    what: Annotated[Export, typer.Argument(help="crosswalk, golden, households or quarantine")],
    *,
    path: Annotated[Path, typer.Option("--out", help="File to write: .parquet or .csv")],
    as_of: AsOfOption = None,
    include_sealed: SealedOption = False,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    store: StoreOption = None,
) -> None:
    """Write canonical IDs (crosswalk), golden records, households or quarantined rows to a file, as they are or were."""
    from mdm.pipeline.export import export as export_file
    from mdm.registries.attributes import load_attributes
    from mdm.registries.declaration import load_registries

    with opened_store(store) as settings:
        confirm_overwrite(path, force=force)
        attributes = load_attributes(settings.attributes_file)
        registries = load_registries(settings.registries_folder, attributes=attributes)
        with err.status(f"Writing {what}"):
            rows = export_file(
                settings,
                what,
                path,
                attributes=attributes,
                registries=registries,
                include_sealed=include_sealed,
                as_of=as_of,
            )
        out.print(f"{rows:,} rows written to {path}")


@app.command()
def verify(*, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Prove that the store is what its events say; the first thing that is wrong is named."""
    from mdm.pipeline.verify import verify as verify_store

    with opened_store(store) as settings:
        with err.status("Verifying") as status:
            checks = verify_store(settings, tell=lambda name: status.update(f"Verifying {name}"))
        if as_json:
            print_json([asdict(check) for check in checks])
        else:
            show.checks(checks)
        wrong = next((check for check in checks if check.wrong), None)
        if wrong is not None:
            raise VerificationError(
                f"{wrong.name}: {wrong.wrong}",
                hint="Stop writing to this store and compare it with its last good backup.",
            )


def _day(text: str | None) -> date | None:
    if text is None:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise InputError(f"`{text}` is not a day", where="--date", hint="Write it as YYYY-MM-DD.") from error
