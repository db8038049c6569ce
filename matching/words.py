"""Words for comparisons and levels of a model, in Vietnamese and English.

A comparison or level that declares `words` in the model's YAML has these. Any other is worded by the label of its
attribute, by the kind of its level and by its columns, so that a model of other data speaks without a line of code.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal, NamedTuple, get_args

from matching.levels import (
    AllOf,
    AnyOf,
    Distance,
    Equal,
    EqualOrMissing,
    JaroWinkler,
    Otherwise,
    Overlap,
    Present,
    Swapped,
    Within,
)
from matching.model import ModelWords, Words, load_model_and_words

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from matching.levels import Level
    from matching.model import Comparison, Model

Language = Literal["vi", "en"]
LANGUAGES: tuple[Language, ...] = get_args(Language)
Relation = Literal["same", "different"]


def in_language(words: Words, language: Language) -> str:
    return words.vi if language == "vi" else words.en


def both(say: Callable[[Language], str]) -> Words:
    return Words(vi=say("vi"), en=say("en"))


LEADS: Mapping[Relation, Words] = {
    "same": Words(vi="cùng", en="same"),
    "different": Words(vi="khác", en="different"),
}
_AND, _OR = Words(vi="và", en="and"), Words(vi="hoặc", en="or")


def listed(parts: Sequence[str], language: Language, *, by: Words = _AND) -> str:
    """a, b and c"""
    *first, last = parts
    return f"{', '.join(first)} {in_language(by, language)} {last}" if first else last


@dataclass(frozen=True)
class Clause:
    """What a level says: "cùng họ tên (chỉ khác dấu thanh)" is a relation, a noun and the rest. Without relation the noun is all."""

    relation: Relation | None
    noun: Words
    rest: Words | None = None
    takes_rarity: bool = False

    def thing(self, language: Language, *, rarity: Words | None = None) -> str:
        """What the relation is about."""
        noun = in_language(self.noun, language)
        if rarity is not None and self.takes_rarity:
            noun = f"{noun} {rarity.vi}" if language == "vi" else f"{rarity.en} {noun}"
        return noun if self.rest is None else f"{noun} ({in_language(self.rest, language)})"

    def text(self, language: Language, *, rarity: Words | None = None) -> str:
        thing = self.thing(language, rarity=rarity)
        return f"{in_language(LEADS[self.relation], language)} {thing}" if self.relation else thing


class _Column(NamedTuple):
    stem: str
    part: str | None
    form: str | None
    noun: Words


_PARTS = {
    "year": Words(vi="năm", en="year"),
    "month": Words(vi="tháng", en="month"),
    "day": Words(vi="ngày", en="day"),
}
_SUFFIXES = ("key", "toneless", "folded", "iso", "full", *_PARTS)
_APART = {
    "toneless": Words(vi="chỉ khác dấu thanh", en="tone marks apart"),
    "folded": Words(vi="chỉ khác dấu", en="marks apart"),
}
_FEATURES = {
    "surname": Words(vi="họ", en="surname"),
    "middle": Words(vi="chữ đệm", en="middle name"),
    "given": Words(vi="tên gọi", en="given name"),
    "name_initials": Words(vi="chữ cái đầu của họ tên", en="initials"),
    "name_sorted": Words(vi="các chữ trong họ tên", en="words of the name"),
    "name_sound": Words(vi="âm đọc của họ tên", en="sound of the name"),
    "name_ends": Words(vi="họ và tên gọi", en="surname and given name"),
    "address_now": Words(vi="địa chỉ", en="address"),
    "street": Words(vi="đường hoặc thôn", en="street or hamlet"),
    "commune": Words(vi="xã", en="commune"),
    "communes_now": Words(vi="xã", en="commune"),
    "province": Words(vi="tỉnh", en="province"),
}
"""Columns that are made of several attributes or of a part of one (matching.standardise.features, joint)."""
_INCOMPLETE = Words(vi="có bên ghi không đủ", en="incomplete on one side")
_BOTH_RECORDED = Words(vi="cả hai bên đều ghi", en="recorded on both sides")


class Wording:
    """The words of one model. `labels`, those of attributes, serve the comparisons and columns of their names.

    A level is known by what it declares, not by its place: a trained model finds its words in a newer file.
    """

    def __init__(
        self, model: Model, words: ModelWords | None = None, *, labels: Mapping[str, Words] | None = None
    ) -> None:
        declared = words or ModelWords()
        self._labels, self._fields = labels or {}, declared.fields
        self._levels = {
            (comparison.name, _key(comparison.levels[place])): found
            for comparison in model.comparisons
            for place, found in declared.levels.get(comparison.name, {}).items()
        }
        self._alternative = declared.alternative
        self.warnings = declared.warnings

    def field(self, comparison: str) -> Words:
        """As a noun."""
        found = self._fields.get(comparison)
        return Words(vi=found.vi, en=found.en) if found else self._label(comparison)

    def shows(self, comparison: str) -> list[str]:
        """The attributes that show what was compared."""
        found = self._fields.get(comparison)
        return found.shows if found and found.shows else [comparison]

    def alternative(self, name: str) -> Words:
        plain = name.replace("_", " ")
        return self._alternative or Words(
            vi=f"giống như hai bên cùng {plain}", en=f"alike as two of one {plain}"
        )

    def clause(self, comparison: Comparison, place: int) -> Clause:
        """Of the level at a place of the comparison."""
        level = comparison.levels[place]
        declared = self._levels.get((comparison.name, _key(level)))
        return self._made(comparison, place) if declared is None else _parsed(declared)

    def _label(self, name: str) -> Words:
        if name in self._labels:
            return both(lambda language: _lowered(in_language(self._labels[name], language)))
        plain = name.replace("_", " ")
        return _FEATURES.get(name, Words(vi=plain, en=plain))

    def _column(self, comparison: str, column: str) -> _Column:
        stem, form = column, None
        for suffix in _SUFFIXES:
            if column.endswith(f"_{suffix}"):
                stem, form = column.removesuffix(f"_{suffix}"), suffix
        own = {comparison, *self.shows(comparison)[:1]}
        if stem not in {*own, *self._labels} and stem.removesuffix("s") in {*own, *self._labels}:
            stem = stem.removesuffix("s")
        noun = self.field(comparison) if stem in own else self._label(stem)
        return _Column(stem, form if form in _PARTS else None, form, noun)

    def _made(self, comparison: Comparison, place: int) -> Clause:
        before = {
            self._column(comparison.name, column).stem
            for level in comparison.levels[:place]
            if isinstance(level, Equal | Overlap)
            for column in level.columns
        }
        return self._of(comparison.levels[place], comparison.name, before)

    def _of(self, level: Level, comparison: str, before: set[str]) -> Clause:
        if isinstance(level, AllOf | AnyOf):
            return self._joined(level, comparison, before)
        if isinstance(level, Present | Otherwise):
            rest = _BOTH_RECORDED if isinstance(level, Present) else None
            return Clause("different", self.field(comparison), rest)
        columns = [self._column(comparison, column) for column in level.columns]
        noun, rest = _nouns(columns), None
        match level:
            case Equal() | Overlap():
                if columns[0].stem in before:
                    rest = _APART.get(columns[0].form or "")
                found = Clause("same", noun, rest, takes_rarity=level.term_frequency is not None)
            case EqualOrMissing():
                found = Clause("same", _nouns(columns[:-1]), _INCOMPLETE)
            case JaroWinkler():
                found = Clause(None, Words(vi=f"{noun.vi} gần giống nhau", en=f"similar {noun.en}"))
            case Distance():
                found = Clause(None, _distance(noun, level.at_most))
            case Within():
                far = level.at_most
                apart = Words(vi=f"{noun.vi} lệch không quá {far}", en=f"{noun.en} at most {far} apart")
                found = Clause(None, apart)
            case Swapped():
                two = _nouns(columns[:2])
                found = Clause(None, Words(vi=f"{two.vi} đổi chỗ cho nhau", en=f"{two.en} exchanged"))
            case _:  # declare words where a model has several levels of such a kind
                found = Clause("same", noun)
        return found

    def _joined(self, level: AllOf | AnyOf, comparison: str, before: set[str]) -> Clause:
        parts = level.all_of if isinstance(level, AllOf) else level.any_of
        clauses = [self._of(part, comparison, before) for part in parts if not isinstance(part, Present)]
        by = _AND if isinstance(level, AllOf) else _OR
        return Clause(
            None, both(lambda language: listed([c.text(language) for c in clauses], language, by=by))
        )


def load_wording(path: Path, *, labels: Mapping[str, Words] | None = None) -> Wording:
    """Of the model in a file. Raises ModelError."""
    return Wording(*load_model_and_words(path), labels=labels)


def _key(level: Level) -> str:
    return level.model_dump_json()


def _lowered(label: str) -> str:
    """A label as it stands within a sentence: "Số CMND" as "số CMND", "CMND" as it is."""
    return label if label[1:2].isupper() else label[:1].lower() + label[1:]


def _parsed(declared: Words) -> Clause:
    """Words that begin as a relation does are one, so that they can be listed with others."""
    for relation, lead in LEADS.items():
        if declared.vi.startswith(f"{lead.vi} ") and declared.en.startswith(f"{lead.en} "):
            nouns = Words(
                vi=declared.vi.removeprefix(f"{lead.vi} "), en=declared.en.removeprefix(f"{lead.en} ")
            )
            return Clause(relation, nouns)
    return Clause(None, declared)


def _nouns(columns: Sequence[_Column]) -> Words:
    """Columns as one noun; parts of one thing together: "ngày và tháng trong ngày sinh"."""
    things: dict[str, list[_Column]] = {}
    for column in columns:
        things.setdefault(column.stem, []).append(column)

    def say(language: Language) -> str:
        said = []
        for same in things.values():
            noun = in_language(same[0].noun, language)
            parts = [in_language(_PARTS[c.part], language) for c in same if c.part]
            of = " trong " if language == "vi" else " in the "
            said.append(f"{listed(parts, language)}{of}{noun}" if len(parts) == len(same) else noun)
        return listed(said, language)

    return both(say)


def _distance(noun: Words, at_most: int) -> Words:
    if at_most == 1:
        return Words(vi=f"{noun.vi} lệch một ký tự", en=f"{noun.en} one character off")
    return Words(
        vi=f"{noun.vi} lệch không quá {at_most} ký tự", en=f"{noun.en} at most {at_most} characters off"
    )
