"""Counts of pairs and clusters against a count by hand."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.evaluate import cluster_counts, pair_counts

labels = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=14)


@given(labels)
def test_pairs_are_those_counted_one_by_one(rows):
    truth, predicted = (np.array(column) for column in zip(*rows, strict=True))
    pairs = list(combinations(range(len(rows)), 2))
    counts = pair_counts(truth, predicted)
    assert counts.true == sum(truth[a] == truth[b] for a, b in pairs)
    assert counts.predicted == sum(predicted[a] == predicted[b] for a, b in pairs)
    assert counts.both == sum(truth[a] == truth[b] and predicted[a] == predicted[b] for a, b in pairs)


def test_measures():
    counts = pair_counts(np.array([1, 1, 1, 2, 2]), np.array([7, 7, 8, 8, 8]))
    assert (counts.precision, counts.recall, counts.f1) == pytest.approx((0.5, 0.5, 0.5))


def test_clusters_that_mix_people_and_people_that_are_split():
    counts = cluster_counts(np.array([1, 1, 2, 3, 3]), np.array([7, 7, 8, 8, 9]))
    assert (counts.people, counts.clusters, counts.exact, counts.false_merges, counts.split_people) == (
        3,
        3,
        1,
        1,
        1,
    )
