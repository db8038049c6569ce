"""Models: trained as candidates, promoted, rolled back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING
from uuid import uuid4

from matching.model import load_model
from matching.train import train
from mdm.errors import InputError, StoreBusyError, StoreError
from mdm.identity.clock import Source
from mdm.identity.events import Stamp
from mdm.pipeline.labels import correct_by_decisions
from mdm.pipeline.model_comparison import compare
from mdm.pipeline.steps import PERSON
from mdm.pipeline.workspace import discard, workspace
from mdm.registries.attributes import load_attributes
from mdm.store.engine import bulk
from mdm.store.models import (
    current_model,
    keep_model,
    kept_models,
    promote_model,
    promotions,
    read_model,
    roll_back,
)

if TYPE_CHECKING:
    from matching.artefact import LabelReport, TrainedModel
    from mdm.pipeline.progress import Progress
    from mdm.settings import Settings
    from mdm.store.engine import Bulk
    from mdm.store.models import KeptModel, Promotion


@dataclass(frozen=True)
class Listed:
    model: KeptModel
    promotion: Promotion | None
    """The last that stands."""


@dataclass(frozen=True)
class Candidate:
    trained: TrainedModel
    new: bool
    """The store did not have it yet."""
    labels: LabelReport


def list_models(settings: Settings, name: str = PERSON) -> list[Listed]:
    with bulk(settings) as store:
        standing = {promotion.hash: promotion for promotion in promotions(store, name)}
        return [Listed(model, standing.get(model.hash)) for model in kept_models(store, name)]


def find_model(settings: Settings, given: str | None, *, name: str = PERSON) -> KeptModel:
    """By the first letters of its hash, or `current`; None is the latest candidate."""
    with bulk(settings) as store:
        models = kept_models(store, name)
    if given is None:
        found = [model for model in models if model.state == "candidate"][-1:]
        missing = "there is no candidate"
    elif given == "current":
        found = [model for model in models if model.state == "current"]
        missing = "no model is promoted yet"
    else:
        found = [model for model in models if model.hash.startswith(given)]
        missing = f"no model begins with {given}"
    if not found:
        raise InputError(missing, hint="mdm model list shows all; mdm model train makes one.")
    if len(found) > 1:
        raise InputError(f"{len(found)} models begin with {given}", hint="Give more letters of it.")
    return found[0]


def load_kept(settings: Settings, hash_: str) -> TrainedModel:
    with bulk(settings) as store:
        return read_model(store, hash_)


def train_candidate(
    settings: Settings, *, actor: str, reason: str, source: Source | None = None
) -> Candidate:
    """Trains on the store's records, and on stewards' answers if there are enough, by the declaration at hand."""
    source = source or Source()
    declared, attributes = load_model(settings.person_model_file), load_attributes(settings.attributes_file)
    work_name = f"train-{uuid4()}"
    try:
        with workspace(settings, work_name) as work:
            if work.load_records(PERSON, attributes) == 0:
                raise InputError(
                    "the store holds no records of people", hint="Bring some in first: mdm ingest DIR."
                )
            work.make_features(PERSON, declared.feature_columns, attributes)
            trained = train(work.connection, declared, records=PERSON)
            with bulk(settings) as store:
                trained, labels = correct_by_decisions(work, store, trained, records=PERSON)
    finally:
        discard(settings, work_name)
    with bulk(settings, writes=True) as store:
        new = keep_model(store, trained, stamp=Stamp(at=source.now(), actor=actor, reason=reason))
    return Candidate(trained, new, labels)


def promote(
    settings: Settings,
    candidate: str,
    *,
    actor: str,
    reason: str,
    sure: bool,
    source: Source | None = None,
    progress: Progress | None = None,
) -> int | None:
    """Makes a kept model the one that runs use from the next on; returns how many people's numbers that touches, None if unknown.

    Raises:
        StoreError: its declaration cannot be read.
        InputError: it is current already; or it touches social-security numbers, or nobody can tell whether, and `sure` was not said.
    """
    with bulk(settings) as store:
        read_model(store, candidate)
        standing = promotions(store, PERSON)
    if standing and standing[-1].hash == candidate:
        raise InputError("it is the current model already")
    touched = _touched(settings, candidate, first=not standing, progress=progress)
    _must_be_sure(touched, sure=sure)
    stamp = Stamp(at=(source or Source()).now(), actor=actor, reason=reason)
    with bulk(settings, writes=True) as store:
        _must_stand(store, standing)
        promote_model(store, candidate, stamp=stamp, touched=touched)
    return touched


def go_back(
    settings: Settings,
    *,
    actor: str,
    reason: str,
    sure: bool,
    source: Source | None = None,
    progress: Progress | None = None,
) -> tuple[str, int | None]:
    """Undoes the last promotion that stands; returns the model that is current then, and what `promote` returns."""
    with bulk(settings) as store:
        standing = promotions(store, PERSON)
        if len(standing) < 2:
            raise InputError("there is no former model to go back to", hint="mdm model list shows all.")
        former = standing[-2].hash
        read_model(store, former)
    touched = _touched(settings, former, first=False, progress=progress)
    _must_be_sure(touched, sure=sure)
    stamp = Stamp(at=(source or Source()).now(), actor=actor, reason=reason)
    with bulk(settings, writes=True) as store:
        _must_stand(store, standing)
        roll_back(store, former, stamp=stamp, touched=touched)
    return former, touched


def _touched(settings: Settings, candidate: str, *, first: bool, progress: Progress | None) -> int | None:
    if first:
        return 0
    try:
        with bulk(settings) as store:
            current_model(store, PERSON)
    except StoreError:  # what it did cannot be repeated, so there is nothing to compare with
        return None
    return compare(settings, candidate, progress=progress).numbers


def _must_stand(store: Bulk, standing: list[Promotion]) -> None:
    """What was compared with must still be current."""
    if promotions(store, PERSON) != standing:
        raise StoreBusyError(
            "Somebody else chose another model meanwhile.", hint="Look at it: mdm model list. Then try again."
        )


def _must_be_sure(touched: int | None, *, sure: bool) -> None:
    if touched == 0 or sure:
        return
    what = (
        "the current model cannot be read, so that nobody can tell what would change"
        if touched is None
        else f"{touched:,} people with a social-security number would be matched otherwise"
    )
    raise InputError(what, hint="Look at it: mdm model compare. If it is what you want, add --yes.")
