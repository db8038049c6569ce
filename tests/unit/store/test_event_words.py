"""Every event that can touch an entity is told in words, in both languages, without values or numbers."""

import re

import pytest

from mdm.identity.events import EventKind
from mdm.store.event_words import GOLDEN_CHANGED, Told, Words, words

SELF, OTHER = "self", "other"
NUMBER, TEMPORARY = "200000000013", "100000000015"
ISSUED = {"number": NUMBER, "kind": "ssn", "reason": "anchored", "sequence": 1}


def told(kind, *, entity=SELF, records=0, **data):
    return Told(kind=kind, entity=entity, data=data, seen_from=SELF, records=records)


CASES = [
    (told("entity.formed", records=1), "1 bản ghi", "Formed of 1 record"),
    (told("records.linked", records=2), "2 bản ghi", "2 records joined"),
    (told("records.detached", records=1), "1 bản ghi", "1 record left"),
    (told("entity.retired"), "Ngừng dùng", "Retired"),
    (told("entity.merged", merged=OTHER, records=3), "Nhập other", "Took in other with 3 records"),
    (told("entity.merged", entity=OTHER, merged=SELF), "Nhập vào other", "Merged into other"),
    (
        told("entity.unmerged", restored=OTHER, merge=9),
        "hủy việc nhập ở sự kiện 9",
        "merge of event 9 was undone",
    ),
    (
        told("entity.unmerged", entity=OTHER, restored=SELF, merge=9),
        "Trở lại từ other",
        "Came back from other",
    ),
    (told("entity.split", into=OTHER, records=2), "thành other", "split off as other"),
    (told("entity.split", entity=OTHER, into=SELF), "Tách ra từ other", "Split from other"),
    (Told("number.issued", SELF, ISSUED, SELF), "số an sinh xã hội", "social-security number was issued"),
    (told("number.changed", number=NUMBER, state="deceased"), "người đã mất", "has died"),
    (told("number.changed", number=TEMPORARY, state="superseded"), "thay bằng", "superseded"),
    (told("decision.made", decision="must_link"), "cùng một người", "one person's"),
    (told("decision.made", decision="cannot_link"), "hai người", "two people's"),
    (told("decision.revoked"), "Thu hồi", "revoked"),
    (
        Told("golden.computed", None, {}, SELF, golden=GOLDEN_CHANGED, attributes=(Words("Họ tên", "Name"),)),
        "thay đổi: Họ tên",
        "changed: Name",
    ),
    (
        Told("aliases.changed", None, {}, SELF, known=1, unknown=2),
        "Thêm 1 số hiệu, bớt 2 số hiệu",
        "Known by 1 more number, no longer known by 2 numbers",
    ),
]


@pytest.mark.parametrize(("given", "vi", "en"), CASES, ids=lambda case: getattr(case, "kind", None))
def test_an_event_is_told_from_the_side_of_the_entity(given, vi, en):
    said = words(given)
    assert vi.lower() in said.vi.lower()
    assert en.lower() in said.en.lower()
    assert not re.search(r"\d{9}", said.vi + said.en)


def test_every_kind_that_touches_an_entity_has_words():
    without = {
        EventKind.STORE_CREATED,
        EventKind.KEY_BOUND,
        EventKind.STORE_RESTORED,
        EventKind.BATCH_LANDED,
        EventKind.QUARANTINE_RESOLVED,
        EventKind.MODEL_KEPT,
        EventKind.EDGES_SCORED,
        EventKind.REVIEWS_RAISED,
        EventKind.REVIEW_DECIDED,
        EventKind.APPROVAL_ASKED,
        EventKind.APPROVAL_GIVEN,
        EventKind.RUN_FINISHED,
    }
    assert {EventKind(given.kind) for given, *_ in CASES} == set(EventKind) - without


def test_a_kind_without_words_is_told_by_its_name():
    assert words(told("run.finished")) == Words("run.finished", "run.finished")
