"""The match index: made once for whoever serves single records, and kept by every run from then on."""

from __future__ import annotations

from typing import TYPE_CHECKING

from matching.blocking import make_keys
from mdm.errors import InputError
from mdm.pipeline.housemates import indexed_columns
from mdm.pipeline.progress import Silent
from mdm.pipeline.workspace import discard, workspace
from mdm.registries.attributes import load_attributes
from mdm.store.engine import bulk
from mdm.store.match_index import INDEX, write_index
from mdm.store.models import current_model, read_model

if TYPE_CHECKING:
    from matching.artefact import TrainedModel
    from mdm.pipeline.progress import Progress
    from mdm.pipeline.workspace import Workspace
    from mdm.registries.attributes import Attributes
    from mdm.settings import Settings
    from mdm.store.engine import Bulk

_WORK = "index"
INDEX_KEYS = "index_key"
PERSON = "person"


def keep_index(
    work: Workspace, store: Bulk, trained: TrainedModel, *, keys: str, changed: str | None
) -> None:
    """In the step of a run that made the keys. By another model than the index, all of it is made anew."""
    named = store.scalar(f"SELECT value FROM meta WHERE name = '{INDEX}'")
    if named is None:
        return
    _write(work, store, trained, keys=keys, of=changed if named == trained.hash else None)


def make_index(settings: Settings, *, progress: Progress | None = None) -> int:
    """Makes the index anew, by the model that scored last; returns how many records are in it.

    Raises InputError where nothing was matched yet.
    """
    attributes = load_attributes(settings.attributes_file)
    with (progress or Silent()).task("index", total=3) as task, workspace(settings, _WORK) as work:
        with bulk(settings) as store:
            trained = model_of_edges(store)
        load_indexed(work, trained, attributes)
        task.advance(2)
        with bulk(settings, writes=True) as store:
            count = _write(work, store, trained, keys=INDEX_KEYS, of=None)
        task.advance(1)
    discard(settings, _WORK)
    return count


def _write(work: Workspace, store: Bulk, trained: TrainedModel, *, keys: str, of: str | None) -> int:
    return write_index(
        store,
        work.connection,
        trained.declaration,
        trained.hash,
        columns=indexed_columns(trained.declaration),
        features=PERSON,
        keys=keys,
        of=of,
    )


def wants_index(settings: Settings) -> bool:
    """Whether people were matched and there is no index yet."""
    with bulk(settings) as store:
        return store.scalar(f"SELECT value FROM meta WHERE name = '{INDEX}'") is None and bool(
            store.scalar("SELECT 1 FROM membership LIMIT 1")
        )


def load_indexed(work: Workspace, trained: TrainedModel, attributes: Attributes) -> None:
    """Tables of what the index holds: PERSON, the features of active records that are of somebody, and INDEX_KEYS.

    Raises InputError where there never was a record.
    """
    work.require_people()
    work.load_records(PERSON, attributes)
    work.load_memberships()
    work.connection.execute(
        f"DELETE FROM {PERSON}_record WHERE record NOT IN (SELECT record FROM membership)"
    )
    work.make_features(PERSON, trained.declaration.feature_columns, attributes)
    make_keys(work.connection, trained.declaration, records=PERSON, into=INDEX_KEYS)


def model_of_edges(store: Bulk) -> TrainedModel:
    """The model of the edges that stand: a promoted one comes into force with the next run."""
    used = store.scalar(
        "SELECT model FROM edge WHERE model IN (SELECT hash FROM model WHERE name = 'person') ORDER BY from_event DESC LIMIT 1"
    )
    found = current_model(store, PERSON) if used is None else read_model(store, used)
    if found is None:
        raise InputError("nothing was matched yet", hint="Run it first: mdm run.")
    return found
