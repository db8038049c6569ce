"""`mdm index`: what single records are matched by."""

from __future__ import annotations

from mdm.cli.terminal import JsonOption, StoreOption, opened_store, out, print_json, progress_bars


def index(*, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Make the match index anew, by which the server matches single records. Runs keep it from then on."""
    from mdm.pipeline.indexing import make_index

    with opened_store(store) as settings:
        with progress_bars() as bars:
            count = make_index(settings, progress=bars)
        if as_json:
            print_json({"records": count})
        else:
            out.print(f"Match index of {count:,} records. Runs keep it up to date.")
