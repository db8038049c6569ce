"""Why a pair has its weight: every piece of evidence with its bits, and one plain sentence, in Vietnamese and English.

The bits of the rows and the prior add up to the weight that `matching.scorer` gives. The sentence names the strongest
evidence for and against, and says how sure it is in words: bits are for the table.
"""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any, Literal

from matching.model import Words
from matching.scorer import Scorer
from matching.words import LANGUAGES, LEADS, Clause, Wording, in_language, listed

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from matching.artefact import TrainedModel
    from matching.levels import Level, Record
    from matching.model import Caution, Comparison
    from matching.scorer import Evidence, ScoredPair
    from matching.words import Language

Stance = Literal["for", "against", "none"]
LONGEST_SENTENCE = 40
"""Words; in Vietnamese, syllables."""

_SURE = math.log2(99)
_LIKELY = 2.0
_RARE = 2.0
_WORTH_A_WORD = 1.0
_NOTHING = 0.05
_NAMED_FOR, _NAMED_AGAINST = 3, 2


@dataclass(frozen=True)
class Row:
    """What one comparison says, or the declared alternative (two of one family)."""

    field: str
    label: Words
    left: str | None
    right: str | None
    level: str | None
    """What the level declares, as kind and columns; None where a value is missing, and of the alternative."""
    finding: Words
    bits: float
    """With those of a rare or common value."""
    frequency_bits: float
    stance: Stance


@dataclass(frozen=True)
class Remark:
    """A conflict, which forbids that the pair is ever linked by itself, or a warning."""

    forbids: bool
    words: Words


@dataclass(frozen=True)
class Table:
    """Ready to be shown: the prior first, then a row for each row of the explanation, the sum last. Weights in bits."""

    headings: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True)
class Explanation:
    kind: Literal["person", "household"]
    prior: float
    """Bits before any evidence."""
    rows: tuple[Row, ...]
    """In the declaration's order; the alternative, where the model has one, last."""
    weight: float
    probability: float
    remarks: tuple[Remark, ...]
    certain_from: float
    """Bits from which the sentence says that it is very likely one."""
    _said: tuple[tuple[Row, Clause, Words | None], ...]

    @property
    def forbidden(self) -> bool:
        return any(remark.forbids for remark in self.remarks)

    def sentence(self, language: Language) -> str:
        """At most LONGEST_SENTENCE words, without numbers and codes: the weaker evidence is left out first."""
        remarks = [_sentence(in_language(remark.words, language)) for remark in self.remarks[:1]]
        verdict = in_language(_FORBIDDEN if self.forbidden else self._verdict(), language)
        supporting, opposing = self._named("for"), self._named("against")
        while True:
            said = [self._evidence(supporting, opposing, language), *remarks, _sentence(verdict)]
            sentence = " ".join(part for part in said if part)
            if len(sentence.split()) <= LONGEST_SENTENCE or len(supporting) + len(opposing) <= 1:
                return sentence
            (supporting if len(supporting) >= len(opposing) else opposing).pop()

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return {
            "kind": self.kind,
            "prior": self.prior,
            "weight": self.weight,
            "probability": self.probability,
            "sentence": {language: self.sentence(language) for language in LANGUAGES},
            "remarks": [{"forbids": r.forbids, "words": r.words.model_dump()} for r in self.remarks],
            "rows": [
                {
                    **asdict(row),
                    "label": row.label.model_dump(),
                    "finding": row.finding.model_dump(),
                }
                for row in self.rows
            ],
        }

    def table(self, language: Language) -> Table:
        def cell(words: Words) -> str:
            return in_language(words, language)

        rows = [(cell(_PRIOR), "", "", "", f"{self.prior:+.1f}", "")]
        rows += [
            (
                cell(row.label),
                row.left or "",
                row.right or "",
                cell(row.finding),
                "" if row.stance == "none" else f"{row.bits:+.1f}",
                cell(_STANCES[row.stance]),
            )
            for row in self.rows
        ]
        rows.append(
            (cell(_SUM), "", "", cell(self._verdict()), f"{self.weight:+.1f}", f"{self.probability:.2%}")
        )
        return Table(tuple(cell(heading) for heading in _HEADINGS), tuple(rows))

    def _named(self, stance: Stance) -> list[tuple[Row, Clause, Words | None]]:
        """The strongest evidence of a stance: the first in any case, others if they are worth a word."""
        found = [said for said in self._said if said[0].stance == stance]
        if stance == "for":  # two things that differ may fit one person a little, which is nothing to name
            found = [said for said in found if said[1].relation != "different"]
        else:
            found = [said for said in found if said[0].level is not None or self._family_tells(said[0])]
        found.sort(key=lambda said: -abs(said[0].bits))
        worth = [said for said in found if abs(said[0].bits) >= _WORTH_A_WORD] or found[:1]
        return worth[: _NAMED_FOR if stance == "for" else _NAMED_AGAINST]

    def _family_tells(self, row: Row) -> bool:
        """Of the alternative: not where it takes nothing away, or leaves the pair very likely one."""
        return row.bits <= -_WORTH_A_WORD and self.weight < self.certain_from

    def _evidence(
        self,
        supporting: Sequence[tuple[Row, Clause, Words | None]],
        opposing: Sequence[tuple[Row, Clause, Words | None]],
        language: Language,
    ) -> str:
        if not supporting and not opposing:
            compared = any(row.level is not None for row in self.rows)
            return _sentence(in_language(_NOTHING_TELLS if compared else _NOTHING_COMPARED, language))
        only = self.weight <= -_LIKELY and not opposing
        halves = [
            _clauses(supporting, language, only=only) if supporting else "",
            _clauses(opposing, language, only=True) if opposing else "",
        ]
        return _sentence("; ".join(half for half in halves if half))

    def _verdict(self) -> Words:
        one, two = _ONE[self.kind], _TWO[self.kind]
        if self.weight >= self.certain_from:
            return Words(vi=f"rất có thể là {one.vi}", en=f"very likely {one.en}")
        if self.weight >= _LIKELY:
            return Words(vi=f"có lẽ là {one.vi}, chưa chắc chắn", en=f"probably {one.en}, but not certain")
        if self.weight > -_LIKELY:
            return Words(
                vi=f"chưa thể nói là {one.vi} hay {two.vi}",
                en=f"it cannot be told whether {one.en} or {two.en}",
            )
        if self.weight > -_SURE:
            return Words(vi=f"có lẽ là {two.vi}, chưa chắc chắn", en=f"probably {two.en}, but not certain")
        return Words(vi=f"rất có thể là {two.vi}", en=f"very likely {two.en}")


