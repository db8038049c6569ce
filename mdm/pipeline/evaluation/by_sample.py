"""Precision and recall as estimated from a sample of pairs that clerks have judged."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from matching.estimate import Estimates, Interval, Stratum, estimate, share_interval
from mdm.errors import InputError
from mdm.pipeline.evaluation.review_file import read_reviews
from mdm.pipeline.evaluation.sample import latest_run
from mdm.store.engine import bulk

if TYPE_CHECKING:
    from pathlib import Path

    from mdm.pipeline.evaluation.review_file import Reviews
    from mdm.settings import Settings

_RUNS = pa.schema([("run_id", pa.string()), ("finished_at", pa.string())])


@dataclass(frozen=True)
class JudgedStratum:
    linked: bool
    pairs: int
    drawn: int
    same: int
    different: int
    unsure: int
    share: Interval
    """Of its pairs that are one person."""


@dataclass(frozen=True)
class SampleEvaluation:
    run: str
    finished_at: str
    sealed: bool
    estimates: Estimates
    if_unsure_are_same: Estimates
    if_unsure_are_different: Estimates
    strata: list[JudgedStratum]
    unanswered: list[int]
    """Rows that are still to be judged."""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def evaluate_reviews(settings: Settings, path: Path, *, earlier_run: bool = False) -> SampleEvaluation:
    """The estimates are of the run after which the sample was drawn; one that is not the latest must be asked for by `earlier_run`."""
    reviews = read_reviews(path)
    if not reviews.answers:
        raise InputError(
            "no row has an answer yet",
            where=str(path),
            hint="Write yes, no or unsure in the column same_person.",
        )
    with bulk(settings) as store:
        runs = store.read("SELECT run_id, finished_at FROM run WHERE finished_at IS NOT NULL", _RUNS)
        finished = dict(zip(*(runs[name].to_pylist() for name in _RUNS.names), strict=True))
        latest = latest_run(store)
    run = reviews.design.run
    if run not in finished:
        raise InputError("the sample belongs to a run of another store", where=str(path))
    if run != latest and not earlier_run:
        raise InputError(
            "the sample belongs to another run than the latest",
            where=str(path),
            hint="Draw a new one, or add --earlier-run for estimates of that run.",
        )
    strata = _strata(reviews)
    return SampleEvaluation(
        run=run,
        finished_at=finished[run],
        sealed=reviews.design.sealed,
        estimates=_estimates(strata, unsure_same=0, unsure_different=0),
        if_unsure_are_same=_estimates(strata, unsure_same=1, unsure_different=0),
        if_unsure_are_different=_estimates(strata, unsure_same=0, unsure_different=1),
        strata=strata,
        unanswered=reviews.unanswered,
    )


def _strata(reviews: Reviews) -> list[JudgedStratum]:
    design = reviews.design
    counts = [{"yes": 0, "no": 0, "unsure": 0} for _ in design.pairs]
    for stratum, answer in reviews.answers:
        counts[stratum][answer] += 1
    return [
        JudgedStratum(
            linked=linked,
            pairs=pairs,
            drawn=drawn,
            same=count["yes"],
            different=count["no"],
            unsure=count["unsure"],
            share=share_interval(count["yes"], count["yes"] + count["no"], pairs),
        )
        for linked, pairs, drawn, count in zip(design.linked, design.pairs, design.drawn, counts, strict=True)
    ]


def _estimates(strata: list[JudgedStratum], *, unsure_same: int, unsure_different: int) -> Estimates:
    return estimate(
        [
            Stratum(
                linked=s.linked,
                pairs=s.pairs,
                judged=s.same + s.different + s.unsure * (unsure_same + unsure_different),
                same=s.same + s.unsure * unsure_same,
            )
            for s in strata
        ]
    )
