"""One plain sentence, in Vietnamese or English, on why a golden value is what it is."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from golden_record.provenance import OVERRIDE, TIE_BREAK, UNCONTESTED, Decision, Golden

if TYPE_CHECKING:
    from collections.abc import Mapping

Language = Literal["vi", "en"]

# What is said of the value chosen against the first one left, by criterion.
_REASONS: Mapping[Language, Mapping[str, str]] = {
    "vi": {
        "valid": "giá trị này không có nghi vấn khi kiểm tra",
        "precedence": "nguồn này đứng trước theo thứ tự ưu tiên đã quy định",
        "trust": "nguồn này được tin cậy hơn",
        "decaying_trust": "nguồn này được tin cậy hơn khi đã tính độ mới của dữ liệu",
        "most_recent": "bản ghi này mới hơn",
        "most_frequent": "giá trị này được nhiều nơi ghi nhận hơn",
        "most_complete:date": "ngày tháng này đầy đủ hơn",
        "most_complete:words": "giá trị này có đủ từ hơn",
        "most_complete:marks": "giá trị này còn đủ dấu hơn",
        "most_members": "nhóm giá trị này có nhiều thành phần hơn",
        "longest": "giá trị này dài hơn",
        "minimum": "quy tắc lấy giá trị nhỏ nhất",
        "maximum": "quy tắc lấy giá trị lớn nhất",
        "personal_number_agrees": "số này phù hợp hơn với giới tính và năm sinh",
        TIE_BREAK: "không tiêu chí nào phân biệt được nên xếp theo thứ tự chữ",
    },
    "en": {
        "valid": "this value raised fewer doubts when it was checked",
        "precedence": "this source comes first in the declared order",
        "trust": "this source is trusted more",
        "decaying_trust": "this source is trusted more, the age of the record counted in",
        "most_recent": "this record is more recent",
        "most_frequent": "more sources hold this value",
        "most_complete:date": "this date is more complete",
        "most_complete:words": "this value has more words",
        "most_complete:marks": "this value keeps more of its marks",
        "most_members": "this one has more of its parts filled",
        "longest": "this value is longer",
        "minimum": "the rule takes the lowest",
        "maximum": "the rule takes the highest",
        "personal_number_agrees": "this number agrees better with sex and birth year",
        TIE_BREAK: "no criterion told them apart, so they go in order of text",
    },
}


def explain(golden: Golden, *, attribute: str, language: Language) -> str:
    """Names no value, only records, so that it may be shown where values are masked."""
    decision = golden.decision_on(attribute)
    if decision is None:
        return "Không nguồn nào có giá trị này." if language == "vi" else "No source holds this value."
    if decision.criterion == OVERRIDE:
        return _by_steward(decision, language=language)
    sources = ", ".join(
        f"{source.record} (phiên bản {source.version})"
        if language == "vi"
        else f"{source.record} (version {source.version})"
        for source in decision.chosen
    )
    agree = max(source.agree for source in decision.chosen)
    held = "1 record holds" if agree == 1 else f"{agree} records hold"
    if decision.rule is None:
        if language == "vi":
            return f"Lấy từ bản ghi {sources}, {agree} bản ghi cùng giá trị: không nguồn nào nói khác."
        return f"Taken from record {sources}, {held} this value: no source says otherwise."
    reason = _reason(decision, language=language)
    if language == "vi":
        return (
            f"Lấy từ bản ghi {sources}, {agree} bản ghi cùng giá trị, theo quy tắc {decision.rule}: {reason}."
        )
    return f"Taken from record {sources}, {held} this value, by the rule {decision.rule}: {reason}."


def _by_steward(decision: Decision, *, language: Language) -> str:
    if language == "vi":
        act = "quyết định" if decision.chosen else "quyết định để trống"
        return f"Do cán bộ {decision.by} {act} lúc {decision.at}, đứng trên mọi quy tắc."
    act = "decided" if decision.chosen else "withheld"
    return f"The steward {decision.by} {act} it at {decision.at}, above every rule."


def _reason(decision: Decision, *, language: Language) -> str:
    if decision.criterion == UNCONTESTED:
        return "không có giá trị nào khác bị loại" if language == "vi" else "no other value was left out"
    return criterion_words(decision.criterion, language=language)


def criterion_words(criterion: str, *, language: Language) -> str:
    """What a criterion says of a value that was chosen against one that it left out."""
    if criterion == OVERRIDE:
        return "cán bộ đã quyết định" if language == "vi" else "a steward decided it"
    return _REASONS[language][criterion]
