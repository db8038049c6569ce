"""The SQL of one subject: from contributions to the decision on it for every entity.

Three steps, each a table. `claims`: the distinct values of an entity, each with its best contribution. `decisions`: the
values ranked where more than one competes, with the words of stewards (`overridden`) in place of the rule. Last, in one
statement over all subjects, `golden_value` and `entry` write the JSON.

They read `contributing`, one row a contribution: entity, record, version, registry_no, observed_on, found, attributes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from golden_record.contribution import VERSION_BITS
from golden_record.provenance import OVERRIDE, TIE_BREAK, UNCONTESTED
from golden_record.rules import (
    Columns,
    ContributionCriterion,
    MostFrequent,
    Setting,
    Subject,
    ValueCriterion,
    quoted,
)

if TYPE_CHECKING:
    from collections.abc import Mapping

    from golden_record.policy import Policy, Rule

# A contribution's keys, its record and its version pack into one HUGEINT, the record and version in the low 63 bits.
# The smallest is the best contribution, whatever the number of criteria, by one aggregate over a fixed-width number.
_SOURCE_BITS = 63
_ALL = 2**31


@dataclass(frozen=True, slots=True)
class SubjectSql:
    """`types` are the attribute columns that exist, with their types."""

    policy: Policy
    subject: Subject
    setting: Setting
    columns: Columns
    types: Mapping[str, str]

    @property
    def name(self) -> str:
        return self.subject.name

    @property
    def decided(self) -> str:
        """The table of what `decisions` and `overridden` give, one row for each entity with a value or a word.

        value: the text, a JSON object for a group, a JSON list where the rule keeps all.
        records, key: support and best contribution of an only value; else `chosen`, the sources as JSON.
        criterion, runners_up, authority: parts of the entry, null where there is nothing to tell.
        """
        return f"golden_decided_{self.name}"

    def claims(self) -> str:
        """One row a distinct value of an entity, with its best contribution packed in `key`."""
        by_registries = any(isinstance(c, MostFrequent) and c.by == "registries" for c in self._rule.order)
        compared = ", ".join(f'"{name}"' for name in self._compared)
        columns = ", ".join(f'{expression} AS "{name}"' for name, expression in self._compared.items())
        present = " OR ".join(f'"{name}" IS NOT NULL' for name in self._compared)
        return f"""
            SELECT entity, {self._text()} AS value, count(*) AS records,
                {"bit_count(bit_or(1::HUGEINT << registry_no))" if by_registries else "0"} AS registries,
                min(key) AS key
            FROM (SELECT entity, registry_no, {self._packed()} AS key, {columns} FROM contributing)
            WHERE {present}
            GROUP BY entity, {compared}"""

    def decisions(self, claims: str) -> str:
        """The decided table, by the rule alone. Only entities with several values need their order."""
        keeps_one = self._rule.keep == "one"
        kept = 1 if keeps_one else self._rule.limit or _ALL
        if keeps_one:
            values, chosen = "max(value) FILTER (nth = 1)", "max(source) FILTER (nth = 1)"
        else:
            values = f"to_json(list(value ORDER BY nth) FILTER (nth <= {kept}))::VARCHAR"
            chosen = f"string_agg(source, ',' ORDER BY nth) FILTER (nth <= {kept})"
        return f"""
            WITH several AS (SELECT entity FROM {claims} GROUP BY entity HAVING count(*) > 1),
            told AS (
                SELECT entity, nth, value, lost, CASE WHEN nth <= {kept} THEN {_source("records", "key")} END AS source,
                    CASE WHEN nth > {kept} THEN {self._runner_up("lost")} END AS runner_up
                FROM ({self._ranked(f"(FROM {claims} SEMI JOIN several USING (entity))", kept=kept)})
                WHERE nth <= {kept + max(self.policy.runners_up, 1)}
            )
            SELECT entity, {"value" if keeps_one else "to_json([value])::VARCHAR"} AS value, records, key,
                NULL::VARCHAR AS chosen, NULL::VARCHAR AS criterion, NULL::VARCHAR AS runners_up,
                NULL::VARCHAR AS authority
            FROM {claims} ANTI JOIN several USING (entity)
            UNION ALL
            SELECT entity, {values}, NULL, NULL, {chosen}, max(lost) FILTER (nth = {kept + 1}),
                {self._runners_up(after=kept)}, NULL
            FROM told GROUP BY entity"""

    def overridden(self, claims: str, *, words: str) -> str:
        """As `decisions`, for the entities of `words`: entity, said (the values), steward and moment (JSON)."""
        others = (
            f"(SELECT c.* FROM {claims} c JOIN {words} USING (entity) WHERE NOT list_contains(said, value))"
        )
        keeps_one = self._rule.keep == "one"
        value = "said[1]" if keeps_one else "CASE WHEN len(said) > 0 THEN to_json(said)::VARCHAR END"
        return f"""
            WITH agreed AS (
                SELECT w.entity, string_agg(concat('{{"agree":', coalesce(records, 0), '}}'), ',' ORDER BY nth) AS chosen
                FROM (SELECT entity, unnest(said) AS value, generate_subscripts(said, 1) AS nth FROM {words}) w
                LEFT JOIN {claims} c ON c.entity = w.entity AND c.value = w.value
                GROUP BY w.entity
            ),
            left_over AS (
                SELECT entity, {self._runners_up(after=0)} AS runners_up
                FROM (SELECT entity, nth, {self._runner_up(quoted(OVERRIDE))} AS runner_up
                    FROM ({self._ranked(others, kept=0)}))
                GROUP BY entity
            )
            SELECT entity, {value}, NULL, NULL, coalesce(chosen, ''), {quoted(OVERRIDE)}, runners_up,
                concat('"at":', moment, ',"by":', steward, ',')
            FROM {words} LEFT JOIN agreed USING (entity) LEFT JOIN left_over USING (entity)"""

    def golden_value(self) -> str:
        """JSON of the golden value, null where there is none, over the decided table."""
        if self.subject.is_group or self._rule.keep == "all":
            return f"{self.decided}.value"
        return f"to_json({self.decided}.value)::VARCHAR"

    def entry(self) -> str:
        """The entry of provenance with its name as canonical JSON, null where there is none, over the decided table."""
        table = self.decided
        members = ""
        if self.subject.is_group:
            members = f"""'"members":' || to_json(json_keys({table}.value))::VARCHAR || ',', """
        source = _source(f"{table}.records", f"{table}.key")
        return f"""CASE WHEN {table}.entity IS NOT NULL THEN concat('"{self.name}":{{', {table}.authority, '"chosen":[',
            CASE WHEN {table}.chosen IS NULL THEN {source} ELSE {table}.chosen END,
            '],"criterion":"', coalesce({table}.criterion, {quoted(UNCONTESTED)}), '",', {members}
            '"rule":"{self.policy.rule_name_of(self.name)}"', {table}.runners_up, '}}') END"""

    @property
    def _rule(self) -> Rule:
        return self.policy.rule_of(self.name)

    @property
    def _compared(self) -> dict[str, str]:
        """The columns whose distinct values are told apart, with the SQL that reads them; a list gives a row an element."""
        names = self.subject.members if self.subject.is_group else (self.name,)
        return {name: self._read(name) for name in names}

    def _read(self, attribute: str) -> str:
        kind = self.types.get(attribute)
        if kind is None:
            return "NULL::VARCHAR"
        if kind.endswith("[]"):
            return f"""unnest(list_distinct(list_filter("{attribute}", lambda x: x <> '')))"""
        return f"""nullif("{attribute}", '')"""

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
                key = criterion.sql(self.columns, subject=self.subject, setting=self.setting)
                packed = f"({packed}) * {2**criterion.bits} + ({key})"
        return f"(({packed})::HUGEINT * {2**_SOURCE_BITS}::HUGEINT + (record << {VERSION_BITS} | version))"

    def _ranked(self, claims: str, *, kept: int) -> str:
        """The claims with `nth`, their place in the order of the rule, and `lost`, the criterion by which they are left.

        `lost` compares with the last value kept; it has no meaning for the values kept, nor where none is.
        """
        shift = _SOURCE_BITS + sum(c.bits for c in self._rule.order if isinstance(c, ContributionCriterion))
        keys = []
        for number, criterion in enumerate(self._rule.order):
            if isinstance(criterion, ContributionCriterion):
                shift -= criterion.bits
                key = f"(key >> {shift})::BIGINT & {2**criterion.bits - 1}"
            else:
                assert isinstance(criterion, ValueCriterion)
                key = criterion.sql()
            keys.append(f"({key})::BIGINT AS k{number}")
        needed = sorted(self._rule.facts)
        known = "".join(f", {fact_table(fact)}.value AS fact_{fact}" for fact in needed)
        joins = "".join(f" LEFT JOIN {fact_table(fact)} USING (entity)" for fact in needed)
        order = ", ".join([*(f"k{number}" for number in range(len(self._rule.order))), "value"])
        return f"""
            SELECT entity, value, records, key, row_number() OVER places AS nth, {self._lost(kept)} AS lost
            FROM (SELECT entity, value, records, key, {", ".join(keys)} FROM (SELECT c.*{known} FROM {claims} c{joins}))
            WINDOW places AS (PARTITION BY entity ORDER BY {order})"""

    def _lost(self, kept: int) -> str:
        if kept == 0:
            return "NULL"
        last = "first_value(k{})" if kept == 1 else f"nth_value(k{{}}, {kept})"
        cases = " ".join(
            f"WHEN {last.format(number)} OVER places <> k{number} THEN {quoted(criterion.label)}"
            for number, criterion in enumerate(self._rule.order)
        )
        return f"CASE {cases} ELSE {quoted(TIE_BREAK)} END"

    def _runners_up(self, *, after: int) -> str:
        """The first ones after the values kept as a part of the entry, or null."""
        if self.policy.runners_up == 0:
            return "NULL::VARCHAR"
        named = ", ".join(
            f"max(runner_up) FILTER (nth = {after + number})"
            for number in range(1, self.policy.runners_up + 1)
        )
        return f"""',"runners_up":[' || nullif(concat_ws(',', {named}), '') || ']'"""

    def _runner_up(self, criterion: str) -> str:
        value = "value" if self.subject.is_group else "to_json(value)"
        return f"""concat('{{"agree":', records, ',"criterion":"', {criterion}, '","record":', {_record("key")},
            ',"value":', {value}, ',"version":', {_version("key")}, '}}')"""


def fact_table(attribute: str) -> str:
    """Entities with the golden value of an attribute by which others are judged."""
    return f"golden_decided_{attribute}"


def _record(key: str) -> str:
    return f"((({key} & {2**_SOURCE_BITS - 1}::HUGEINT)::BIGINT) >> {VERSION_BITS})"


def _version(key: str) -> str:
    return f"({key} & {2**VERSION_BITS - 1}::HUGEINT)::INTEGER"


def _source(records: str, key: str) -> str:
    return f"""concat('{{"agree":', {records}, ',"record":', {_record(key)}, ',"version":', {_version(key)}, '}}')"""
