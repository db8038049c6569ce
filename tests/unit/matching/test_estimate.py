"""Estimates from samples: the intervals cover a known truth, and a sample of everything leaves no doubt."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import hypergeom

from matching.estimate import Stratum, allocate, estimate, share_interval, spreads

WORLDS = {
    # linked, pairs, share that is one person: a good linkage, a bad one, a small one
    "good": [(True, 1_200_000, 0.9999), (True, 40_000, 0.995), (True, 3_000, 0.8), (False, 60_000, 0.0004),
             (False, 20_000, 0.004), (False, 3_000, 0.3), (False, 1_500, 0.6)],
    "bad": [(True, 500_000, 0.98), (True, 9_000, 0.6), (False, 600_000, 0.002), (False, 20_000, 0.2), (False, 3_000, 0.7)],
    "small": [(True, 3_000, 0.999), (True, 200, 0.9), (True, 30, 0.5), (False, 400, 0.01), (False, 60, 0.3), (False, 10, 0.5)],
}  # fmt: skip


@pytest.mark.parametrize("world", WORLDS)
@pytest.mark.parametrize("size", [200, 800])
def test_intervals_cover_the_truth(world, size):
    """200 samples of a population of pairs whose truth is known: at least nine in ten intervals hold it."""
    linked, pairs, share = zip(*WORLDS[world], strict=True)
    same = [round(n * s) for n, s in zip(pairs, share, strict=True)]
    expected = [0.9999 if is_linked else 0.01 for is_linked in linked]  # what a model would boast
    drawn = allocate(pairs, spreads(pairs, linked, expected), size=size, least=10)
    found = sum(n for n, is_linked in zip(same, linked, strict=True) if is_linked)
    all_linked = sum(n for n, is_linked in zip(pairs, linked, strict=True) if is_linked)
    truth = np.array([found / all_linked, found / sum(same), 2 * found / (all_linked + sum(same))])
    random = np.random.default_rng(7)
    held = np.zeros(3)
    for _ in range(200):
        counts = [int(random.hypergeometric(k, n - k, d)) for k, n, d in zip(same, pairs, drawn, strict=True)]
        made = estimate([Stratum(*row) for row in zip(linked, pairs, drawn, counts, strict=True)])
        for place, interval in enumerate((made.precision, made.recall, made.f1)):
            assert interval.low <= interval.estimate + 1e-12
            assert interval.estimate <= interval.high + 1e-12
            held[place] += interval.low <= truth[place] + 1e-12 <= interval.high + 2e-12
    assert (held / 200 >= 0.9).all(), held / 200


strata = st.lists(st.integers(1, 300), min_size=1, max_size=6)


@given(strata, st.integers(0, 500), st.data())
def test_allocation_gives_what_was_asked_for_and_no_more_than_there_is(pairs, extra, data):
    weights = data.draw(st.lists(st.floats(0, 5), min_size=len(pairs), max_size=len(pairs)))
    size = sum(min(n, 4) for n in pairs) + extra
    drawn = allocate(pairs, weights, size=size, least=4)
    assert sum(drawn) == min(size, sum(pairs))
    assert all(min(n, 4) <= d <= n for n, d in zip(pairs, drawn, strict=True))


def test_allocation_follows_size_and_spread():
    drawn = allocate([100_000, 100_000, 50_000], [0.1, 0.2, 0.2], size=400, least=10)
    assert drawn == [100, 200, 100]


def test_too_few_to_draw_is_refused():
    with pytest.raises(ValueError, match="at least 20"):
        allocate([100, 100], [1, 1], size=19, least=10)


@settings(max_examples=60)
@given(st.integers(1, 40), st.data())
def test_limits_of_a_share_are_the_numbers_that_would_be_no_surprise(pairs, data):
    judged = data.draw(st.integers(1, pairs))
    same = data.draw(st.integers(0, judged))
    found = share_interval(same, judged, pairs)
    tail = 0.025
    possible = [
        k
        for k in range(same, pairs - (judged - same) + 1)
        if (same == 0 or hypergeom.sf(same - 1, pairs, k, judged) > tail + 1e-12)
        and (same == judged or hypergeom.cdf(same, pairs, k, judged) > tail + 1e-12)
    ]
    assert (found.low, found.high) == (min(possible) / pairs, max(possible) / pairs)


def test_a_stratum_without_answers_may_be_anything():
    assert (share_interval(0, 0, 9).low, share_interval(0, 0, 9).high) == (0.0, 1.0)


def test_a_sample_of_everything_leaves_no_doubt():
    made = estimate([Stratum(True, 50, 50, 45), Stratum(False, 30, 30, 5)])
    assert (made.precision.low, made.precision.high) == pytest.approx((0.9, 0.9))
    assert (made.recall.low, made.recall.estimate, made.recall.high) == pytest.approx((0.9, 0.9, 0.9))
    assert made.f1.estimate == pytest.approx(0.9)
    assert (made.missed.low, made.missed.high) == (5, 5)


def test_no_linked_pair_that_is_true_leaves_recall_open():
    made = estimate([Stratum(True, 50, 10, 0), Stratum(False, 30, 10, 1)])
    assert (made.precision.low, made.recall.low) == (0.0, 0.0)
    assert made.recall.high == 1.0