class Explainer:
    """Compiled once for a trained model. Records are feature dictionaries as for `Scorer`."""

    def __init__(self, trained: TrainedModel, wording: Wording | None = None) -> None:
        self.declared = trained.declaration
        self._scorer, self._wording = Scorer(trained), wording or Wording(trained.declaration)

    def explain(
        self,
        left: Record,
        right: Record,
        *,
        shown: tuple[Mapping[str, Any], Mapping[str, Any]] = ({}, {}),
    ) -> Explanation:
        """`shown` holds values of both records as recorded, by attribute; where there are none, features are shown."""
        scored = self._scorer.score(left, right)
        said = [
            self._row(comparison, scored.evidence[comparison.name], (left, right), shown)
            for comparison in self.declared.comparisons
        ]
        if (declared := self.declared.alternative) is not None:
            words, bits = self._wording.alternative(declared.name), scored.alternative
            row = Row(declared.name, _AGAINST_FAMILY, None, None, None, words, bits, 0.0, _stance(bits))
            said.append((row, Clause(None, words), None))
        return Explanation(
            kind=self.declared.kind,
            prior=scored.prior,
            rows=tuple(row for row, _, _ in said),
            weight=scored.weight,
            probability=scored.probability,
            remarks=tuple(self._remarks(scored, left, right)),
            certain_from=max(self.declared.thresholds.link, _SURE),
            _said=tuple((row, clause, rarity) for row, clause, rarity in said if clause is not None),
        )

    def _row(
        self,
        comparison: Comparison,
        found: Evidence,
        records: tuple[Record, Record],
        shown: tuple[Mapping[str, Any], Mapping[str, Any]],
    ) -> tuple[Row, Clause | None, Words | None]:
        shows = self._wording.shows(comparison.name)
        left, right = (
            _recorded(seen, shows) or _featured(record, comparison)
            for record, seen in zip(records, shown, strict=True)
        )
        label = self._wording.field(comparison.name)
        if found.level is None:
            finding = _MISSING_ON_BOTH if left is None and right is None else _MISSING
            return Row(comparison.name, label, left, right, None, finding, 0.0, 0.0, "none"), None, None
        clause = self._wording.clause(comparison, found.level)
        bits = found.bits + found.frequency_bits
        rarity = _rarity(found.frequency_bits)
        finding = Words(vi=clause.text("vi", rarity=rarity), en=clause.text("en", rarity=rarity))
        level = _name(comparison.levels[found.level])
        row = Row(
            comparison.name, label, left, right, level, finding, bits, found.frequency_bits, _stance(bits)
        )
        return row, clause, rarity

    def _remarks(self, scored: ScoredPair, left: Record, right: Record) -> list[Remark]:
        found = [
            Remark(forbids=True, words=Words(vi=conflict.vi, en=conflict.en))
            for conflict in self.declared.conflicts
            if conflict.name == scored.conflict
        ]
        for warning in self._wording.warnings:
            remark = Remark(forbids=False, words=warning.words)
            if _applies(warning, left, right) and remark not in found:
                found.append(remark)
        return found


