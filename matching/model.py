"""A linkage model as declared in configs/matching/*.yaml: comparisons, blocking, training, thresholds.

Every executor reads this one declaration: the batch compiles it for Splink, training to SQL.
"""

from __future__ import annotations

import hashlib
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, ValidationError, model_validator
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from matching.levels import Level, Otherwise

if TYPE_CHECKING:
    from pathlib import Path


class ModelError(ValueError):
    """A model declaration that cannot be used; the message names file and key."""


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Comparison(_Declared):
    """Ordered levels, strongest first; the first that holds gives the weight."""

    name: str
    missing: list[str]
    """No evidence either way when one of these columns is absent on one side."""
    levels: list[Level]

    @model_validator(mode="after")
    def _ends_with_otherwise(self) -> Comparison:
        if not self.levels or not isinstance(self.levels[-1], Otherwise):
            raise ValueError(f"comparison `{self.name}`: the last level must be `otherwise: true`")
        return self

    @property
    def columns(self) -> list[str]:
        found = [*self.missing, *(c for level in self.levels for c in level.columns)]
        found += [level.term_frequency for level in self.levels if level.term_frequency]
        return list(dict.fromkeys(found))


class BlockingRule(_Declared):
    """Records that agree on all these columns are compared. A column that holds a list agrees on any element."""

    name: str
    columns: list[str] = Field(min_length=1)
    refine: list[str] = []
    """More columns to agree on, for records of a block that is too large."""


class Prior(_Declared):
    rules: list[list[str]]
    """Columns that, when all equal, almost surely mean the same person."""
    recall: float = Field(gt=0, le=1)
    """The share of true pairs that the rules are thought to find."""


class Labels(_Declared):
    """Training on answers of stewards (`matching.labels`)."""

    least: int = Field(100, ge=1)
    """So many answers "one person" and as many "two people" are needed."""
    spread: float = Field(1.0, gt=0)
    """Bits: how far off a weight learnt without labels is thought to be (standard deviation)."""


class Training(_Declared):
    prior: Prior
    random_pairs: float = 2e6
    expectation_maximisation: list[list[str]]
    """One session for each list of columns: comparisons that use none of them learn their m probabilities."""
    pairs: float = 2e6
    seed: int = 1
    labels: Labels = Labels()


class Belief(_Declared):
    """Training on the very pairs that blocking gives (matching.train_blocked), where every level declares m and u as believed."""

    share: float = Field(gt=0, lt=1)
    """Matches among the compared pairs."""
    pairs: float = Field(1000.0, gt=0)
    """How many pairs seen before the belief is worth: few records leave it as it is, many correct it."""


class Thresholds(_Declared):
    """Match weights in bits. At or above `link` automatic; from `review` to `link` a question; below `keep` forgotten."""

    link: float
    review: float
    keep: float

    @model_validator(mode="after")
    def _ordered(self) -> Thresholds:
        if not self.keep <= self.review <= self.link:
            raise ValueError("thresholds must be ordered: keep <= review <= link")
        return self


class Alternative(_Declared):
    """A second way of not being one person: two of one family agree on much on which strangers do not.

    The weight of a pair sets one person against strangers and against this class together, so what a family shares
    counts once and no more than it tells (`matching.alternative`).
    """

    name: str
    pairs: list[list[str]] = Field(min_length=1)
    """Columns on which members of the class agree, as well as records of one person; the first list that gives enough pairs serves to learn."""
    for_each_match: float = Field(gt=0)
    """How many pairs of the class there are for each pair of records of one person."""


class Conflict(_Declared):
    """A pair for which one comparison of `agree` speaks and against which all of `disagree` do is never linked."""

    name: str
    agree: list[str] = Field(min_length=1)
    disagree: list[str] = Field(min_length=1)
    at_least: float = Field(10.0, gt=0)
    """Bits: a comparison speaks for the pair from this weight up."""
    at_most: float = Field(-1.0, lt=0)
    """Bits: a comparison speaks against the pair from this weight down."""
    vi: str
    en: str


class Impossible(_Declared):
    """Two records that differ in all these features, each by more than its number, are never in one cluster."""

    name: str
    differ: dict[str, int] = Field(min_length=1)
    """Text columns differ by more than 0."""
    vi: str
    en: str


class Clustering(_Declared):
    """How clusters are formed of links; in bits (docs/decisions/010-evidence-between-clusters.md)."""

    merge: float = 4
    """Two clusters with a link between them are joined if they as wholes reach this."""
    unscored: float = -1
    """What a pair counts that was not scored, where pairs cannot be scored on demand."""
    largest: int = Field(300, ge=2)
    """Components of more records are cut at their weakest links before they are looked at."""
    bridge: float = 20
    """A cluster that one pair of less than this holds together is a question."""
    verified: str | None = None
    """List of numbers; records that share one with different records of the anchor registry are never in one cluster."""
    impossible: list[Impossible] = []
    worth: dict[str, float] = {}
    """How much more a question weighs if a record of this registry is concerned; 1 for others."""


