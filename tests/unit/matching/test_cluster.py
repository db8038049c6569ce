"""Clusters: components, constraints, and no dependence on order."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from matching.cluster import Edges, Exclusion, cluster


def made(edges, *, size=8, labels=None):
    left, right, weight = (list(column) for column in zip(*edges, strict=True)) if edges else ([], [], [])
    exclusions = [] if labels is None else [Exclusion("one of a kind", np.array(labels))]
    return cluster(
        np.arange(1, size + 1),
        Edges(np.array(left, dtype=np.int64), np.array(right, dtype=np.int64), np.array(weight, dtype=float)),
        exclusions=exclusions,
    )


def groups(clusters):
    found = {}
    for record, name in zip(clusters.record.tolist(), clusters.cluster.tolist(), strict=True):
        found.setdefault(name, []).append(record)
    return found


def test_components_are_named_by_their_smallest_record():
    assert groups(made([(2, 3, 20.0), (3, 7, 15.0)], size=7)) == {
        1: [1],
        2: [2, 3, 7],
        4: [4],
        5: [5],
        6: [6],
    }


def test_no_records_give_no_clusters():
    assert groups(made([], size=0)) == {}


def test_two_records_of_one_label_are_kept_apart_at_the_weakest_edge():
    clusters = made([(1, 2, 30.0), (2, 3, 15.0), (3, 4, 30.0)], size=4, labels=[0, -1, -1, 0])
    assert groups(clusters) == {1: [1, 2], 3: [3, 4]}
    assert [(r.left, r.right, r.constraint) for r in clusters.refused] == [(2, 3, "one of a kind")]


def test_components_without_a_breach_are_left_as_they_are():
    clusters = made([(1, 2, 30.0), (3, 4, 15.0), (4, 5, 15.0)], size=5, labels=[0, 0, -1, -1, 0])
    assert groups(clusters) == {1: [1], 2: [2], 3: [3, 4, 5]}


edge = st.tuples(st.integers(1, 7), st.integers(1, 7), st.sampled_from([14.0, 15.0, 20.0])).filter(
    lambda e: e[0] < e[1]
)


@given(
    edges=st.lists(edge, max_size=14, unique_by=lambda e: e[:2]),
    labels=st.lists(st.integers(-1, 1), min_size=7, max_size=7),
    order=st.randoms(use_true_random=False),
)
def test_order_does_not_matter_and_no_label_is_twice_in_a_cluster(edges, labels, order):
    shuffled = list(edges)
    order.shuffle(shuffled)
    one, two = made(edges, size=7, labels=labels), made(shuffled, size=7, labels=labels)
    assert groups(one) == groups(two)
    assert one.refused == two.refused
    for records in groups(one).values():
        carried = [labels[record - 1] for record in records if labels[record - 1] >= 0]
        assert len(carried) == len(set(carried))