def _applies(warning: Caution, left: Record, right: Record) -> bool:
    return (
        all(_shared(left.get(column), right.get(column)) for column in warning.equal)
        and all(_differ(left.get(column), right.get(column)) for column in warning.differ)
        and not any(_shared(left.get(column), right.get(column)) for column in warning.unless)
    )


def _shared(one: Any, other: Any) -> bool:
    if isinstance(one, list) and isinstance(other, list):
        return not set(one).isdisjoint(other)
    return one is not None and one == other


def _differ(one: Any, other: Any) -> bool:
    return one is not None and other is not None and not _shared(one, other)


def _clauses(said: Sequence[tuple[Row, Clause, Words | None]], language: Language, *, only: bool) -> str:
    """What is the same, and what is different, listed together, at the place of the strongest; the others one by one.

    What is the same and yet speaks against the pair is `only` the same.
    """
    groups: dict[str, list[str]] = {}
    for row, clause, rarity in said:
        thing = clause.thing(language, rarity=rarity)
        lead = "" if clause.relation is None else in_language(LEADS[clause.relation], language)
        if only and clause.relation == "same":
            lead = f"{in_language(_ONLY, language)} {lead}"
        groups.setdefault(lead or row.field, []).append(thing)
    leads = {in_language(words, language) for words in LEADS.values()}
    leads |= {f"{in_language(_ONLY, language)} {lead}" for lead in leads}
    return ", ".join(
        f"{lead} {listed(things, language)}" if lead in leads else things[0]
        for lead, things in groups.items()
    )


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _stance(bits: float) -> Stance:
    if abs(bits) < _NOTHING:
        return "none"
    return "for" if bits > 0 else "against"


def _rarity(frequency_bits: float) -> Words | None:
    if frequency_bits >= _RARE:
        return _RARE_WORDS
    return _COMMON_WORDS if frequency_bits <= -_RARE else None


def _name(level: Level) -> str:
    """Kind and columns of a level: "equal full_name_key"."""
    kind = next(name for name in type(level).model_fields if name not in {"term_frequency", "m", "u"})
    return " ".join([kind, *dict.fromkeys(level.columns)])


def _recorded(seen: Mapping[str, Any], attributes: Sequence[str]) -> str | None:
    values = dict.fromkeys(_text(seen[name]) for name in attributes if seen.get(name))
    return ", ".join(values) or None


def _featured(record: Record, comparison: Comparison) -> str | None:
    """The first column of the comparison that the record has, the most exact ones before."""
    columns = [column for level in comparison.levels for column in level.columns]
    return next((_text(record[c]) for c in [*columns, *comparison.missing] if record[c] is not None), None)


def _text(value: Any) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list | tuple) else str(value)


_ONE = {"person": Words(vi="một người", en="one person"), "household": Words(vi="một hộ", en="one household")}
_TWO = {
    "person": Words(vi="hai người khác nhau", en="two different people"),
    "household": Words(vi="hai hộ khác nhau", en="two different households"),
}
_ONLY = Words(vi="chỉ", en="only the")
_RARE_WORDS, _COMMON_WORDS = Words(vi="hiếm", en="rare"), Words(vi="phổ biến", en="common")
_MISSING = Words(vi="có bên không ghi", en="not recorded on one side")
_MISSING_ON_BOTH = Words(vi="hai bên không ghi", en="not recorded")
_NOTHING_COMPARED = Words(vi="không có mục nào cả hai bên cùng ghi", en="nothing is recorded on both sides")
_NOTHING_TELLS = Words(
    vi="những gì hai bên cùng ghi không nói lên điều gì", en="what both sides record tells nothing"
)
_FORBIDDEN = Words(
    vi="hệ thống không tự nối, cần người quyết định", en="not linked automatically: a person must decide"
)
_AGAINST_FAMILY = Words(vi="khả năng khác", en="other possibility")
_PRIOR, _SUM = Words(vi="trước khi so sánh", en="before any evidence"), Words(vi="tổng", en="sum")
_STANCES: Mapping[Stance, Words] = {
    "for": Words(vi="ủng hộ", en="for"),
    "against": Words(vi="chống lại", en="against"),
    "none": Words(vi="không rõ", en="none"),
}
_HEADINGS = (
    Words(vi="Mục", en="Field"),
    Words(vi="Hồ sơ 1", en="Record 1"),
    Words(vi="Hồ sơ 2", en="Record 2"),
    Words(vi="Kết quả", en="Finding"),
    Words(vi="Bit", en="Bits"),
    Words(vi="Ý nghĩa", en="Speaks"),
)
