"""`mdm quarantine`: rows that could not be accepted; repair and replay them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mdm.cli import show
from mdm.cli.terminal import JsonOption, StoreOption, opened_store, out, print_json

quarantine_commands = typer.Typer(
    help="Rows that could not be accepted: list, repair and replay, dismiss.", no_args_is_help=True
)


@quarantine_commands.command("list")
def list_rows(
    *,
    registry: Annotated[str | None, typer.Option("--registry", help="Only of this registry.")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, help="At most so many rows.")] = 50,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show open rows: number, file, row, reason. `mdm export quarantine` writes them with their raw text."""
    from mdm.pipeline.replay import open_rows

    with opened_store(store) as settings:
        rows = open_rows(settings, registry=registry, limit=limit)
        if as_json:
            print_json(rows)
        else:
            show.quarantine(rows)


@quarantine_commands.command("replay")
def replay_rows(
    file: Annotated[
        Path,
        typer.Argument(
            help="Repaired rows: a CSV or Parquet file with columns quarantine_id and raw (as exported)."
        ),
    ],
    *,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Send repaired rows through the same mapping and validation again. Accepted ones leave the quarantine."""
    from mdm.pipeline.replay import replay

    with opened_store(store) as settings:
        counts = replay(settings, file)
        if as_json:
            print_json(counts)
        else:
            out.print(f"{counts.repaired:,} rows accepted, {counts.refused:,} still refused.")


@quarantine_commands.command("dismiss")
def dismiss_row(
    quarantine_id: Annotated[int, typer.Argument(help="Number of the row.")], *, store: StoreOption = None
) -> None:
    """Close a row that needs no repair. It is kept."""
    from mdm.pipeline.replay import dismiss

    with opened_store(store) as settings:
        dismiss(settings, quarantine_id)
        out.print(f"Row {quarantine_id} is dismissed.")
