"""`mdm explain`: why two records are thought to be one person, or two."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Literal

from rich.text import Text

from mdm.cli.at_work import LanguageOption, RecordArgument, reading_desk, record_number
from mdm.cli.terminal import JsonOption, SealedOption, StoreOption, out, print_json, table
from mdm.errors import InputError

if TYPE_CHECKING:
    from matching.explain import Explanation


def explain(
    left: RecordArgument,
    right: RecordArgument,
    *,
    language: LanguageOption = "en",
    include_sealed: SealedOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell why two records are thought to be one person or two: a sentence, and every piece of evidence with its weight."""
    from mdm.store.references import record_refs

    with reading_desk(store, include_sealed=include_sealed) as desk:
        numbers = [record_number(desk.connection, name) for name in (left, right)]
        refs = record_refs(desk.connection, numbers)
        if any(ref.registry in desk.hidden for ref in refs.values()):
            raise InputError("a record of a sealed registry", hint="Add --include-sealed if you may see it.")
        explainer = desk.explainer()
        found = explainer.explain(desk.connection, *numbers)
        if as_json:
            records = [asdict(refs[number]) for number in numbers]
            print_json({"records": records, "model": explainer.model, **found.as_dict()})
        else:
            show(found, language=language)


def show(found: Explanation, *, language: Literal["vi", "en"]) -> None:
    out.print(Text(found.sentence(language)), soft_wrap=True)
    told = found.table(language)
    shown = table("", *told.headings, right=(4,))
    for row in told.rows:
        shown.add_row(*map(Text, row))
    out.print(shown)
