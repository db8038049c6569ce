"""Weak bridges: two sides that one pair holds together."""

import numpy as np

from matching.clustering.bridges import weak_bridges
from tests.unit.matching.test_cluster import edges_of, pairs

TWO_SIDES = [(1, 2, 40.0), (3, 4, 40.0)]


def found(edges, *, cluster=(1, 1, 1, 1), must=()):
    record = np.arange(1, len(cluster) + 1)
    return weak_bridges(record, np.array(cluster), edges_of(edges), must=pairs(must), below=20)


def test_one_weak_pair_between_two_sides_is_found():
    [bridge] = found([*TWO_SIDES, (2, 3, 15.0)])
    assert (bridge.left, bridge.right, bridge.weight, bridge.sides) == (2, 3, 15.0, ((1, 2), (3, 4)))


def test_a_strong_pair_or_a_second_one_is_no_weak_bridge():
    assert found([*TWO_SIDES, (2, 3, 20.0)]) == []
    assert found([*TWO_SIDES, (2, 3, 15.0), (1, 4, 6.0)]) == []


def test_a_record_that_hangs_on_by_one_pair_is_no_side():
    assert found([(1, 2, 40.0), (1, 3, 40.0), (2, 3, 40.0), (3, 4, 15.0)]) == []


def test_what_a_person_joined_is_no_weak_bridge():
    assert found([*TWO_SIDES, (2, 3, 15.0)], must=[(2, 3)]) == []
    assert found([*TWO_SIDES, (2, 3, 15.0)], must=[(1, 4)]) == []


def test_pairs_between_clusters_and_conflicts_are_left_aside():
    assert found([*TWO_SIDES, (2, 3, 15.0)], cluster=(1, 1, 3, 3)) == []
    assert len(found([*TWO_SIDES, (2, 3, 15.0), (1, 4, 30.0, 0)])) == 1
