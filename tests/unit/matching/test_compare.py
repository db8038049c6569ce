"""Two partitions side by side."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from matching.compare import partition_changes

labels = st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=14)


@pytest.mark.parametrize(
    ("before", "after", "kinds", "group"),
    [
        ([1, 1, 2], [8, 8, 9], [], [-1, -1, -1]),
        ([1, 1, 2], [8, 9, 7], ["split"], [0, 0, -1]),
        ([1, 2, 3], [8, 8, 9], ["joined"], [0, 0, -1]),
        ([1, 1, 2, 2, 3], [8, 9, 9, 9, 7], ["moved"], [0, 0, 0, 0, -1]),
    ],
)
def test_kinds_of_changes(before, after, kinds, group):
    changes = partition_changes(np.array(before), np.array(after))
    assert changes.kinds == kinds
    assert changes.group.tolist() == group
    assert sum(changes.counts().values()) == len(kinds)


@given(labels)
def test_a_record_is_unchanged_where_its_cluster_holds_the_same_records(rows):
    before, after = (np.array(column) for column in zip(*rows, strict=True))
    changes = partition_changes(before, after)
    for place in range(len(rows)):
        same = {*np.flatnonzero(before == before[place])} == {*np.flatnonzero(after == after[place])}
        assert (changes.group[place] < 0) == same
    back = partition_changes(after, before)
    turned = {"split": "joined", "joined": "split", "moved": "moved"}
    assert sorted(back.kinds) == sorted(turned[kind] for kind in changes.kinds)
