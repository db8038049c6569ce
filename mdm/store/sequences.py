"""Where the sequences of numbers go on, also in a store that was brought back from a backup.

A backup does not know the numbers that were issued after it, so the store alone cannot say where to go on. A mark is kept beside
the SSN key, outside the store and its backups: before numbers are committed it says up to where they are set aside. A restore
takes the greatest that the backup, the mark and the replaced store know, and an event tells of it. Where nothing beside the backup
is known, no number is issued until a person says how many to pass over.
"""

from __future__ import annotations

import os
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import orjson
from pydantic import BaseModel, ConfigDict, ValidationError

from mdm.errors import ConfigurationError, StoreError
from mdm.identity.events import EventKind
from mdm.identity.numbers import NumberKind

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from pathlib import Path

    from mdm.settings import Settings

    Scalar = Callable[[str], Any]
    """Gives the first value of a query's first row, None if there is none."""

_RESTORED = f"SELECT body FROM event WHERE kind = '{EventKind.STORE_RESTORED}' ORDER BY seq DESC LIMIT 1"


@dataclass(frozen=True)
class Standing:
    """What a store says of its sequences."""

    following: Mapping[str, int]
    """Kind to the next place in its sequence, as far as the store knows."""
    known: bool
    """Whether later numbers can have been issued by a state of the store that was replaced by this one."""


class Set(BaseModel):
    """Places of one kind: those before `before` are issued, those from it to below `after` are set aside."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    before: int
    after: int


class Mark(BaseModel):
    """`store` is the ID of the store, `key` the fingerprint of the SSN key."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    store: str
    key: str
    kinds: dict[NumberKind, Set]


def standing(scalar: Scalar) -> Standing:
    body = scalar(_RESTORED)
    floors = {} if body is None else orjson.loads(body)["data"]
    following = {
        kind.value: max(
            int(scalar(f"SELECT COALESCE(MAX(sequence), -1) FROM ssn WHERE kind = '{kind}'")) + 1,
            floors.get("following", {}).get(kind.value, 0),
        )
        for kind in NumberKind
    }
    return Standing(following, known=floors.get("known", True))


def require_known(scalar: Scalar) -> Standing:
    """Refuses a store of which it is not known where its sequences go on."""
    found = standing(scalar)
    if not found.known:
        raise StoreError(
            "It is not known which numbers were issued after the backup that this store was restored from.",
            hint="Bring back the mark beside the SSN key, or say how many numbers to pass over, and restore again:"
            " mdm restore FILE --force --skip-numbers N. See docs/backup.md.",
        )
    return found


def set_aside(
    settings: Settings, scalar: Scalar, kind: NumberKind, *, count: int, key: str, settles: bool = False
) -> int:
    """The first of `count` places that this transaction may use; the mark covers them before it is committed.

    Args:
        settings: where the mark is.
        scalar: asks the store, in the transaction.
        kind: of the numbers.
        count: how many.
        key: fingerprint of the SSN key.
        settles: also notes that what was set aside earlier and is in the store was issued, so that an earlier state of the store is
            known as such from now on. Only for a transaction that has issued nothing yet: what it takes back was not issued.

    Raises:
        StoreError: it is not known where the sequence goes on, or the store is an earlier one than the mark.
        ConfigurationError: the mark cannot be written.
    """
    following = require_known(scalar).following
    start, name = following[kind], _store_id(scalar)
    mark = read_mark(settings, store=name, key=key) or Mark(store=name, key=key, kinds={})
    former = mark.kinds.get(kind, Set(before=0, after=0))
    if start < former.before:
        raise StoreError(
            "Numbers were issued that this store does not know: it is an earlier state of itself.",
            where=str(mark_file(settings)),
            hint="Bring it back by `mdm restore`, which goes on after them. See docs/backup.md.",
        )
    kinds = _settled(mark, following) if settles else dict(mark.kinds)
    kinds[kind] = Set(before=start, after=max(start + count, former.after))
    write_mark(settings, mark.model_copy(update={"kinds": kinds}))
    return start


def settle(settings: Settings, scalar: Scalar, *, key: str) -> None:
    """Notes that what was set aside and is in the store was issued: from now on an earlier state of the store is known as such."""
    mark = read_mark(settings, store=_store_id(scalar), key=key)
    if mark is not None and (kinds := _settled(mark, standing(scalar).following)) != mark.kinds:
        write_mark(settings, mark.model_copy(update={"kinds": kinds}))


def _settled(mark: Mark, following: Mapping[str, int]) -> dict[NumberKind, Set]:
    return {
        kind: Set(before=max(places.before, following[kind]), after=max(places.after, following[kind]))
        for kind, places in mark.kinds.items()
    }


def _store_id(scalar: Scalar) -> str:
    return str(scalar("SELECT value FROM meta WHERE name = 'store_id'"))


def mark_file(settings: Settings) -> Path:
    return settings.key_file.with_name(f"{settings.key_file.name}.issued")


def read_mark(settings: Settings, *, store: str, key: str | None) -> Mark | None:
    """None if there is none of this store and key. `key` None: of any key."""
    try:
        found = Mark.model_validate_json(mark_file(settings).read_bytes())
    except FileNotFoundError:
        return None
    except (OSError, ValidationError) as error:
        raise ConfigurationError(
            "The mark of the numbers issued cannot be read.",
            where=str(mark_file(settings)),
            hint="Bring it back from where it is kept. Without it numbers could be issued twice.",
        ) from error
    return found if found.store == store and key in {None, found.key} else None


def write_mark(settings: Settings, mark: Mark) -> None:
    """The whole file or the former one, and on the disk when this returns."""
    path = mark_file(settings)
    partial = path.with_name(f".{path.name}.partial")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as file:
            file.write(mark.model_dump_json().encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        folder = os.open(path.parent, os.O_RDONLY)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise ConfigurationError(
            f"The mark of the numbers issued cannot be written ({error.strerror}).", where=str(path)
        ) from error
