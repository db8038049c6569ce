"""Training with labels: stewards' answers correct what was learnt without any.

Stewards are asked about pairs of a middling weight, so their answers say nothing of how often pairs in general are one
person, but how often pairs of such levels are. What is fitted is therefore logistic regression with the model's own
weight as offset: one number in bits for each level of each comparison and one for the prior, each thought to be near 0
(a Gaussian prior, of which `training.labels.spread` is the standard deviation), at their most probable values. Where
there are no labels, nothing moves. See docs/decisions/015-labels.md.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from scipy.optimize import minimize

from matching.artefact import LabelReport
from matching.scorer import Scorer

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from numpy.typing import NDArray

    from matching.artefact import TrainedModel
    from matching.levels import Record

    Numbers = NDArray[np.float64]
    Term = tuple[str, float]
    """A comparison and the weight of a level: levels of one weight are one (see `TrainedModel.leaning`)."""

FOLDS = 5
_BIT = np.log(2)
_CONVERGED = 1e-9


@dataclass(frozen=True, order=True)
class Label:
    """A person's word on two records, `left` < `right`."""

    left: int
    right: int
    same: bool


def count_labels(trained: TrainedModel, labels: Iterable[Label]) -> LabelReport:
    same = [label.same for label in labels]
    return LabelReport(sum(same), len(same) - sum(same), trained.declaration.training.labels.least)


def correct(
    trained: TrainedModel, labels: Iterable[Label], records: Mapping[int, Record]
) -> tuple[TrainedModel, LabelReport]:
    """The model with corrections, if there are labels enough and those left out of each fit are foretold better with them.

    Args:
        trained: what was learnt without labels.
        labels: one for a pair, in any order.
        records: the records of all labels, by number, as `Scorer` takes them.
    """
    ordered = sorted(labels)
    report = count_labels(trained, ordered)
    if min(report.same, report.different) < report.least:
        return trained, report
    weight, design, terms = _evidence(trained, ordered, records)
    same = np.array([label.same for label in ordered])
    spread = trained.declaration.training.labels.spread
    report = replace(
        report,
        loss_without=_rounded(_losses(weight, same).mean()),
        loss_with=_rounded(
            _losses_of_folds(weight, design, same, spread, seed=trained.declaration.training.seed).mean()
        ),
    )
    if not report.used:
        return replace(trained, labels=report), report
    found = [_rounded(value) for value in _fit(weight, design, same, spread)]
    correction = dict(zip(terms, found[1:], strict=True))
    parameters = {
        name: [replace(level, correction=correction.get((name, level.weight), 0.0)) for level in levels]
        for name, levels in trained.parameters.items()
    }
    return replace(trained, parameters=parameters, prior_correction=found[0], labels=report), report


def _evidence(
    trained: TrainedModel, labels: list[Label], records: Mapping[int, Record]
) -> tuple[Numbers, Numbers, list[Term]]:
    """Weight of each pair; a row for each with 1 for the prior and for each term that it shows; the terms.

    A level of no weight has no term: it counts nothing because it was declared so, or nothing was learnt of it.
    """
    scorer, weights, shown = Scorer(trained), [], []
    for label in labels:
        scored = scorer.score(records[label.left], records[label.right])
        weights.append(scored.weight)
        found = [(name, e.bits) for name, e in scored.evidence.items() if e.level is not None and e.bits]
        shown.append(found)
    terms = sorted({term for found in shown for term in found})
    place = {term: number for number, term in enumerate(terms, start=1)}
    design = np.zeros((len(labels), 1 + len(terms)))
    design[:, 0] = 1
    for row, found in enumerate(shown):
        design[row, [place[term] for term in found]] = 1
    return np.array(weights), design, terms


def _losses_of_folds(
    weight: Numbers, design: Numbers, same: NDArray[np.bool_], spread: float, *, seed: int
) -> Numbers:
    """Of each label, by a fit on the folds to which it does not belong. Each fold has its share of both answers."""
    draw, fold = np.random.default_rng(seed), np.empty(len(same), dtype=np.int64)
    for answer in (True, False):
        chosen = np.flatnonzero(same == answer)
        fold[draw.permutation(chosen)] = np.arange(len(chosen)) % FOLDS
    losses = np.empty(len(same))
    for number in range(FOLDS):
        out = fold == number
        corrections = _fit(weight[~out], design[~out], same[~out], spread)
        losses[out] = _losses(weight[out] + design[out] @ corrections, same[out])
    return losses


def _fit(weight: Numbers, design: Numbers, same: NDArray[np.bool_], spread: float) -> Numbers:
    """The most probable corrections, in bits."""
    ridge, rows = 1 / spread**2, _BIT * design

    def loss(corrections: Numbers) -> tuple[float, Numbers]:
        bits = weight + design @ corrections
        chance = 1 / (1 + np.exp(-np.clip(_BIT * bits, -700, 700)))
        value = _BIT * _losses(bits, same).sum() + ridge * corrections @ corrections / 2
        return float(value), rows.T @ (chance - same) + ridge * corrections

    def curvature(corrections: Numbers) -> Numbers:
        chance = 1 / (1 + np.exp(-np.clip(_BIT * (weight + design @ corrections), -700, 700)))
        found: Numbers = (rows.T * (chance * (1 - chance))) @ rows + ridge * np.eye(design.shape[1])
        return found

    found = minimize(
        loss,
        np.zeros(design.shape[1]),
        jac=True,
        hess=curvature,
        method="trust-exact",
        options={"gtol": _CONVERGED},
    )
    corrections: Numbers = found.x
    return corrections


def _losses(bits: Numbers, same: NDArray[np.bool_]) -> Numbers:
    """How surprising each label is, in bits."""
    found: Numbers = np.logaddexp(0, np.where(same, -bits, bits) * _BIT) / _BIT
    return found


def _rounded(value: float) -> float:
    return round(float(value), 6)
