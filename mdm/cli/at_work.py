"""What the commands of stewards have in common: names, options, and the gate that they go through."""

from __future__ import annotations

import getpass
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from mdm.cli import show_steward
from mdm.cli.terminal import opened_store
from mdm.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from sqlalchemy import Connection

    from mdm.identity.commands import Command
    from mdm.settings import Settings
    from mdm.stewardship.explaining import PairExplainer
    from mdm.stewardship.service import Answer, Identity

_NAME = "An entity's ID, its number, or REGISTRY/LOCAL_ID of one of its records."
NameArgument = Annotated[str, typer.Argument(metavar="NAME", help=_NAME)]
RecordArgument = Annotated[
    str, typer.Argument(metavar="RECORD", help="REGISTRY/LOCAL_ID, or a record's number.")
]
LanguageOption = Annotated[
    Literal["vi", "en"], typer.Option("--language", "--lang", help="Language of the words.")
]
ReasonOption = Annotated[
    str, typer.Option("--reason", help="Why, in your words: it stands in the log for ever. No personal data.")
]
ActorOption = Annotated[
    str | None,
    typer.Option("--actor", envvar="MDM_ACTOR", help="Who does it  [default: your login name]"),
]
KeyOption = Annotated[
    str | None,
    typer.Option("--key", help="Idempotency key: the same request with the same key is done once."),
]
PreviewOption = Annotated[bool, typer.Option("--preview", help="Show what it would do, and do nothing.")]
ExpectOption = Annotated[
    list[str] | None,
    typer.Option("--expect", metavar="ID=VERSION", help="Refuse if this entity is at another version now."),
]
SurvivorOption = Annotated[
    str | None,
    typer.Option(
        "--survivor", metavar="NAME", help="Which one stays  [default: who has an SSN, else the older]"
    ),
]


class Work:
    def __init__(self, settings: Settings, identity: Identity) -> None:
        self.settings, self.identity = settings, identity

    def entity(self, name: str) -> str:
        """The entity that a name leads to now. An ID is taken as it is, so that a request means the same when it is repeated."""
        from mdm.store.engine import reading
        from mdm.store.resolving import parse_name, resolve_one

        given = parse_name(name)
        if given.kind == "entity":
            return given.value
        with reading(self.settings) as connection:
            return resolve_one(connection, given).entity_id

    def record(self, name: str) -> int:
        from mdm.store.engine import reading

        with reading(self.settings) as connection:
            return record_number(connection, name)

    def do(
        self,
        command: Command,
        *,
        reason: str,
        actor: str | None,
        key: str | None,
        as_json: bool,
        preview: bool = False,
    ) -> None:
        if preview:
            show_steward.preview(self.identity.preview(command), as_json=as_json)
            return
        done: Answer = self.identity.carry_out(command, actor=who(actor), reason=reason, key=key)
        show_steward.answer(done, as_json=as_json)


@contextmanager
def at_work(store: str | None) -> Iterator[Work]:
    from mdm.stewardship.service import Identity

    with opened_store(store) as settings:
        identity = Identity(settings)
        try:
            yield Work(settings, identity)
        finally:
            identity.close()


@dataclass(frozen=True)
class Desk:
    """What a steward reads from."""

    settings: Settings
    connection: Connection
    hidden: frozenset[str]
    """Registries whose records may not be shown."""

    def explainer(self) -> PairExplainer:
        from mdm.stewardship.explaining import PairExplainer

        return PairExplainer(self.settings, self.connection)


@contextmanager
def reading_desk(store: str | None, *, include_sealed: bool = False) -> Iterator[Desk]:
    from mdm.registries.attributes import load_attributes
    from mdm.registries.declaration import load_registries, sealed_codes
    from mdm.store.engine import reading

    with opened_store(store) as settings:
        registries = load_registries(
            settings.registries_folder, attributes=load_attributes(settings.attributes_file)
        )
        with reading(settings) as connection:
            yield Desk(settings, connection, frozenset() if include_sealed else sealed_codes(registries))


def record_number(connection: Connection, name: str) -> int:
    """Of a record named REGISTRY/LOCAL_ID, or by its number."""
    from mdm.store.references import find_record

    if name.isdecimal():
        return int(name)
    registry, mark, local_id = name.partition("/")
    if not mark:
        raise InputError("a record is named by REGISTRY/LOCAL_ID")
    return find_record(connection, registry, local_id)


def who(given: str | None) -> str:
    if given:
        return given
    try:
        return getpass.getuser()
    except (KeyError, OSError) as error:
        raise InputError(
            "this system does not tell who you are", hint="Give --actor NAME, or set MDM_ACTOR."
        ) from error


def versions_of(given: list[str] | None) -> dict[str, int]:
    versions = {}
    for text in given or []:
        name, mark, version = text.partition("=")
        if not mark or not version.isdecimal():
            raise InputError("--expect takes ID=VERSION", hint="`mdm entity show` tells both.")
        versions[name] = int(version)
    return versions
