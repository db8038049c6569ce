"""`mdm entity`: one person or household, now or as of a past moment, and where everything about it comes from."""

from __future__ import annotations

from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from mdm.cli import show_entity
from mdm.cli.terminal import (
    AsOfOption,
    JsonOption,
    SealedOption,
    StoreOption,
    confirm_overwrite,
    opened_store,
    out,
    print_json,
)
from mdm.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from mdm.registries.attributes import Attributes
    from mdm.registries.declaration import RegistryDeclaration
    from mdm.store.moments import Moment
    from mdm.store.resolving import Name, Resolved

entity_commands = typer.Typer(
    help="One person: as it is or was, what happened to it, where its values come from.", no_args_is_help=True
)
NameArgument = Annotated[
    str,
    typer.Argument(
        metavar="NAME",
        help="An entity's ID, a social-security or temporary number, REGISTRY/LOCAL_ID, or SCHEME:NUMBER (personal_id:...).",
    ),
]


@entity_commands.command("show")
def show_one(
    name: NameArgument,
    *,
    as_of: AsOfOption = None,
    include_sealed: SealedOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show its standing, golden record, records and numbers. Of a merged one: the one that stands for it."""
    from mdm.store.history import entity_at

    with _asked(name, as_of=as_of, include_sealed=include_sealed, store=store) as asked:
        found = entity_at(asked.connection, asked.resolved.entity_id, asked.moment, hidden=asked.hidden)
        if as_json:
            print_json({**asdict(found), "chain": _chain(asked)})
        else:
            show_entity.chain(asked.resolved)
            show_entity.entity(found)


@entity_commands.command("history")
def tell_history(
    name: NameArgument,
    *,
    language: Annotated[Literal["vi", "en"], typer.Option("--lang", help="Language of the words.")] = "en",
    as_of: AsOfOption = None,
    include_sealed: SealedOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell every event that named or touched it, in order. Of a merged one: its own events, until the merge."""
    from mdm.store.history import history

    with _asked(name, as_of=as_of, include_sealed=include_sealed, store=store) as asked:
        happened = history(
            asked.connection,
            asked.named,
            asked.moment,
            attributes=asked.attributes.person,
            hidden=asked.hidden,
        )
        if as_json:
            print_json(
                {
                    "chain": _chain(asked),
                    "entity_id": asked.named,
                    "events": [asdict(event) for event in happened],
                }
            )
        else:
            show_entity.chain(asked.resolved)
            show_entity.happened(happened, language=language)


@entity_commands.command("lineage")
def tell_lineage(
    name: NameArgument,
    *,
    attribute: Annotated[
        str | None, typer.Option("--attribute", help="Only of this golden value, or group of values.")
    ] = None,
    as_of: AsOfOption = None,
    include_sealed: SealedOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Tell where its golden values come from and why its records belong to it; of a REGISTRY/LOCAL_ID, why that record does."""
    from mdm.store.history import entity_at
    from mdm.store.lineage import value_lineages
    from mdm.store.membership_lineage import membership_lineage

    with _asked(name, as_of=as_of, include_sealed=include_sealed, store=store) as asked:
        entity_id, hidden = asked.resolved.entity_id, asked.hidden
        found = entity_at(asked.connection, entity_id, asked.moment, hidden=hidden)
        values = []
        if found.golden is not None or attribute is not None:
            values = value_lineages(
                asked.connection,
                entity_id,
                asked.moment,
                registries=asked.registries,
                hidden=hidden,
                only=attribute,
            )
        of_one = asked.name.kind == "record"
        members = [
            membership_lineage(asked.connection, member.record, asked.moment, hidden=hidden)
            for member in (found.members if attribute is None else [])
            if not of_one or (member.registry, member.local_id) == (asked.name.within, asked.name.value)
        ]
        if as_json:
            print_json(
                {
                    "chain": _chain(asked),
                    "entity_id": entity_id,
                    "members": [asdict(member) for member in members],
                    "values": [asdict(value) for value in values],
                }
            )
        else:
            show_entity.chain(asked.resolved)
            show_entity.values(values)
            show_entity.memberships(members)


@entity_commands.command("prov")
def write_prov(
    name: NameArgument,
    *,
    values: Annotated[
        bool,
        typer.Option("--values", help="Also personal data: values, numbers, local IDs, reasons as written."),
    ] = False,
    path: Annotated[Path | None, typer.Option("--out", help="File to write [default: the terminal].")] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
    as_of: AsOfOption = None,
    include_sealed: SealedOption = False,
    store: StoreOption = None,
) -> None:
    """Write its provenance as W3C PROV-JSON. Of a merged one: its own, until the merge."""
    from mdm.store.prov import provenance

    with _asked(name, as_of=as_of, include_sealed=include_sealed, store=store) as asked:
        if path is not None:
            confirm_overwrite(path, force=force)
        document = provenance(
            asked.connection, asked.named, asked.moment, with_values=values, hidden=asked.hidden
        )
        text = document.serialize(format="json", indent=2)
        if path is None:
            typer.echo(text)
        else:
            path.write_text(f"{text}\n", encoding="utf-8")
            out.print(f"Written to {path}")


@dataclass(frozen=True)
class _Asked:
    connection: Connection
    name: Name
    moment: Moment
    resolved: Resolved
    attributes: Attributes
    registries: dict[str, RegistryDeclaration]
    hidden: frozenset[str]

    @property
    def named(self) -> str:
        """The entity that the name meant before it was merged."""
        return next(link.name for link in self.resolved.chain if link.kind == "entity")


@contextmanager
def _asked(name: str, *, as_of: str | None, include_sealed: bool, store: str | None) -> Iterator[_Asked]:
    from mdm.registries.attributes import load_attributes
    from mdm.registries.declaration import load_registries, sealed_codes
    from mdm.store.engine import reading
    from mdm.store.moments import read_moment
    from mdm.store.resolving import parse_name, resolve_one

    with opened_store(store) as settings:
        given = parse_name(name)
        attributes = load_attributes(settings.attributes_file)
        registries = load_registries(settings.registries_folder, attributes=attributes)
        hidden = frozenset() if include_sealed else sealed_codes(registries)
        if given.kind == "record" and given.within in hidden:
            raise InputError(
                f"{given.within} is a sealed registry", hint="Add --include-sealed if you may see it."
            )
        with reading(settings) as connection:
            moment = read_moment(connection, as_of)
            resolved = resolve_one(connection, given, moment)
            yield _Asked(connection, given, moment, resolved, attributes, registries, hidden)


def _chain(asked: _Asked) -> list[dict[str, Any]]:
    return [asdict(link) for link in asked.resolved.chain]
