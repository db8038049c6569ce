"""Accounts, keys of machines, claims on questions and the log of accesses, as rows.

They are no part of who is who, so on PostgreSQL who writes them waits for no turn, not even for a run that is about to end.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from sqlalchemy import Text, bindparam, delete, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.exc import IntegrityError

from mdm.errors import InputError
from mdm.store.tables import access_log, account, api_key, entity, review_claim

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from sqlalchemy import Connection, RowMapping


# --- accounts and keys -----------------------------------------------------------------------------------------------


def find_account(connection: Connection, name: str) -> RowMapping | None:
    return connection.execute(_ACCOUNT, {"given": name}).mappings().first()


def all_accounts(connection: Connection) -> Sequence[RowMapping]:
    return connection.execute(select(account).order_by(account.c.name)).mappings().all()


def add_account(connection: Connection, row: Mapping[str, Any]) -> None:
    """Raises InputError for a name that is taken."""
    try:
        connection.execute(insert(account), row)
    except IntegrityError as error:
        raise InputError(f"there is an account `{row['name']}` already") from error


def change_account(connection: Connection, name: str, changed: Mapping[str, Any]) -> None:
    """Raises InputError where there is none."""
    values = {**changed, "version": account.c.version + 1}
    if connection.execute(update(account).where(account.c.name == name).values(values)).rowcount == 0:
        raise InputError(f"there is no account `{name}`", hint="`mdm user list` shows them.")


def find_key(connection: Connection, prefix: str) -> RowMapping | None:
    return connection.execute(_KEY, {"given": prefix}).mappings().first()


def all_keys(connection: Connection) -> Sequence[RowMapping]:
    return connection.execute(select(api_key).order_by(api_key.c.name)).mappings().all()


def add_key(connection: Connection, row: Mapping[str, Any]) -> None:
    """Raises InputError for a name that is taken, if only by a key that was revoked."""
    try:
        connection.execute(insert(api_key), row)
    except IntegrityError as error:
        raise InputError(
            f"there is or was a key `{row['name']}`",
            hint="A name stands in the log for one key: take another.",
        ) from error


def end_key(connection: Connection, name: str, *, at: str, by: str) -> None:
    """Raises InputError where there is none that stands."""
    ended = update(api_key).where(api_key.c.name == name, api_key.c.revoked_at.is_(None))
    if connection.execute(ended.values(revoked_at=at, revoked_by=by)).rowcount == 0:
        raise InputError(f"no key `{name}` stands", hint="`mdm key list` shows them.")


# --- who read whom ---------------------------------------------------------------------------------------------------


def add_accesses(connection: Connection, rows: Sequence[Mapping[str, Any]]) -> None:
    connection.execute(_ADD_ACCESSES, rows)


def accesses(
    connection: Connection, entities: Collection[str], *, after: str, limit: int
) -> Sequence[RowMapping]:
    """In the order of time; `after` is the ID of the last one seen, empty from the beginning."""
    bound = {"entities": sorted(entities), "after": after, "limit": limit}
    return connection.execute(_ACCESSES, bound).mappings().all()


def with_merged(connection: Connection, entity_id: str) -> set[str]:
    """The entity and all that lead to it."""
    known = {entity_id}
    wanted = known
    while wanted:
        heir = entity.alias("heir")
        rows = connection.scalars(
            select(entity.c.entity_id)
            .join(heir, heir.c.entity_key == entity.c.superseded_by)
            .where(heir.c.entity_id.in_(sorted(wanted)))
        )
        wanted = set(rows) - known
        known |= wanted
    return known


# --- claims ----------------------------------------------------------------------------------------------------------


def claim_of(connection: Connection, review: int) -> RowMapping | None:
    """One that has expired too."""
    return connection.execute(_CLAIM, {"given": review}).mappings().first()


def claims_of(connection: Connection, reviews: Collection[int]) -> dict[int, RowMapping]:
    rows = connection.execute(select(review_claim).where(review_claim.c.review_id.in_(reviews))).mappings()
    return {row["review_id"]: row for row in rows}


def put_claim(connection: Connection, row: Mapping[str, Any]) -> bool:
    """Takes the claim where nobody else holds one that has not expired; returns whether it did."""
    dialect = postgresql if connection.dialect.name == "postgresql" else sqlite
    wanted = dialect.insert(review_claim).values(row)
    held = wanted.on_conflict_do_update(
        index_elements=[review_claim.c.review_id],
        set_={name: wanted.excluded[name] for name in ("claimed_by", "claimed_at", "expires_at")},
        where=or_(
            review_claim.c.claimed_by == wanted.excluded.claimed_by,
            review_claim.c.expires_at <= wanted.excluded.claimed_at,
        ),
    ).returning(review_claim.c.review_id)
    return connection.execute(held).first() is not None


def end_claim(connection: Connection, review: int, *, actor: str) -> bool:
    ended = delete(review_claim).where(review_claim.c.review_id == review, review_claim.c.claimed_by == actor)
    return connection.execute(ended).rowcount > 0


def drop_claim(connection: Connection, review: int) -> None:
    connection.execute(_DROP_CLAIM, {"given": review})


_GIVEN = bindparam("given", type_=Text)
_ACCOUNT = select(account).where(account.c.name == _GIVEN)
_KEY = select(api_key).where(api_key.c.prefix == _GIVEN)
_CLAIM = select(review_claim).where(review_claim.c.review_id == bindparam("given"))
_DROP_CLAIM = delete(review_claim).where(review_claim.c.review_id == bindparam("given"))
_ADD_ACCESSES = insert(access_log)
_ACCESSES = (
    select(access_log)
    .where(
        access_log.c.entity_id.in_(bindparam("entities", expanding=True)),
        access_log.c.access_id > bindparam("after", type_=Text),
    )
    .order_by(access_log.c.access_id)
    .limit(bindparam("limit"))
)
