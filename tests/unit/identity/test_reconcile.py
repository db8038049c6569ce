"""Proposed clusters against existing entities: what happens by itself, and what becomes a question."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from mdm.identity.reconcile import NO_ENTITY, EntityFacts, Merge, Move, Proposal, reconcile


def proposal(*rows):
    """Rows of (record, cluster, entity)."""
    record, cluster, entity = (np.array(column, dtype=np.int64) for column in zip(*rows, strict=True))
    return Proposal(record=record, cluster=cluster, entity=entity)


def facts(*, protected=(), ages=None):
    return EntityFacts(
        formed_event=ages or {key: key for key in range(1, 50)}, protected=frozenset(protected)
    )


def groups(result):
    made = {}
    for record, group in zip(result.formed_record.tolist(), result.formed_group.tolist(), strict=True):
        made.setdefault(group, set()).add(record)
    return sorted(map(sorted, made.values()))


def test_clusters_of_new_records_form_entities():
    result = reconcile(proposal((1, 1, NO_ENTITY), (2, 1, NO_ENTITY), (3, 3, NO_ENTITY)), facts())
    assert groups(result) == [[1, 2], [3]]


def test_the_same_clusters_again_change_nothing():
    result = reconcile(proposal((1, 1, 10), (2, 1, 10), (3, 3, 11)), facts())
    assert result.is_empty
    assert result.questions == []


def test_a_new_record_joins_the_entity_of_its_cluster():
    result = reconcile(proposal((1, 1, 10), (2, 1, NO_ENTITY), (3, 3, 11)), facts())
    assert (result.linked_record.tolist(), result.linked_entity.tolist()) == ([2], [10])


def test_two_entities_in_one_cluster_merge_into_the_one_with_a_number():
    result = reconcile(proposal((1, 1, 10), (2, 1, 10), (3, 1, 11)), facts(protected=[11]))
    assert result.merges == [Merge(survivor=11, merged=10)]


def test_without_numbers_the_entity_with_more_records_survives_then_the_older():
    assert reconcile(proposal((1, 1, 10), (2, 1, 11), (3, 1, 11)), facts()).merges == [Merge(11, 10)]
    assert reconcile(proposal((1, 1, 10), (2, 1, 11)), facts(ages={10: 9, 11: 4})).merges == [Merge(11, 10)]


def test_two_numbers_never_merge_by_themselves():
    result = reconcile(proposal((1, 1, 10), (2, 1, 11)), facts(protected=[10, 11]))
    assert result.is_empty
    assert [question.reason for question in result.questions] == ["merge.two_numbers"]


def test_records_leave_an_entity_without_number_for_one_of_their_own():
    result = reconcile(proposal((1, 1, 10), (2, 1, 10), (3, 3, 10)), facts())
    assert result.moves == [Move(source=10, target=None, records=(3,))]
    assert groups(result) == [[3]]


def test_a_number_holder_loses_no_record_without_a_person():
    result = reconcile(proposal((1, 1, 10), (2, 1, 10), (3, 3, 10)), facts(protected=[10]))
    assert result.is_empty
    assert [question.reason for question in result.questions] == ["split.number_affected"]


def test_records_move_from_one_entity_to_another():
    result = reconcile(proposal((1, 1, 10), (2, 2, 10), (3, 2, 11), (4, 2, 11)), facts())
    assert result.moves == [Move(source=10, target=11, records=(2,))]


def test_new_records_of_a_tangled_cluster_form_one_entity():
    # cluster 2 holds a part of entity 10, which stays with cluster 1, and new records
    result = reconcile(
        proposal((1, 1, 10), (2, 1, 10), (3, 2, 10), (4, 2, NO_ENTITY), (5, 2, NO_ENTITY)),
        facts(protected=[10]),
    )
    assert groups(result) == [[4, 5]]
    assert [question.reason for question in result.questions] == ["split.number_affected"]


def test_a_question_has_the_same_subject_every_time():
    rows = [(1, 1, 10), (2, 1, 11)]
    first, second = (
        reconcile(proposal(*order), facts(protected=[10, 11])).questions for order in (rows, rows[::-1])
    )
    assert [question.subject for question in first] == [question.subject for question in second]


records = st.lists(
    st.tuples(st.integers(1, 6), st.sampled_from([NO_ENTITY, 10, 11, 12, 13])), min_size=1, max_size=12
)


@given(
    rows=records, protected=st.sets(st.sampled_from([10, 11, 12, 13])), seed=st.randoms(use_true_random=False)
)
def test_the_outcome_does_not_depend_on_the_order_of_records(rows, protected, seed):
    numbered = [(place, cluster, entity) for place, (cluster, entity) in enumerate(rows)]
    shuffled = list(numbered)
    seed.shuffle(shuffled)
    one, two = (reconcile(proposal(*order), facts(protected=protected)) for order in (numbered, shuffled))
    assert groups(one) == groups(two)
    assert sorted(zip(one.linked_record, one.linked_entity, strict=True)) == sorted(
        zip(two.linked_record, two.linked_entity, strict=True)
    )
    assert one.merges == two.merges
    assert one.moves == two.moves
    assert one.questions == two.questions


@given(rows=records, protected=st.sets(st.sampled_from([10, 11, 12, 13])))
def test_every_record_ends_in_one_entity_and_numbers_are_safe(rows, protected):
    numbered = [(place, cluster, entity) for place, (cluster, entity) in enumerate(rows)]
    result = reconcile(proposal(*numbered), facts(protected=protected))
    home = {record: entity for record, _, entity in numbered if entity != NO_ENTITY}
    leaving = {record for move in result.moves if move.target is None for record in move.records}
    for group in groups(result):
        for record in group:
            assert record not in home or record in leaving
            home[record] = ("new", group[0])
    assert all(home[record][0] == "new" for record in leaving)
    for record, entity in zip(result.linked_record.tolist(), result.linked_entity.tolist(), strict=True):
        assert record not in home
        home[record] = entity
    assert set(home) == {record for record, *_ in numbered}
    for move in result.moves:
        assert move.source not in protected
    for merge in result.merges:
        assert not {merge.survivor, merge.merged} <= protected
    merged = [merge.merged for merge in result.merges]
    assert len(merged) == len(set(merged))
    assert set(merged).isdisjoint(merge.survivor for merge in result.merges)


@given(rows=records)
def test_carrying_it_out_leaves_nothing_to_do(rows):
    """Without numbers nothing needs a person, so the clusters come about and proposing them again is empty."""
    numbered = [(place, cluster, entity) for place, (cluster, entity) in enumerate(rows)]
    result = reconcile(proposal(*numbered), facts())
    home = {record: entity for record, _, entity in numbered}
    home.update(zip(result.linked_record.tolist(), result.linked_entity.tolist(), strict=True))
    fresh = 100
    for group in groups(result):
        home.update(dict.fromkeys(group, fresh))
        fresh += 1
    for move in result.moves:
        if move.target is not None:
            home.update(dict.fromkeys(move.records, move.target))
    survivors = {merge.merged: merge.survivor for merge in result.merges}
    home = {record: survivors.get(entity, entity) for record, entity in home.items()}
    again = reconcile(
        proposal(*((record, cluster, home[record]) for record, cluster, _ in numbered)),
        facts(ages=dict.fromkeys(set(home.values()), 1)),
    )
    assert again.is_empty


def test_a_question_on_many_records_has_a_short_name_of_its_own():
    """Subjects are indexed; what they are about stands in the detail."""
    asked = []
    for last in (3_000, 3_001):
        rows = [(record, 1, 10 if record < 1_500 else 11) for record in range(last)]
        (question,) = reconcile(proposal(*rows), facts(protected={10, 11})).questions
        assert len(question.subject) < 200
        assert question.detail["records"]
        asked.append(question.subject)
    assert len(set(asked)) == 2
