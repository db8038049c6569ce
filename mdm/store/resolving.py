"""By what name an entity is called, and which entity that is.

Names hold for ever: a number that was superseded, an entity that was merged, a temporary number lead to who stands for
them. As of a moment, a name leads to whom it led then.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from sqlalchemy import BigInteger, Text, bindparam, select, union_all

from mdm.errors import IdentityError, InputError, NotFoundError
from mdm.identity.ssn import kind_of
from mdm.store.moments import SEQ, Moment, read_moment, stands
from mdm.store.tables import alias, entity, entity_past, membership, record, ssn, ssn_past

if TYPE_CHECKING:
    from collections.abc import Callable

    from sqlalchemy import ColumnElement, Connection, FromClause, RowMapping, Select

NameKind = Literal["entity", "number", "record", "alias"]
_UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_WITHIN = re.compile(r"(?P<within>[a-z][a-z0-9_]*)(?P<mark>[/:])(?P<value>.+)", re.DOTALL)
_HINT = "Give an entity's ID, a social-security or temporary number, REGISTRY/LOCAL_ID, or SCHEME:NUMBER (personal_id:...)."


@dataclass(frozen=True)
class Name:
    """`within` is the registry of a record, the scheme of an alias, else empty."""

    kind: NameKind
    value: str
    within: str = ""


@dataclass(frozen=True)
class Link:
    """A name on the way to an entity; it has led on to the next, or stood as it does, since an event."""

    kind: NameKind
    name: str
    since: int


@dataclass(frozen=True)
class Resolved:
    entity_id: str
    chain: tuple[Link, ...]
    """From the name that was asked for to the entity."""


def parse_name(text: str) -> Name:
    """Raises InputError, which does not repeat what was given: it may be a person's number."""
    given = text.strip()
    if _UUID.fullmatch(given.lower()):
        return Name("entity", given.lower())
    if kind_of(given) is not None:
        return Name("number", given)
    if (within := _WITHIN.fullmatch(given)) is not None:
        kind: NameKind = "record" if within["mark"] == "/" else "alias"
        return Name(kind, within["value"], within["within"])
    if given.isdecimal() and len(given) == 12:
        raise InputError("this is no social-security number: its check digit is wrong", hint=_HINT)
    raise InputError("this names no entity", hint=_HINT)


def resolve(connection: Connection, name: Name, moment: Moment | None = None) -> list[Resolved]:
    """The entities of a name, several only where an alias is shared; in order of ID.

    Raises:
        IdentityError: there is none.
    """
    at = moment or read_moment(connection)
    found = _RESOLVE[name.kind](connection, name, at)
    unique = {resolved.entity_id: resolved for resolved in found}
    return [unique[entity_id] for entity_id in sorted(unique)]


def resolve_one(connection: Connection, name: Name, moment: Moment | None = None) -> Resolved:
    """Raises IdentityError where there is none, or where an alias is of several."""
    found = resolve(connection, name, moment)
    if len(found) > 1:
        raise IdentityError(
            f"{len(found)} entities share this number.",
            hint=f"Ask for one of them: {', '.join(resolved.entity_id for resolved in found)}.",
        )
    return found[0]


def standing(connection: Connection, entity_id: str, moment: Moment) -> RowMapping:
    """entity_key, entity_id, kind, status, heir (entity ID), version, formed_event, since.

    Raises:
        IdentityError: there was no such entity at the moment.
    """
    row = connection.execute(_ENTITY_BY_ID, moment.bound(given=entity_id)).mappings().first()
    if row is None:
        raise NotFoundError(f"There is no entity {entity_id}, or there was none then.")
    return row


def numbers_of(connection: Connection, entity_key: int, moment: Moment) -> list[RowMapping]:
    """number, kind, holder (entity key), state, superseded_by, reason, issued_event, since; in the order of issue."""
    return list(connection.execute(_NUMBERS_BY_HOLDER, moment.bound(given=entity_key)).mappings())


# --- each kind of name -----------------------------------------------------------------------------------------------


def _of_entity(connection: Connection, name: Name, moment: Moment) -> list[Resolved]:
    return [_followed(connection, name.value, (), moment)]


def _of_number(connection: Connection, name: Name, moment: Moment) -> list[Resolved]:
    chain: list[Link] = []
    number: str | None = name.value
    holder = None
    while number is not None:
        row = connection.execute(_NUMBER, moment.bound(given=number)).mappings().first()
        if row is None:
            raise NotFoundError("There is no such number, or it was not issued then.")
        chain.append(Link("number", number, row["since"]))
        number, holder = row["superseded_by"], row["holder"]
    if holder is None:
        raise NotFoundError("Nobody holds this number: it is reserved.")
    return [_followed(connection, _entity_id(connection, holder), tuple(chain), moment)]


def _of_record(connection: Connection, name: Name, moment: Moment) -> list[Resolved]:
    bound = moment.bound(registry=name.within, local_id=name.value)
    row = connection.execute(_HOLDER_OF_RECORD, bound).first()
    if row is None:
        raise NotFoundError(
            "This record belongs to no entity, or belonged to none then.",
            hint="Check the registry and the local ID; `mdm run` gives new records an entity.",
        )
    link = Link("record", f"{name.within}/{name.value}", row.from_event)
    return [_followed(connection, row.entity_id, (link,), moment)]


