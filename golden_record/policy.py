"""The survivorship policy as declared in configs/golden_record/*.yaml."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, Literal, Self

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    StringConstraints,
    ValidationError,
    model_validator,
)
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import MarkedYAMLError, YAMLError

from golden_record.provenance import canonical_json
from golden_record.rules import Criterion, PersonalNumberAgrees, Subject, criterion_fields

if TYPE_CHECKING:
    from pathlib import Path

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]


class PolicyError(ValueError):
    """A policy that cannot be used; the text names file, line and key."""


class Rule(BaseModel):
    """An ordered list of criteria: the first one that separates two values decides between them.

    What no criterion separates goes by the text of the value, then by the record, so that an order is always total.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    order: tuple[Annotated[Criterion, BeforeValidator(criterion_fields)], ...] = Field(min_length=1)
    keep: Literal["one", "all"] = "one"
    limit: int | None = Field(default=None, ge=1, le=1000)

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        labels = [criterion.label for criterion in self.order]
        twice = sorted({label for label in labels if labels.count(label) > 1})
        if twice:
            raise ValueError(f"the criterion {twice[0]} appears twice")
        if self.limit is not None and self.keep == "one":
            raise ValueError("limit is for a rule with keep: all")
        return self

    @property
    def facts(self) -> frozenset[str]:
        """Attributes that must be settled before this rule can judge."""
        return frozenset(
            fact
            for criterion in self.order
            if isinstance(criterion, PersonalNumberAgrees)
            for fact in criterion.facts
        )


class Group(BaseModel):
    """Attributes that are one thing and come from one record together."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    members: tuple[Name, ...] = Field(min_length=1)
    rule: Name


class Policy(BaseModel):
    """Which rule decides which attribute; `default` is the rule of the attributes that are not named."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    kind: Name
    runners_up: int = Field(default=3, ge=0, le=20)
    rules: Mapping[Name, Rule]
    default: Name
    attributes: Mapping[Name, Name] = Field(default_factory=dict)
    groups: Mapping[Name, Group] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _is_sound(self) -> Self:
        self._check_rules_exist()
        self._check_groups()
        self._check_facts()
        return self

    def _check_rules_exist(self) -> None:
        used = {"default": self.default} | {
            f"attributes.{name}": rule for name, rule in self.attributes.items()
        }
        used |= {f"groups.{name}": group.rule for name, group in self.groups.items()}
        for place, rule in used.items():
            if rule not in self.rules:
                raise ValueError(f"{place}: there is no rule {rule}")

    def _check_groups(self) -> None:
        owner: dict[str, str] = {}
        for name, group in self.groups.items():
            self._check_group_rule(name, rule=group.rule)
            for member in group.members:
                if member in owner:
                    raise ValueError(f"groups.{name}: {member} is already in the group {owner[member]}")
                if member in self.attributes:
                    raise ValueError(f"groups.{name}: {member} has a rule of its own")
                owner[member] = name
        if clash := sorted(set(self.groups) & (set(owner) | set(self.attributes))):
            raise ValueError(f"groups.{clash[0]}: an attribute has the same name")
        for place, rule in {"default": self.default, **self.attributes}.items():
            if any(criterion.only_groups for criterion in self.rules[rule].order):
                raise ValueError(f"{place}: the rule {rule} counts the members of a group")

    def _check_group_rule(self, group: str, *, rule: str) -> None:
        if self.rules[rule].keep == "all":
            raise ValueError(f"groups.{group}: a group comes from one record, the rule {rule} keeps all")
        for criterion in self.rules[rule].order:
            if criterion.no_groups:
                raise ValueError(f"groups.{group}: {criterion.kind} judges one attribute, not a group")

    def _check_facts(self) -> None:
        for place, name in {"default": self.default, **self.attributes}.items():
            for fact in self.rules[name].facts:
                if fact in self._group_of or self.rule_of(fact).keep == "all":
                    raise ValueError(f"{place}: {fact} must be a single attribute with one value")
                if self.rule_of(fact).facts:
                    raise ValueError(f"{place}: {fact} is itself judged by other attributes")

    @cached_property
    def _group_of(self) -> Mapping[str, str]:
        return {member: name for name, group in self.groups.items() for member in group.members}

    @cached_property
    def facts(self) -> frozenset[str]:
        """Attributes by whose golden values others are judged."""
        return frozenset().union(*(rule.facts for rule in self.rules.values()))

    @cached_property
    def hash(self) -> str:
        """SHA-256 of what is declared, whatever its layout or comments."""
        return hashlib.sha256(canonical_json(self.model_dump(mode="json"))).hexdigest()

    def rule_name_of(self, subject: str) -> str:
        """The rule of an attribute or of a group."""
        if subject in self.groups:
            return self.groups[subject].rule
        return self.attributes.get(subject, self.default)

    def rule_of(self, subject: str) -> Rule:
        return self.rules[self.rule_name_of(subject)]

    def attributes_of(self, subject: str) -> tuple[str, ...]:
        return self.groups[subject].members if subject in self.groups else (subject,)

    def subjects(self, attributes: Iterable[str]) -> list[Subject]:
        """What is to be decided over these attributes: groups in place of their members, facts before who needs them."""
        present = set(attributes)
        single = [Subject(name=name, members=(name,)) for name in present if name not in self._group_of]
        grouped = [
            Subject(name=name, members=tuple(sorted(group.members)), is_group=True)
            for name, group in self.groups.items()
            if present.intersection(group.members)
        ]
        return sorted(
            single + grouped, key=lambda subject: (bool(self.rule_of(subject.name).facts), subject.name)
        )


def load_policy(path: Path) -> Policy:
    """Raises PolicyError with every fault, each with its line and key."""
    try:
        document = YAML(typ="rt").load(path.read_text(encoding="utf-8"))
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise PolicyError(f"{path}:{line}: {error.problem}") from error
    except (YAMLError, OSError, UnicodeDecodeError) as error:
        raise PolicyError(f"{path}: cannot be read: {error}") from error
    if not isinstance(document, CommentedMap):
        raise PolicyError(f"{path}:1: a policy is a mapping")
    try:
        return Policy.model_validate(document)
    except ValidationError as error:
        faults = [
            _told(path, document=document, location=fault["loc"], text=fault["msg"])
            for fault in error.errors()
        ]
        raise PolicyError("\n".join(faults)) from error


def _told(path: Path, *, document: CommentedMap, location: tuple[int | str, ...], text: str) -> str:
    """A fault of pydantic with the line and key of the deepest place of the document that its location names."""
    node: Any = document
    line, keys = 0, list[str]()
    for step in location:
        if isinstance(node, CommentedMap) and step in node:
            line = node.lc.key(step)[0]
        elif isinstance(node, CommentedSeq) and isinstance(step, int) and step < len(node):
            line = node.lc.item(step)[0]
        else:
            # A name the document does not hold (a missing or short-written key), or pydantic's tag of a criterion.
            keys.append(str(step))
            continue
        node = node[step]
        keys.append(str(step))
    return f"{path}:{line + 1}: {'.'.join(keys)}: {text.removeprefix('Value error, ')}"
