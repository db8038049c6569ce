"""`mdm openlineage`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mdm.cli.terminal import StoreOption, confirm_overwrite, opened_store, out


def openlineage(
    run_id: Annotated[
        str | None,
        typer.Argument(
            metavar="[RUN]", help="ID of the run, as `mdm run --json` tells it [default: the latest]."
        ),
    ] = None,
    *,
    path: Annotated[Path, typer.Option("--out", help="File to write: one JSON object a line.")],
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    store: StoreOption = None,
) -> None:
    """Write the OpenLineage events of a run: what it read and wrote, step by step. No value of any row is in them."""
    from mdm.pipeline.openlineage import export_run
    from mdm.registries.attributes import load_attributes
    from mdm.registries.declaration import load_registries

    with opened_store(store) as settings:
        confirm_overwrite(path, force=force)
        attributes = load_attributes(settings.attributes_file)
        registries = load_registries(settings.registries_folder, attributes=attributes)
        count = export_run(settings, run_id, path, registries=registries)
        out.print(f"{count:,} events written to {path}")
