"""The SQL of one subject: from contributions to the decision on it for every entity.

`agreement` gives the columns of the subject in `golden_agreed`, one row an entity, filled for all subjects by one
aggregation. Where its contributions all say the same, that is the decision. Only for the other entities, and those on
which a steward has spoken, follow `claims` (the distinct values of an entity, each with its best contribution) and
`decisions` or `overridden`. Last, in one statement over all subjects, `golden_values` and `entry` write the JSON.

All read `golden_contributing`, one row a contribution: entity, source (record and version), registry_no, observed_on,
issues, and the attributes, where an empty text or list is null.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from golden_record.contribution import VERSION_BITS
from golden_record.provenance import OVERRIDE, TIE_BREAK, UNCONTESTED
from golden_record.rules import ContributionCriterion, MostFrequent, Setting, Subject, quoted

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from golden_record.policy import Policy, Rule
    from golden_record.rules import ValueCriterion

# The keys of a contribution and its source pack into one HUGEINT, the source in the low 63 bits: the smallest is the
# best contribution, whatever the number of criteria, by one aggregate over a number of fixed width.
_SOURCE_BITS = 63
# The keys of a value pack into as few BIGINT as hold them; the highest bit in which two differ names the criterion.
_WORD_BITS = 62
_ALL = 2**31


@dataclass(frozen=True, slots=True)
class SubjectSql:
    """`types` are the attribute columns that exist, with their types."""

    policy: Policy
    subject: Subject
    setting: Setting
    registries: Sequence[str]
    types: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.subject.name

    @property
    def decided(self) -> str:
        """Entities whose contributions differ or that have a steward's word: entity, value, entry of provenance.

        The value is the text, a JSON object for a group, a JSON list where the rule keeps all; null where withheld.
        """
        return f"golden_decided_{self.name}"

    def agreement(self) -> str:
        """Columns of golden_agreed, by entity: the lowest value, of a group that of each member; how many contributions
        have one and the earliest of them; and whether they differ.
        """
        lows, differ = [], []
        filled = f"coalesce({', '.join(map(self._read, self.subject.members))})"
        for member in self.subject.members:
            read = self._read(member)
            low, high = f"min({read})", f"max({read})"
            if self._is_list(member):
                low, high = f"min(list_min({read}))", f"max(list_max({read}))"
            lows.append(f'{low} AS "{member}"')
            differ.append(f"coalesce({low} <> {high}, false)")
            if self.subject.is_group:
                differ.append(f"count({read}) NOT IN (0, count({filled}))")
        return f"""{", ".join(lows)}, count({filled}) AS "{self.name}.agree",
            min(source) FILTER ({filled} IS NOT NULL) AS "{self.name}.source", {" OR ".join(differ)} AS "{self.name}.differ" """

    def contested(self) -> str:
        """Entities that the rule must judge."""
        return f"""SELECT entity FROM golden_agreed WHERE "{self.name}.differ" """

    def claims(self, entities: str) -> str:
        """One row a distinct value of one of `entities`: how many say it, its best contribution and that one's keys."""
        by_registries = any(isinstance(c, MostFrequent) and c.by == "registries" for c in self._rule.order)
        read = {name: self._read(name) for name in self.subject.members}
        columns = ", ".join(
            f'{f"unnest(list_distinct({said}))" if self._is_list(name) else said} AS "{name}"'
            for name, said in read.items()
        )
        compared = ", ".join(f'"{name}"' for name in read)
        present = " OR ".join(f"{said} IS NOT NULL" for said in read.values())
        return f"""
            SELECT entity, {self._text()} AS value, records, registries,
                (key >> {_SOURCE_BITS})::BIGINT AS keys, (key & {2**_SOURCE_BITS - 1})::BIGINT AS source
            FROM (
                SELECT entity, {compared}, count(*) AS records, min(key) AS key,
                    {"bit_count(bit_or(1::BIGINT << registry_no))" if by_registries else "0"} AS registries
                FROM (
                    SELECT entity, registry_no, {self._packed()} AS key, {columns}
                    FROM (SELECT *, {self._found()} AS found FROM golden_contributing WHERE {present})
                    SEMI JOIN {entities} USING (entity)
                )
                GROUP BY entity, {compared}
            )"""

    def decisions(self, claims: str) -> str:
        """The decided table, by the rule alone."""
        keeps_one = self._rule.keep == "one"
        kept = 1 if keeps_one else self._rule.limit or _ALL
        if keeps_one:
            value, chosen = "max(value) FILTER (nth = 1)", "max(said) FILTER (nth = 1)"
        else:
            value = f"to_json(list(value ORDER BY nth) FILTER (nth <= {kept}))::VARCHAR"
            chosen = f"string_agg(said, ',' ORDER BY nth) FILTER (nth <= {kept})"
        lost = f"coalesce(max(lost) FILTER (nth = {kept + 1}), {quoted(UNCONTESTED)})"
        return f"""
            SELECT entity, value, {self._ruled(chosen="chosen", criterion="lost", authority="''")} AS entry
            FROM (
                SELECT entity, {value} AS value, {chosen} AS chosen, {lost} AS lost,
                    {self._runners_up(after=kept)} AS runners_up
                FROM (
                    SELECT entity, nth, value, lost,
                        CASE WHEN nth <= {kept} THEN {_source("records", "source")} ELSE {self._runner_up("lost")} END AS said
                    FROM ({self._ranked(claims, kept=kept)})
                    WHERE nth <= {kept + max(self.policy.runners_up, 1)}
                )
                GROUP BY entity
            )"""

    def overridden(self, claims: str, *, words: str) -> str:
        """As `decisions`, for the entities of `words`: entity, said (the values), steward and moment (JSON)."""
        others = (
            f"(SELECT c.* FROM {claims} c JOIN {words} USING (entity) WHERE NOT list_contains(said, value))"
        )
        keeps_one = self._rule.keep == "one"
        value = "said[1]" if keeps_one else "CASE WHEN len(said) > 0 THEN to_json(said)::VARCHAR END"
        authority = """concat('"at":', moment, ',"by":', steward, ',')"""
        entry = self._ruled(chosen="coalesce(chosen, '')", criterion=quoted(OVERRIDE), authority=authority)
        return f"""
            WITH agreed AS (
                SELECT w.entity, string_agg(concat('{{"agree":', coalesce(records, 0), '}}'), ',' ORDER BY nth) AS chosen
                FROM (SELECT entity, unnest(said) AS value, generate_subscripts(said, 1) AS nth FROM {words}) w
                LEFT JOIN {claims} c ON c.entity = w.entity AND c.value = w.value
                GROUP BY w.entity
            ),
            left_over AS (
                SELECT entity, {self._runners_up(after=0)} AS runners_up
                FROM (SELECT entity, nth, {self._runner_up(quoted(OVERRIDE))} AS said
                    FROM ({self._ranked(others, kept=0)}))
                GROUP BY entity
            )
            SELECT entity, value, {entry} AS entry
            FROM (SELECT *, {value} AS value FROM {words})
            LEFT JOIN agreed USING (entity) LEFT JOIN left_over USING (entity)"""

    def golden_values(self) -> dict[str, str]:
        """By attribute: its name and golden value in JSON, null where it has none; over golden_agreed and the decided."""
        ruled = f"{self.decided}.entity IS NOT NULL"
        if self.subject.is_group:
            by_rule = {
                name: f"""json_extract({self.decided}.value, '$."{name}"')""" for name in self.subject.members
            }
            agreed = {name: f'to_json(golden_agreed."{name}")' for name in self.subject.members}
        elif self._rule.keep == "all":
            by_rule = {self.name: f"{self.decided}.value"}
            agreed = {self.name: f"""'[' || to_json(golden_agreed."{self.name}") || ']'"""}
        else:
            by_rule = {self.name: f"to_json({self.decided}.value)"}
            agreed = {self.name: f'to_json(golden_agreed."{self.name}")'}
        return {
            name: f"""'"{name}":' || CASE WHEN {ruled} THEN {by_rule[name]}::VARCHAR ELSE {agreed[name]}::VARCHAR END"""
            for name in self.subject.members
        }

    def golden_text(self) -> str:
        """Entities with the golden value of an attribute, of which the rule keeps one."""
        return f"""(SELECT entity, CASE WHEN d.entity IS NOT NULL THEN d.value ELSE a."{self.name}" END AS value
            FROM golden_agreed a LEFT JOIN {self.decided} d USING (entity))"""

    def entry(self) -> str:
        """The entry of provenance with its name as canonical JSON, null where there is none; over the same tables."""
        agree, source = (f'golden_agreed."{self.name}.{column}"' for column in ("agree", "source"))
        members = ""
        if self.subject.is_group:
            filled = ", ".join(
                f"""CASE WHEN golden_agreed."{name}" IS NOT NULL THEN '"{name}"' END"""
                for name in self.subject.members
            )
            members = f""""members":[', concat_ws(',', {filled}), '],"""
        return f"""CASE WHEN {self.decided}.entity IS NOT NULL THEN '"{self.name}":' || {self.decided}.entry
            WHEN {agree} > 0 THEN concat('"{self.name}":{{"agree":', {agree},
                ',{members}"record":', {_record(source)}, ',"version":', {_version(source)}, '}}') END"""

    @property
    def _rule(self) -> Rule:
        return self.policy.rule_of(self.name)

    def _is_list(self, attribute: str) -> bool:
        return self.types.get(attribute, "").endswith("[]")

    def _read(self, attribute: str) -> str:
        return f'"{attribute}"' if attribute in self.types else "NULL::VARCHAR"

    def _text(self) -> str:
        """The text in which values compete: for a group the canonical JSON of its filled members."""
        if not self.subject.is_group:
            return f'"{self.name}"'
        parts = ", ".join(
            f"""'"{member}":' || to_json("{member}")::VARCHAR""" for member in self.subject.members
        )
        return f"concat('{{', concat_ws(',', {parts}), '}}')"

    def _packed(self) -> str:
        packed = "0::BIGINT"
        for criterion in self._rule.order:
            if isinstance(criterion, ContributionCriterion):
                key = criterion.sql(self.registries, subject=self.subject, setting=self.setting)
                packed = f"({packed}) * {2**criterion.bits} + ({key})"
        return f"((({packed})::HUGEINT << {_SOURCE_BITS}) | source)"

    def _found(self) -> str:
        paths = ", ".join(f"""'$."{member}"'""" for member in self.subject.members)
        return f"json_extract_string(issues, [{paths}])"

    def _words(self) -> list[list[ContributionCriterion | ValueCriterion]]:
        """The criteria in order, as they share the words of a value's key."""
        words: list[list[ContributionCriterion | ValueCriterion]] = [[]]
        for criterion in self._rule.order:
            if sum(c.bits for c in words[-1]) + criterion.bits > _WORD_BITS:
                words.append([])
            words[-1].append(criterion)
        return words

    def _keys(self) -> Iterator[str]:
        """The words of a value's key, over a claim and the facts."""
        shift = sum(c.bits for c in self._rule.order if isinstance(c, ContributionCriterion))
        for word in self._words():
            packed = "0::BIGINT"
            for criterion in word:
                if isinstance(criterion, ContributionCriterion):
                    shift -= criterion.bits
                    key = f"(keys >> {shift}) & {2**criterion.bits - 1}"
                else:
                    key = criterion.sql()
                packed = f"({packed}) * {2**criterion.bits} + ({key})"
            yield packed

    def _ranked(self, claims: str, *, kept: int) -> str:
        """The claims with `nth`, their place in the order of the rule, and `lost`, the criterion by which they are left.

        `lost` compares with the last value kept; it has no meaning for the values kept, nor where none is.
        """
        keys = list(self._keys())
        facts = {fact: self._of(fact).golden_text() for fact in sorted(self._rule.facts)}
        known = "".join(f", {fact}_settled.value AS fact_{fact}" for fact in facts)
        joins = "".join(f" LEFT JOIN {told} {fact}_settled USING (entity)" for fact, told in facts.items())
        last = "first_value(k{})" if kept == 1 else f"nth_value(k{{}}, {max(kept, 1)})"
        apart = ", ".join(
            f"xor(k{number}, {last.format(number)} OVER places) AS apart{number}"
            for number in range(len(keys))
        )
        return f"""
            SELECT entity, value, records, source, nth, {self._lost()} AS lost
            FROM (
                SELECT entity, value, records, source, row_number() OVER places AS nth, {apart}
                FROM (
                    SELECT entity, value, records, source, {", ".join(f"{key} AS k{n}" for n, key in enumerate(keys))}
                    FROM (SELECT c.*{known} FROM {claims} c{joins})
                )
                WINDOW places AS (PARTITION BY entity ORDER BY {", ".join(f"k{n}" for n in range(len(keys)))}, value)
            )"""

    def _lost(self) -> str:
        cases = []
        for number, word in enumerate(self._words()):
            shift = sum(criterion.bits for criterion in word)
            for criterion in word:
                shift -= criterion.bits
                cases.append(f"WHEN apart{number} >= {2**shift} THEN {quoted(criterion.label)}")
        return f"CASE {' '.join(cases)} ELSE {quoted(TIE_BREAK)} END"

    def _of(self, attribute: str) -> SubjectSql:
        return SubjectSql(
            policy=self.policy,
            subject=Subject(name=attribute, members=(attribute,)),
            setting=self.setting,
            registries=self.registries,
            types=self.types,
        )

    def _ruled(self, *, chosen: str, criterion: str, authority: str) -> str:
        """The entry of a subject that was judged, over `value` and `runners_up`."""
        members = ""
        if self.subject.is_group:
            members = """'"members":' || to_json(json_keys(value))::VARCHAR || ',', """
        return f"""concat('{{', {authority}, '"chosen":[', {chosen}, '],"criterion":"', {criterion}, '",', {members}
            '"rule":"{self.policy.rule_name_of(self.name)}"', runners_up, '}}')"""

    def _runners_up(self, *, after: int) -> str:
        """The first ones after the values kept as a part of the entry, or null."""
        if self.policy.runners_up == 0:
            return "NULL::VARCHAR"
        named = ", ".join(
            f"max(said) FILTER (nth = {after + number})" for number in range(1, self.policy.runners_up + 1)
        )
        return f"""',"runners_up":[' || nullif(concat_ws(',', {named}), '') || ']'"""

    def _runner_up(self, criterion: str) -> str:
        value = "value" if self.subject.is_group else "to_json(value)"
        return f"""concat('{{"agree":', records, ',"criterion":"', {criterion}, '","record":', {_record("source")},
            ',"value":', {value}, ',"version":', {_version("source")}, '}}')"""


def _record(source: str) -> str:
    return f"({source} >> {VERSION_BITS})"


def _version(source: str) -> str:
    return f"({source} & {2**VERSION_BITS - 1})"


def _source(records: str, source: str) -> str:
    return f"""concat('{{"agree":', {records}, ',"record":', {_record(source)}, ',"version":', {_version(source)}, '}}')"""
