"""`mdm backup` and `mdm restore`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mdm.cli.terminal import (
    JsonOption,
    StoreOption,
    confirm_overwrite,
    err,
    load_settings,
    out,
    plain_errors,
    print_json,
    progress_bars,
)
from mdm.pipeline.progress import share_of


def backup(
    *,
    path: Annotated[Path, typer.Option("--out", help="File to write.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Write the whole store to one file, also while others work with it. The secret keys are not in it."""
    from mdm.store.backup import backup as write

    with plain_errors():
        settings = load_settings(store)
        confirm_overwrite(path, force=force)
        with err.status("Writing the backup"):
            manifest = write(settings, path)
        if as_json:
            print_json(manifest.model_dump(mode="json"))
        else:
            out.print(f"{manifest.store.events:,} events, {manifest.content.size:,} bytes in {path}")
            out.print("The secret keys are not in it: keep a copy of them in another place.")


def restore(
    path: Annotated[Path, typer.Argument(metavar="FILE", help="A file that `mdm backup` wrote.")],
    *,
    force: Annotated[bool, typer.Option("--force", help="Replace a store that is there.")] = False,
    skip_numbers: Annotated[
        int | None,
        typer.Option(
            "--skip-numbers",
            min=0,
            help="Pass over so many numbers of each kind, more than were issued after the backup; where nothing else tells.",
        ),
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Make the store what it was at a backup. Until all is checked and written, the present one stays."""
    from mdm.store.backup import restore as read

    with plain_errors():
        settings = load_settings(store)
        with progress_bars() as bars, share_of(bars, "restore") as tell:
            restored = read(settings, path, force=force, skip_numbers=skip_numbers, tell=tell)
        manifest = restored.manifest
        if as_json:
            shown = {
                "missing_keys": restored.missing_keys,
                "older_schema": restored.older_schema,
                "numbers_known": restored.numbers_known,
            }
            print_json({**manifest.model_dump(mode="json"), **shown})
        else:
            out.print(f"The store is as it was at {manifest.made_at}: {manifest.store.events:,} events.")
            out.print(
                "Next: mdm init (the schema is an older one)" if restored.older_schema else "Next: mdm verify"
            )
        if not restored.numbers_known:
            err.print(
                "[bold yellow]Warning[/] Nothing tells which numbers were issued after the backup, so none can be issued. Restore"
                " with the mark beside the SSN key in its place, or with --skip-numbers N.",
                soft_wrap=True,
            )
        if restored.missing_keys:
            err.print(
                f"[bold yellow]Warning[/] Not in its place: {' and '.join(restored.missing_keys)}. Bring it back from where it is"
                " kept before the next run.",
                soft_wrap=True,
            )
