"""The batch run: named steps, each finished once, resumed after a kill.

A run is known by a fingerprint of everything it depends on: the last delivery, what people did since, the model's
declaration, the policy, the registries' trust. Where the last run has this fingerprint and the model in force, it is taken
up if it was stopped; if it came to its end there is nothing to do.

The model in force is the promoted one, with the declaration that it was trained for. See docs/decisions/012-models.md.
"""

from __future__ import annotations

import hashlib
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from matching.model import load_model
from mdm.identity.clock import Source
from mdm.identity.events import EventKind, Stamp, canonical_json
from mdm.identity.numbers import NumberKind
from mdm.pipeline.delta import Delta
from mdm.pipeline.golden_step import golden_step
from mdm.pipeline.household_step import (
    CLUSTERS,
    household_golden_step,
    household_reconcile_step,
    household_step,
    rearrange_households,
)
from mdm.pipeline.number_step import number_step
from mdm.pipeline.openlineage import recorded
from mdm.pipeline.progress import Progress, Silent, share_of
from mdm.pipeline.reconcile_step import rearrange, reconcile_step
from mdm.pipeline.steps import Context, StepResult, cluster_step, score_step, train_step
from mdm.pipeline.workspace import discard, workspace
from mdm.registries.attributes import load_attributes
from mdm.registries.declaration import load_registries
from mdm.store.engine import bulk
from mdm.store.golden import load_rules
from mdm.store.keys import number_plan
from mdm.store.log import append_event
from mdm.store.models import current_model, promoted_by_a_person
from mdm.store.proofs import checkpoint
from mdm.store.sequences import require_known, settle

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from matching.artefact import TrainedModel
    from matching.model import Model
    from mdm.registries.declaration import RegistryDeclaration
    from mdm.settings import Settings
    from mdm.store.engine import Bulk
    from mdm.store.golden import GoldenRules

_BEFORE: dict[str, Callable[[Context], None]] = {
    "reconcile": rearrange,
    "household_reconcile": rearrange_households,
}
"""What a step does in transactions of its own before its own begins."""
STEPS: dict[str, Callable[[Context, Bulk], StepResult]] = {
    "train": train_step,
    "score": score_step,
    "cluster": cluster_step,
    "reconcile": reconcile_step,
    "golden": golden_step,
    "number": number_step,
    "household": household_step,
    "household_reconcile": household_reconcile_step,
    "household_golden": household_golden_step,
}
_LEFT_FILES = {"cluster": ("cluster", "reconcile"), "household": (CLUSTERS, "household_reconcile")}
"""Steps that leave a file in the work folder: its name, and the step that reads it. All else that a step needs is in the store."""
_STEP_ROWS = pa.schema(
    [("step", pa.string()), ("seconds", pa.float64()), ("rows", pa.int64()), ("detail", pa.string())]
)


_RUN = pa.schema(
    [
        ("started_at", pa.string()),
        ("fingerprint", pa.string()),
        ("declared", pa.string()),
        ("upto", pa.int64()),
    ]
)
_KEPT_STEPS = pa.schema(
    [
        ("step", pa.string()),
        ("finished_at", pa.string()),
        ("seconds", pa.float64()),
        ("rows", pa.int64()),
        ("detail", pa.string()),
    ]
)


@dataclass(frozen=True)
class FinishedStep:
    step: str
    seconds: float
    rows: int
    detail: dict[str, Any]
    earlier: bool
    """It was finished before this process took the run up again."""


@dataclass(frozen=True)
class RunReport:
    run_id: str
    nothing_to_do: bool = False
    resumed: bool = False
    waiting: bool = False
    """The declared model differs from the promoted one, which stays in force."""
    steps: list[FinishedStep] = field(default_factory=list)

    def detail(self, step: str) -> dict[str, Any]:
        return next((finished.detail for finished in self.steps if finished.step == step), {})

    @property
    def changed_anything(self) -> bool:
        counts = [
            self.detail(f"{kind}reconcile").get(name, 0)
            for kind in ("", "household_")
            for name in ("formed", "linked", "merged", "moved")
        ]
        goldens = [self.detail(step).get("changed", 0) for step in ("golden", "household_golden")]
        return any([*counts, *goldens, *(v for v in self.detail("number").values())])