class Model(_Declared):
    name: str
    kind: Literal["person", "household"]
    comparisons: list[Comparison]
    blocking: list[BlockingRule]
    largest_block: int = Field(1000, ge=2)
    """Blocks with more records than this are not compared within; what is skipped is reported."""
    training: Training = Training(prior=Prior(rules=[], recall=1), expectation_maximisation=[])
    belief: Belief | None = None
    """Given in place of `training`."""
    thresholds: Thresholds
    alternative: Alternative | None = None
    conflicts: list[Conflict] = []
    clustering: Clustering = Clustering()

    @model_validator(mode="after")
    def _can_be_trained(self) -> Model:
        if (self.belief is None) != bool(self.training.prior.rules):
            raise ValueError("give either `training`, with a rule for the prior, or `belief`")
        for comparison in self.comparisons if self.belief else ():
            if any(level.m is None or level.u is None for level in comparison.levels):
                raise ValueError(f"comparison `{comparison.name}`: with a `belief`, each level needs m and u")
        return self

    @model_validator(mode="after")
    def _names_known(self) -> Model:
        known = {comparison.name for comparison in self.comparisons}
        for conflict in self.conflicts:
            if unknown := {*conflict.agree, *conflict.disagree} - known:
                raise ValueError(
                    f"conflict `{conflict.name}` names comparisons that do not exist: {sorted(unknown)}"
                )
        return self

    @property
    def hash(self) -> str:
        return hashlib.sha256(
            orjson.dumps(self.model_dump(mode="json"), option=orjson.OPT_SORT_KEYS)
        ).hexdigest()

    @cached_property
    def feature_columns(self) -> list[str]:
        """Every column that scoring, blocking or clustering reads."""
        found = [c for comparison in self.comparisons for c in comparison.columns]
        found += [c for rule in self.blocking for c in [*rule.columns, *rule.refine]]
        training, alternative = self.training, self.alternative
        sessions = [*training.prior.rules, *training.expectation_maximisation]
        found += [c for rule in [*sessions, *(alternative.pairs if alternative else [])] for c in rule]
        found += [c for rule in self.clustering.impossible for c in rule.differ]
        found += [self.clustering.verified] if self.clustering.verified else []
        return sorted(set(found))

    @property
    def term_frequency_columns(self) -> list[str]:
        return sorted(
            {level.term_frequency for c in self.comparisons for level in c.levels if level.term_frequency}
        )


# --- words, which are no part of the model ---------------------------------------------------------------------------


class Words(_Declared):
    vi: str = Field(min_length=1)
    en: str = Field(min_length=1)


class FieldWords(Words):
    """A comparison as a noun: "họ tên", "name"."""

    shows: list[str] = []
    """Attributes that show a person what was compared; without any, the one of the comparison's name."""


class Caution(_Declared):
    """Something to think of where features of `equal` are equal, of `differ` recorded and different, of `unless` not shared."""

    equal: list[str] = Field(min_length=1)
    differ: list[str] = Field(min_length=1)
    unless: list[str] = []
    words: Words


class ModelWords(_Declared):
    """What a model's YAML says to people (`matching.words`): with other words it is the same model, of the same hash."""

    fields: dict[str, FieldWords] = {}
    """By comparison."""
    levels: dict[str, dict[int, Words]] = {}
    """By comparison and place of the level."""
    alternative: Words | None = None
    warnings: list[Caution] = []


def load_model(path: Path) -> Model:
    return load_model_and_words(path)[0]


def load_model_and_words(path: Path) -> tuple[Model, ModelWords]:
    """Raises ModelError."""
    try:
        data = YAML(typ="safe").load(path.read_text(encoding="utf-8"))
        words = _take_words(data) if isinstance(data, dict) else {}
        model = Model.model_validate(data)
        return model, ModelWords.model_validate(words)
    except FileNotFoundError as error:
        raise ModelError(f"{path}: there is no such model") from error
    except YAMLError as error:
        raise ModelError(f"{path}: not valid YAML: {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        raise ModelError(f"{path}: {'.'.join(str(part) for part in first['loc'])}: {first['msg']}") from error


def _take_words(data: dict[str, Any]) -> dict[str, Any]:
    """Takes the words out of a declaration, whatever else may be wrong with it."""
    fields, levels = {}, {}
    for comparison in _dictionaries(data.get("comparisons")):
        name = str(comparison.get("name"))
        if "words" in comparison:
            fields[name] = comparison.pop("words")
        levels[name] = {
            place: level.pop("words")
            for place, level in enumerate(_dictionaries(comparison.get("levels")))
            if "words" in level
        }
    found: dict[str, Any] = {"fields": fields, "levels": levels, "warnings": data.pop("warnings", [])}
    for alternative in _dictionaries([data.get("alternative")]):
        found["alternative"] = alternative.pop("words", None)
    return found


def _dictionaries(values: Any) -> list[dict[str, Any]]:
    return [value for value in values if isinstance(value, dict)] if isinstance(values, list) else []