def _of_alias(connection: Connection, name: Name, moment: Moment) -> list[Resolved]:
    rows = connection.execute(_HOLDERS_OF_ALIAS, moment.bound(scheme=name.within, value=name.value)).all()
    if not rows:
        raise NotFoundError("Nobody is known by this number, or nobody was then.")
    return [
        _followed(
            connection, row.entity_id, (Link("alias", f"{name.within}:{name.value}", row.from_event),), moment
        )
        for row in rows
    ]


_RESOLVE: dict[NameKind, Callable[[Connection, Name, Moment], list[Resolved]]] = {
    "entity": _of_entity,
    "number": _of_number,
    "record": _of_record,
    "alias": _of_alias,
}


def _followed(connection: Connection, entity_id: str, chain: tuple[Link, ...], moment: Moment) -> Resolved:
    """A chain of merged entities, to its end."""
    heir: str | None = entity_id
    while heir is not None:
        row = standing(connection, heir, moment)
        chain = (*chain, Link("entity", heir, row["since"]))
        heir = row["heir"]
    return Resolved(chain[-1].name, chain)


def _entity_id(connection: Connection, key: int) -> str:
    return str(connection.scalar(_ID_OF_KEY, {"given": key}))


# --- statements ------------------------------------------------------------------------------------------------------


def _entity_standing() -> Select[Any]:
    """The row of an entity as it stood: the present one, or a past one."""
    who = entity.c.entity_id == bindparam("given", type_=Text)
    fixed = (entity.c.entity_key, entity.c.entity_id, entity.c.kind, entity.c.formed_event)

    def of(row: FromClause, since: ColumnElement[int]) -> Select[Any]:
        return select(*fixed, row.c.status, row.c.superseded_by, row.c.version, since.label("since"))

    rows = union_all(
        of(entity, entity.c.changed_event).where(who, entity.c.changed_event <= SEQ),
        of(entity_past, entity_past.c.from_event)
        .join_from(entity, entity_past, entity_past.c.entity_key == entity.c.entity_key)
        .where(who, stands(entity_past)),
    ).subquery("standing")
    heir = entity.alias("heir")
    return select(rows, heir.c.entity_id.label("heir")).outerjoin(
        heir, heir.c.entity_key == rows.c.superseded_by
    )


def _number_standing(column: str, given: Any) -> Select[Any]:
    """Numbers as they stood: the present rows, or past ones."""
    fixed = (ssn.c.number, ssn.c.kind, ssn.c.sequence, ssn.c.issued_event)

    def of(row: FromClause, since: ColumnElement[int]) -> Select[Any]:
        holder = row.c.entity_key.label("holder")
        return select(*fixed, holder, row.c.state, row.c.superseded_by, row.c.reason, since.label("since"))

    rows = union_all(
        of(ssn, ssn.c.changed_event).where(ssn.c[column] == given, ssn.c.changed_event <= SEQ),
        of(ssn_past, ssn_past.c.from_event)
        .join_from(ssn_past, ssn, ssn.c.number == ssn_past.c.number)
        .where(ssn_past.c[column] == given, stands(ssn_past)),
    ).subquery("standing")
    return select(rows).order_by(rows.c.kind, rows.c.sequence)


def _record_holder() -> Select[Any]:
    """By the index of memberships that stand, and the one of those that ended."""
    named = (
        select(entity.c.entity_id, membership.c.from_event)
        .select_from(record)
        .join(membership, membership.c.record_id == record.c.record_id)
        .join(entity, entity.c.entity_key == membership.c.entity_key)
        .where(
            record.c.registry == bindparam("registry", type_=Text),
            record.c.kind.in_(("person", "household")),
            record.c.local_id == bindparam("local_id", type_=Text),
            membership.c.from_event <= SEQ,
        )
    )
    rows = union_all(
        named.where(membership.c.until_event.is_(None)),
        named.where(membership.c.until_event.is_not(None), membership.c.until_event > SEQ),
    ).subquery("held")
    return select(rows)


_ENTITY_BY_ID = _entity_standing()
_ID_OF_KEY = select(entity.c.entity_id).where(entity.c.entity_key == bindparam("given", type_=BigInteger))
_NUMBER = _number_standing("number", bindparam("given", type_=Text))
_NUMBERS_BY_HOLDER = _number_standing("entity_key", bindparam("given", type_=BigInteger))
_HOLDER_OF_RECORD = _record_holder()
_HOLDERS_OF_ALIAS = (
    select(entity.c.entity_id, alias.c.from_event)
    .join(alias, alias.c.entity_key == entity.c.entity_key)
    .where(
        alias.c.value == bindparam("value", type_=Text),
        alias.c.scheme == bindparam("scheme", type_=Text),
        stands(alias),
    )
    .order_by(entity.c.entity_id)
)