def run(
    settings: Settings,
    *,
    force: bool = False,
    actor: str = "batch",
    progress: Progress | None = None,
    source: Source | None = None,
) -> RunReport:
    """Runs all steps that are not finished yet.

    Args:
        settings: where the store and the declarations are.
        force: run even if nothing has changed since the last run.
        actor: who the events are recorded as.
        progress: where to tell how far it is.
        source: time and new IDs, for tests.
    """
    source, progress = source or Source(), progress or Silent()
    declared_model = load_model(settings.person_model_file)
    attributes = load_attributes(settings.attributes_file)
    registries = load_registries(settings.registries_folder, attributes=attributes)
    household_model = load_model(settings.household_model_file) if settings.links_households else None
    rules = load_rules(settings, registries, attributes)
    with bulk(settings, writes=True) as store:
        present = current_model(store, declared_model.name)
        model = _in_force(store, declared_model, present)
        waiting = model != declared_model
        declared = _declared([model, household_model], rules, registries)
        fingerprint = _fingerprint(store, declared)
        begun, finished = _last_run(store)
        same = _still_the_same(store, begun, fingerprint, present)
        if begun and same and finished and not force:
            return RunReport(
                run_id=begun, nothing_to_do=True, waiting=waiting, steps=_finished_steps(store, begun)
            )
        last = store.scalar(
            "SELECT run_id FROM run WHERE finished_at IS NOT NULL ORDER BY finished_at DESC LIMIT 1"
        )
        numbers = number_plan(settings, store)
        require_known(store.scalar)
        delta = None if force else _delta(store, last, declared, present, rules)
        resumed = begun if same and not finished else None
        run_id = resumed or _begin(store, fingerprint, declared, source)
        done = {step.step: step for step in _finished_steps(store, run_id)}
    with (
        recorded(settings, run_id, registries=registries, source=source),
        workspace(settings, run_id) as work,
    ):
        context = Context(
            settings=settings,
            workspace=work,
            run_id=run_id,
            model=model,
            household_model=household_model,
            rules=rules,
            registries=registries,
            attributes=attributes,
            numbers=numbers,
            source=source,
            actor=actor,
            progress=lambda _: None,
            delta=delta,
        )
        for name, (file, reader) in _LEFT_FILES.items():
            if reader not in done and not work.has_saved(file):
                done.pop(name, None)
        steps = [done.get(name) or _perform(context, name, progress) for name in STEPS]
        with bulk(settings) as store:
            settle(settings, store.scalar, key=numbers.fingerprint)
        _finish(settings, run_id, source, steps, actor=actor)
    checkpoint(settings, source=source)
    discard(settings, run_id)
    return RunReport(run_id=run_id, resumed=resumed is not None, waiting=waiting, steps=steps)


def _perform(context: Context, name: str, progress: Progress) -> FinishedStep:
    started = time.perf_counter()
    with share_of(progress, name) as tell:
        context.progress = lambda share: tell(share, "")
        if name in _BEFORE:
            _BEFORE[name](context)
        with bulk(
            context.settings
        ) as store:  # a step and the note that it is done are kept together or not at all
            result = STEPS[name](context, store)
            finished = FinishedStep(
                name, round(time.perf_counter() - started, 3), result.rows, result.detail, earlier=False
            )
            _note(context, store, finished)
    return finished


def _note(context: Context, store: Bulk, finished: FinishedStep) -> None:
    row = {
        "run_id": context.run_id,
        "step": finished.step,
        "finished_at": context.source.now(),
        "seconds": finished.seconds,
        "rows": finished.rows,
        "detail": canonical_json(finished.detail),
    }
    # it may have been done before, and what it left was lost
    store.execute(f"DELETE FROM run_step WHERE run_id = '{context.run_id}' AND step = '{finished.step}'")
    store.append("run_step", pa.Table.from_pylist([row]))


def _last_run(store: Bulk) -> tuple[str | None, bool]:
    """The run that was begun last, and whether it came to its end. Runs before it that did not are given up."""
    begun = store.scalar("SELECT run_id FROM run ORDER BY started_at DESC, run_id DESC LIMIT 1")
    ended = begun and store.scalar(f"SELECT finished_at FROM run WHERE run_id = '{begun}'")
    return begun, bool(ended)


def _still_the_same(store: Bulk, run_id: str | None, fingerprint: str, present: TrainedModel | None) -> bool:
    """Whether a run that begins now would do what this one did or was about to do."""
    if (
        run_id is None
        or store.scalar(f"SELECT fingerprint FROM run WHERE run_id = '{run_id}'") != fingerprint
    ):
        return False
    trained = next((step.detail for step in _finished_steps(store, run_id) if step.step == "train"), None)
    return trained is None or (present is not None and present.hash == trained["model"])


def _begin(store: Bulk, fingerprint: str, declared: str, source: Source) -> str:
    row = {
        "run_id": source.mint(1)[0],
        "started_at": source.now(),
        "fingerprint": fingerprint,
        "declared": declared,
        "upto": store.next_id("event", "seq") - 1,
    }
    store.append("run", pa.Table.from_pylist([row]))
    return str(row["run_id"])


def _in_force(store: Bulk, declared: Model, present: TrainedModel | None) -> Model:
    """The promoted model's declaration; a changed one comes into force by itself only as long as nothing hangs on the former."""
    if present is None or present.declaration == declared:
        return declared
    numbered = store.scalar(f"SELECT COUNT(*) FROM ssn WHERE kind = '{NumberKind.SSN}'")
    return present.declaration if numbered or promoted_by_a_person(store, declared.name) else declared


