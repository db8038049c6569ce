"""Clusters: evidence between wholes, constraints, reasons, and no dependence on order."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from matching.cluster import cluster
from matching.clustering.agglomeration import Between
from matching.clustering.constraints import FREE, Exclusion, Impossible, Verified
from matching.clustering.inputs import NO_CONFLICT, Decided, Edges, Evidence, Rules, millibits

RULES = Rules(link=14, merge=4, unscored=-1, largest=300, conflicts=("shared_number",))


def pairs(given):
    return np.array(sorted(map(tuple, map(sorted, given))), dtype=np.int64).reshape(-1, 2)


def edges_of(given):
    """(record, record, bits) or (record, record, bits, conflict)."""
    rows = [(*row, NO_CONFLICT)[:4] for row in given]
    left, right, weight, conflict = (
        (list(column) for column in zip(*rows, strict=True)) if rows else ([],) * 4
    )
    whole = [np.array(column, dtype=np.int64) for column in (left, right, conflict)]
    return Edges(whole[0], whole[1], np.array(weight, dtype=float), whole[2])


def made(edges, *, size=8, constraints=(), must=(), cannot=(), rules=RULES, records=None, **more):
    return cluster(
        np.arange(1, size + 1) if records is None else np.array(records),
        edges_of(edges),
        rules=rules,
        constraints=constraints,
        decided=Decided(pairs(must), pairs(cannot)),
        **more,
    )


def groups(clusters):
    found = {}
    for record, name in zip(clusters.record.tolist(), clusters.cluster.tolist(), strict=True):
        found.setdefault(name, []).append(record)
    return found


def together(clusters):
    return [records for records in groups(clusters).values() if len(records) > 1]


def reasons(clusters):
    return [(r.left, r.right, r.reason) for r in clusters.refused]


def one_of_a_kind(*labels):
    return Exclusion("one of a kind", np.array(labels))


def test_clusters_are_named_by_their_smallest_record():
    found = groups(made([(2, 3, 20.0), (3, 7, 15.0), (2, 7, 16.0)], size=7))
    assert found == {1: [1], 2: [2, 3, 7], 4: [4], 5: [5], 6: [6]}


def test_no_records_give_no_clusters():
    assert groups(made([], size=0)) == {}


def test_a_component_whose_pairs_agree_needs_no_closer_look():
    clusters = made([(1, 2, 30.0), (1, 3, 5.0), (2, 3, 15.0)], size=3)
    assert (together(clusters), clusters.examined) == ([[1, 2, 3]], 0)


def test_a_chain_whose_ends_were_never_compared_holds():
    clusters = made([(1, 2, 30.0), (2, 3, 30.0)], size=3)
    assert (together(clusters), clusters.refused, clusters.examined) == ([[1, 2, 3]], [], 3)


def test_one_link_does_not_join_wholes_that_contradict_each_other():
    against = [(one, two, -10.0) for one in (1, 2, 3) for two in (4, 5, 6) if (one, two) != (3, 4)]
    within = [(1, 2, 30.0), (1, 3, 30.0), (2, 3, 30.0), (4, 5, 30.0), (4, 6, 30.0), (5, 6, 30.0)]
    clusters = made([*within, (3, 4, 20.0), *against], size=6)
    assert together(clusters) == [[1, 2, 3], [4, 5, 6]]
    [refused] = clusters.refused
    assert (refused.left, refused.right, refused.weight, refused.reason) == (3, 4, 20.0, "contradicted")
    assert refused.evidence == pytest.approx((20 - 80) / 9, abs=0.001)


def test_pairs_between_the_thresholds_join_nothing():
    assert together(made([(1, 2, 13.9), (2, 3, 13.9), (1, 3, 13.9)], size=3)) == []


def compared(table, *, prior=-10.0):
    """`table[pair]` has bits of each comparison, None where a value is missing."""

    def score(left, right):
        rows = [table.get((a, b), [None, None]) for a, b in zip(left.tolist(), right.tolist(), strict=True)]
        parts = np.array([[0.0 if bits is None else bits for bits in row] for row in rows]).reshape(-1, 2)
        present = np.array([[bits is not None for bits in row] for row in rows]).reshape(-1, 2)
        weight = prior + parts.sum(axis=1)
        conflict = np.full(len(rows), NO_CONFLICT)
        return Evidence(
            millibits(weight), conflict, millibits(parts), np.zeros_like(millibits(parts)), present
        )

    return score


def test_what_cannot_be_compared_says_nothing():
    """One holds the personal number, one the insurance number, one both: a chain of any length is one person."""
    table = {(1, 2): [26.0, None], (1, 3): [26.0, None], (2, 3): [26.0, None], (3, 4): [None, 26.0]}
    links = [(1, 2, 16.0), (1, 3, 16.0), (2, 3, 16.0), (3, 4, 16.0)]
    assert together(made(links, size=4, score=compared(table))) == [[1, 2, 3, 4]]
    table |= {(1, 4): [-26.0, None], (2, 4): [-26.0, None]}
    clusters = made(links, size=4, score=compared(table))
    assert (together(clusters), reasons(clusters)) == ([[1, 2, 3]], [(3, 4, "contradicted")])


def test_what_the_alternative_takes_away_is_told_of_wholes():
    """Two records of each of two brothers: no pair shares enough to look like a family, their means do."""
    bits, leaning = np.array([[30.0, 0.0], [0.0, 10.0]] * 2), np.array([[8.0, 0.0], [0.0, 9.0]] * 2)

    def between(odds):
        evidence = Evidence(
            weight=millibits(bits.sum(axis=1) - 10 - np.log2(1 + odds * 2 ** leaning.sum(axis=1))),
            conflict=np.full(4, NO_CONFLICT),
            parts=millibits(bits),
            leaning=millibits(leaning),
            present=bits > 0,
        )
        one, two = np.array([0, 0, 1, 1]), np.array([2, 3, 2, 3])
        rows = Between.of_pairs(one, two, evidence, apart=np.full(4, FREE), link=10_000, odds=odds)
        return rows.regrouped(np.array([0, 0, 2, 2])).weight(odds).tolist()

    assert between(0.0) == [30_000.0]  # -10 + 30 + 10
    assert between(0.5) == pytest.approx([30_000 - 1000 * np.log2(1 + 0.5 * 2**17)], abs=3)


def test_two_records_of_one_label_are_kept_apart_and_the_question_names_the_constraint():
    clusters = made(
        [(1, 2, 40.0), (2, 3, 15.0), (3, 4, 40.0)], size=4, constraints=[one_of_a_kind(0, -1, -1, 0)]
    )
    assert together(clusters) == [[1, 2], [3, 4]]
    assert reasons(clusters) == [(2, 3, "one of a kind")]


def test_who_goes_equally_well_with_two_that_are_apart_goes_with_neither():
    constraints = [one_of_a_kind(0, -1, 0)]
    clusters = made([(1, 2, 20.0), (2, 3, 18.0)], size=3, constraints=constraints)
    assert together(clusters) == []
    assert reasons(clusters) == [(1, 2, "ambiguous"), (2, 3, "ambiguous")]
    clear = made([(1, 2, 40.0), (2, 3, 18.0)], size=3, constraints=constraints)
    assert (together(clear), reasons(clear)) == ([[1, 2]], [(2, 3, "one of a kind")])


def test_an_error_in_one_of_two_records_does_not_make_a_third_ambiguous():
    facts = Impossible("sex and year", np.array([[0, 1980], [-1, -1], [1, 1990]]), np.array([0, 1]))
    clusters = made([(1, 2, 20.0), (2, 3, 18.0)], size=3, constraints=[facts])
    assert (together(clusters), reasons(clusters)) == ([[1, 2]], [(2, 3, "sex and year")])


def test_impossible_facts_differ_all_and_by_more_than_declared():
    def joined(*facts):
        rule = Impossible("sex and year", np.array(facts), np.array([0, 1]))
        return together(made([(1, 2, 60.0)], size=2, constraints=[rule])) == [[1, 2]]

    assert not joined((0, 1980), (1, 1982))
    assert joined((0, 1980), (1, 1981))
    assert joined((0, 1980), (0, 1999))
    assert joined((0, 1980), (1, -1))


def test_two_verified_numbers_are_two_people():
    verified = Verified("verified_number", np.array([7, 9, -1, 7]))
    clusters = made([(1, 2, 60.0), (1, 4, 60.0), (3, 4, 60.0)], size=4, constraints=[verified])
    assert (together(clusters), reasons(clusters)) == ([[1, 3, 4]], [(1, 2, "verified_number")])


def test_a_conflict_is_bridged_by_nobody():
    clusters = made([(1, 2, 30.0), (2, 3, 20.0), (1, 3, 25.0, 0)], size=3)
    assert (together(clusters), reasons(clusters)) == ([[1, 2]], [(2, 3, "conflict.shared_number")])


def test_what_must_link_is_one_and_keeps_the_rest_apart():
    """Cannot-link holds for all that must be one with its records."""
    links = [(2, 3, 80.0), (3, 4, 20.0)]
    clusters = made(links, size=4, must=[(1, 2)], cannot=[(1, 4)])
    assert (together(clusters), reasons(clusters)) == ([[1, 2, 3]], [(3, 4, "decision")])
    both = made([], size=4, must=[(1, 2), (2, 3)], cannot=[(1, 3)], constraints=[one_of_a_kind(0, 0, 0, 0)])
    assert together(both) == [[1, 2, 3]]


def test_decisions_on_records_that_are_not_there_are_left_aside():
    clusters = made([(1, 2, 20.0)], size=2, must=[(2, 9)], cannot=[(1, 8)])
    assert together(clusters) == [[1, 2]]


def test_a_component_that_is_too_large_is_cut_where_it_is_weakest():
    rules = Rules(link=14, merge=4, unscored=-1, largest=4)
    clusters = made(
        [(1, 2, 40.0), (2, 3, 40.0), (3, 4, 15.0), (4, 5, 40.0), (5, 6, 40.0)],
        size=7,
        rules=rules,
        must=[(6, 7)],
    )
    assert together(clusters) == [[1, 2, 3], [4, 5, 6, 7]]
    assert reasons(clusters) == [(3, 4, "too_large")]


def test_components_are_looked_at_in_batches(monkeypatch):
    links = [(1, 2, 30.0), (2, 3, 30.0), (4, 5, 30.0), (5, 6, 30.0), (7, 8, 30.0), (1, 3, -70.0), (4, 6, 1.0)]
    whole = made(links)
    monkeypatch.setattr("matching.cluster._PAIRS_AT_ONCE", 3)
    parted = made(links)
    assert groups(parted) == groups(whole)
    assert (parted.refused, parted.refined) == (whole.refused, whole.refined)


SIZE = 8
RECORDS = st.integers(1, SIZE)
PAIR = st.tuples(RECORDS, RECORDS).filter(lambda pair: pair[0] < pair[1])
WEIGHT = st.sampled_from([-20.0, -3.0, 2.0, 8.0, 14.0, 15.0, 20.0, 45.0])


@st.composite
def problems(draw):
    scored = draw(
        st.dictionaries(PAIR, st.tuples(WEIGHT, st.sampled_from([NO_CONFLICT] * 7 + [0])), max_size=18)
    )
    return {
        "edges": [(*pair, *said) for pair, said in scored.items()],
        "labels": draw(st.lists(st.integers(-1, 1), min_size=SIZE, max_size=SIZE)),
        "verified": draw(st.lists(st.integers(-1, 2), min_size=SIZE, max_size=SIZE)),
        "must": draw(st.lists(PAIR, max_size=2)),
        "cannot": draw(st.lists(PAIR, max_size=2)),
    }


def solved(problem, *, records=None, edges=None):
    records = list(range(1, SIZE + 1)) if records is None else records
    place = np.array(records, dtype=np.int64) - 1
    return made(
        problem["edges"] if edges is None else edges,
        records=records,
        constraints=[
            Exclusion("label", np.array(problem["labels"])[place]),
            Verified("verified", np.array(problem["verified"])[place]),
        ],
        must=problem["must"],
        cannot=problem["cannot"],
    )


@settings(deadline=None, max_examples=60)
@given(problem=problems(), order=st.randoms(use_true_random=False))
def test_order_does_not_matter(problem, order):
    shuffled = list(problem["edges"])
    order.shuffle(shuffled)
    one, two = solved(problem), solved(problem, edges=shuffled)
    assert groups(one) == groups(two)
    assert one.refused == two.refused


@settings(deadline=None, max_examples=60)
@given(problem=problems())
def test_constraints_hold_but_for_what_must_be_one(problem):
    clusters = solved(problem)
    home = dict(zip(clusters.record.tolist(), clusters.cluster.tolist(), strict=True))
    for one, two in problem["must"]:
        assert home[one] == home[two]
    of_must = {record for pair in problem["must"] for record in pair}
    for records in groups(clusters).values():
        free = [record for record in records if record not in of_must]
        labels = [problem["labels"][r - 1] for r in free if problem["labels"][r - 1] >= 0]
        assert len(labels) == len(set(labels))
        assert len({problem["verified"][r - 1] for r in free} - {-1}) <= 1
    for one, two in problem["cannot"]:
        assert home[one] != home[two] or of_must & {one, two} or (one, two) in problem["must"]
    for left, right, _, conflict in problem["edges"]:
        assert conflict == NO_CONFLICT or home[left] != home[right] or of_must & {left, right}


@settings(deadline=None, max_examples=60)
@given(problem=problems())
def test_every_link_is_inside_a_cluster_or_its_two_clusters_have_a_reason(problem):
    clusters = solved(problem)
    home = dict(zip(clusters.record.tolist(), clusters.cluster.tolist(), strict=True))
    told = {frozenset((home[r.left], home[r.right])) for r in clusters.refused}
    apart = {
        frozenset((home[left], home[right]))
        for left, right, weight, conflict in problem["edges"]
        if weight >= RULES.link and conflict == NO_CONFLICT and home[left] != home[right]
    }
    assert told == apart


@settings(deadline=None, max_examples=60)
@given(problem=problems(), data=st.data())
def test_whole_components_are_clustered_alike_alone_and_together(problem, data):
    linked = [(a, b) for a, b, weight, conflict in problem["edges"] if weight >= RULES.link and conflict < 0]
    component = {record: record for record in range(1, SIZE + 1)}
    for _ in range(SIZE):
        for a, b in [*linked, *problem["must"]]:
            component[a] = component[b] = min(component[a], component[b])
    chosen = data.draw(st.sets(st.sampled_from(sorted(set(component.values())))))
    records = [record for record, name in component.items() if name in chosen]
    edges = [edge for edge in problem["edges"] if edge[0] in records and edge[1] in records]
    whole, alone = solved(problem), solved(problem, records=records, edges=edges)
    assert groups(alone) == {name: them for name, them in groups(whole).items() if set(them) & set(records)}
    assert alone.refused == [r for r in whole.refused if r.left in records]
