"""Measures against a count by hand, record by record and pair by pair."""

from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.evaluate import (
    Overlap,
    b_cubed,
    calibration,
    cluster_counts,
    confused,
    found_with,
    measure,
    measure_groups,
    pair_counts,
)

labels = st.lists(st.tuples(st.integers(0, 4), st.integers(0, 4)), min_size=1, max_size=14)
grouped = st.lists(
    st.tuples(st.integers(0, 4), st.integers(0, 4), st.integers(-1, 2)), min_size=1, max_size=14
)


def columns(rows):
    return (np.array(column) for column in zip(*rows, strict=True))


@given(labels)
def test_pairs_are_those_counted_one_by_one(rows):
    truth, predicted = columns(rows)
    pairs = list(combinations(range(len(rows)), 2))
    counts = pair_counts(truth, predicted)
    assert counts.true == sum(truth[a] == truth[b] for a, b in pairs)
    assert counts.predicted == sum(predicted[a] == predicted[b] for a, b in pairs)
    assert counts.both == sum(truth[a] == truth[b] and predicted[a] == predicted[b] for a, b in pairs)


def naive_b_cubed(truth, predicted, rows):
    precision, recall = [], []
    everyone = range(len(truth))
    for i in rows:
        person = {j for j in everyone if truth[j] == truth[i]}
        cluster = {j for j in everyone if predicted[j] == predicted[i]}
        precision.append(len(person & cluster) / len(cluster))
        recall.append(len(person & cluster) / len(person))
    return (np.mean(precision), np.mean(recall)) if precision else (1.0, 1.0)


@given(labels)
def test_b_cubed_is_the_mean_over_records(rows):
    truth, predicted = columns(rows)
    found = b_cubed(truth, predicted)
    assert (found.precision, found.recall) == pytest.approx(naive_b_cubed(truth, predicted, range(len(rows))))
    assert b_cubed(truth, truth).f1 == 1.0
    assert b_cubed(predicted, truth).precision == pytest.approx(found.recall)


def naive_clusters(truth, predicted, rows):
    people, clusters = {truth[i] for i in rows}, {predicted[i] for i in rows}
    of_person = {p: {c for q, c in zip(truth, predicted, strict=True) if q == p} for p in people}
    of_cluster = {c: {p for p, d in zip(truth, predicted, strict=True) if d == c} for c in {*predicted}}
    return (
        len(people),
        len(clusters),
        sum(len(cs) == 1 and all(of_cluster[c] == {p} for c in cs) for p, cs in of_person.items()),
        sum(len(of_cluster[c]) > 1 for c in clusters),
        sum(len(cs) > 1 for cs in of_person.values()),
    )


def counted(clusters):
    return clusters.people, clusters.clusters, clusters.exact, clusters.false_merges, clusters.split_people


@given(grouped)
def test_groups_are_measured_as_their_records_are_one_by_one(rows):
    truth, predicted, group = columns(rows)
    everyone = range(len(rows))
    for number, found in enumerate(measure_groups(Overlap(truth, predicted), group, count=3)):
        inside = [i for i in everyone if group[i] == number]
        ends = [(i, j) for i in inside for j in everyone if i != j]
        assert found.records == len(inside)
        assert found.pairs.true == sum(truth[i] == truth[j] for i, j in ends)
        assert found.pairs.predicted == sum(predicted[i] == predicted[j] for i, j in ends)
        assert found.pairs.both == sum(truth[i] == truth[j] and predicted[i] == predicted[j] for i, j in ends)
        naive = naive_b_cubed(truth, predicted, inside)
        assert (found.b_cubed.precision, found.b_cubed.recall) == pytest.approx(naive)
        assert counted(found.clusters) == naive_clusters(truth.tolist(), predicted.tolist(), inside)


@given(labels)
def test_the_whole_is_the_group_of_all(rows):
    truth, predicted = columns(rows)
    (group,) = measure_groups(Overlap(truth, predicted), np.zeros(len(rows), dtype=int), count=1)
    whole = measure(truth, predicted)
    assert (group.b_cubed, group.clusters) == (whole.b_cubed, whole.clusters)
    assert group.pairs.true == 2 * whole.pairs.true  # each pair has two ends
    assert (group.pairs.precision, group.pairs.recall) == (whole.pairs.precision, whole.pairs.recall)


def test_measures():
    counts = pair_counts(np.array([1, 1, 1, 2, 2]), np.array([7, 7, 8, 8, 8]))
    assert (counts.precision, counts.recall, counts.f1) == pytest.approx((0.5, 0.5, 0.5))


def test_clusters_that_mix_people_and_people_that_are_split():
    counts = cluster_counts(np.array([1, 1, 2, 3, 3]), np.array([7, 7, 8, 8, 9]))
    assert counted(counts) == (3, 3, 1, 1, 1)
    assert (counts.exact_share, counts.split_rate) == (1 / 3, 1 / 3)
    assert counts.false_merges_per_million == pytest.approx(1e6 / 3)


def test_labels_of_other_lengths_are_refused():
    with pytest.raises(ValueError, match="2 true labels and 1 predicted"):
        measure(np.array([1, 2]), np.array([1]))


def test_records_found_with_the_anchor_record_of_their_person():
    truth, predicted = np.array([1, 1, 1, 2, 3, 3]), np.array([5, 5, 6, 5, 7, 7])
    known, found = found_with(truth, predicted, np.array([True, False, False, False, False, False]))
    assert known.tolist() == [True, True, True, False, False, False]
    assert found.tolist() == [True, True, False, False, False, False]


@given(labels)
def test_confused_people_share_a_cluster(rows):
    truth, predicted = columns(rows)
    pairs = list(combinations(range(6), 2))  # person 5 has no records
    found = confused(
        truth, predicted, one=np.array([a for a, _ in pairs]), other=np.array([b for _, b in pairs])
    )
    clusters = {p: {c for q, c in rows if q == p} for p in range(6)}
    there = [(a, b) for a, b in pairs if clusters[a] and clusters[b]]
    assert found.pairs == len(there)
    assert found.merged == sum(bool(clusters[a] & clusters[b]) for a, b in there)


def test_calibration_sets_what_was_predicted_beside_what_is_true():
    weight = np.array([0.0, 0.5, 3.0, 3.0, 50.0, -50.0])
    found = calibration(weight, np.array([True, False, True, False, True, False]), edges=[-2, 0, 2, 4])
    assert [(b.low, b.high, b.pairs, b.observed) for b in found.bins] == [
        (-2, 0, 1, 0.0), (0, 2, 2, 0.5), (2, 4, 3, 2 / 3),
    ]  # fmt: skip
    assert found.bins[0].predicted == pytest.approx(0.0)
    assert found.bins[2].predicted == pytest.approx((8 / 9 * 2 + 1) / 3)
    gaps = [abs(b.predicted - b.observed) for b in found.bins]
    assert found.expected_error == pytest.approx((gaps[0] + 2 * gaps[1] + 3 * gaps[2]) / 6)
    assert found.balanced_error == pytest.approx(sum(gaps) / 3)


def test_weights_that_say_the_truth_are_calibrated():
    random = np.random.default_rng(3)
    weight = random.uniform(-6, 6, 200_000)
    match = random.random(len(weight)) < 1 / (1 + 2.0**-weight)
    honest = calibration(weight, match, edges=range(-6, 7, 2))
    boasting = calibration(weight * 2, match, edges=range(-12, 13, 2))
    assert honest.expected_error < 0.01
    assert boasting.expected_error > 0.05