def _delta(
    store: Bulk,
    last: str | None,
    declared: str,
    present: TrainedModel | None,
    rules: Mapping[str, GoldenRules],
) -> Delta | None:
    """What changed since the last run, where that one ran under the same declarations and its model still serves.

    None where what a run that did not come to its end has done must be looked at too.
    """
    if last is None or store.scalar(f"SELECT declared FROM run WHERE run_id = '{last}'") != declared:
        return None
    if present is None:
        return None
    trained_then = orjson.loads(store.scalar(f"SELECT summary FROM run WHERE run_id = '{last}'"))["train"]
    kept = store.scalar(
        f"SELECT COUNT(*) FROM edge WHERE model IN (SELECT hash FROM model WHERE name = '{present.declaration.name}' AND hash <> '{present.hash}')"
    )
    finished = store.scalar(
        f"SELECT MAX(seq) FROM event WHERE kind = '{EventKind.RUN_FINISHED}' AND run = '{last}'"
    )
    upto = int(store.scalar(f"SELECT upto FROM run WHERE run_id = '{last}'"))
    # by a run under other declarations that was given up, or by hand
    otherwise = store.scalar(
        f"SELECT COUNT(*) FROM event WHERE kind = '{EventKind.GOLDEN_COMPUTED}' AND seq > {upto}"
        + "".join(f""" AND body NOT LIKE '%"rules":"{its.hash}"%'""" for its in rules.values())
    )
    # a proposal that was refused was lost with the process that made it
    moved = store.scalar(
        f"SELECT COUNT(*) FROM event WHERE kind IN ('{EventKind.ENTITY_MERGED}', '{EventKind.RECORDS_DETACHED}')"
        f" AND run IS NOT NULL AND seq > {finished}"
    )
    if trained_then["model"] != present.hash or kept or otherwise or moved:
        return None
    return Delta(upto, int(finished))


def _finish(
    settings: Settings, run_id: str, source: Source, steps: list[FinishedStep], *, actor: str
) -> None:
    summary = canonical_json({step.step: step.detail for step in steps})
    at = source.now()
    with bulk(settings, writes=True) as store:
        known = store.read(
            f"SELECT started_at, fingerprint, declared, upto FROM run WHERE run_id = '{run_id}'", _RUN
        ).to_pylist()[0]
        kept = store.read(
            f"SELECT step, finished_at, seconds, rows, detail FROM run_step WHERE run_id = '{run_id}' ORDER BY finished_at, step",
            _KEPT_STEPS,
        ).to_pylist()
        data = {
            **known,
            "steps": [{**row, "detail": _sha256(row["detail"])} for row in kept],
            "summary": _sha256(summary),
        }
        stamp = Stamp(at=at, actor=actor, reason="run finished", run=run_id)
        append_event(store, EventKind.RUN_FINISHED, data, stamp=stamp)
        store.stage("finished_run", pa.table({"run_id": [run_id], "at": [at], "summary": [summary]}))
        store.execute(
            "UPDATE run SET finished_at = f.at, summary = f.summary FROM finished_run AS f WHERE run.run_id = f.run_id"
        )


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _finished_steps(store: Bulk, run_id: str) -> list[FinishedStep]:
    rows = store.read(
        f"SELECT step, seconds, rows, detail FROM run_step WHERE run_id = '{run_id}'", _STEP_ROWS
    ).to_pylist()
    known = {
        row["step"]: FinishedStep(
            row["step"], row["seconds"], row["rows"], orjson.loads(row["detail"]), earlier=True
        )
        for row in rows
    }
    return [known[name] for name in STEPS if name in known]


def _declared(
    models: list[Model | None],
    rules: Mapping[str, GoldenRules],
    registries: Mapping[str, RegistryDeclaration],
) -> str:
    """Hash of everything declared that a run depends on."""
    standing = {
        code: [declared.trust, declared.anchor, declared.duplicate_free]
        for code, declared in registries.items()
    }
    return _sha256(
        canonical_json([[m.hash for m in models if m], [r.hash for r in rules.values()], standing])
    )


_BY_HAND = (
    EventKind.NUMBER_CHANGED,
    EventKind.ENTITY_MERGED,
    EventKind.ENTITY_UNMERGED,
    EventKind.ENTITY_SPLIT,
    EventKind.MODEL_PROMOTED,
    EventKind.MODEL_ROLLED_BACK,
)


def _fingerprint(store: Bulk, declared: str) -> str:
    last_batch = store.scalar(f"SELECT MAX(seq) FROM event WHERE kind = '{EventKind.BATCH_LANDED}'")
    decided = [
        store.scalar(f"SELECT MAX({column}) FROM decision") for column in ("from_event", "until_event")
    ]
    # by hand: what a run itself changes is no news to the next one
    kinds = ", ".join(f"'{kind}'" for kind in _BY_HAND)
    by_hand = store.scalar(f"SELECT MAX(seq) FROM event WHERE kind IN ({kinds}) AND run IS NULL")
    return _sha256(canonical_json([last_batch, decided, by_hand, declared]))
