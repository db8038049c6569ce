"""The SQL of one subject: from contributions to the decision on it for every entity.

Most entities have one value at most for a subject. They are told from the others, and settled, by plain aggregates over
all subjects at once (`summary`). Where values compete, or a steward has spoken, the distinct values are ranked
(`claims`, `decisions`, `overridden`); a subject whose column is a list always goes this way.

Tables read: `contributing`, one row a contribution (entity, record, version, registry_no, observed_on, found, attributes)
and `golden_summary`, one row an entity.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from golden_record.policy import Policy, Rule
from golden_record.provenance import OVERRIDE, TIE_BREAK, UNCONTESTED
from golden_record.rules import Columns, ContributionCriterion, MostFrequent, Setting, Subject, ValueCriterion, quoted

# The keys of a contribution and its record pack into one HUGEINT: the keys above, the record in the low 63 bits. The
# smallest is the best contribution, whatever the number of criteria, by one aggregate over a fixed-width number.
_RECORD_BITS = 63


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
        """The table of what `decisions` and `overridden` give."""
        return f"golden_decided_{self.name}"

    @property
    def is_single(self) -> bool:
        """Whether a contribution has one value at most, so that the summary can settle most entities."""
        return not self.types.get(self.name, "").endswith("[]")

    def row(self) -> str:
        """For the summary, before grouping: value and packed key of a contribution."""
        return f"{self._value()} AS {self.name}__value, {self._packed()} AS {self.name}__key"

    def summary(self) -> str:
        """For the summary: lowest and highest value, the number of contributions, and the best of them."""
        value, key = f"{self.name}__value", f"CASE WHEN {self.name}__value IS NOT NULL THEN {self.name}__key END"
        return f"""min({value}) AS {self.name}__low, max({value}) AS {self.name}__high,
            count({value}) AS {self.name}__records, min({key}) AS {self.name}__best,
            arg_min(version, {key}) AS {self.name}__version"""

    def claims(self, *, words: str | None) -> str:
        """One row a distinct value of an entity where values compete, with its best contribution packed in `key`."""
        by_registries = any(isinstance(c, MostFrequent) and c.by == "registries" for c in self._rule.order)
        contested = "contributing"
        if self.is_single:
            spoken = f" OR entity IN (SELECT entity FROM {words})" if words else ""
            differing = f"{self.name}__low <> {self.name}__high"
            contested = f"(FROM contributing SEMI JOIN (FROM golden_summary WHERE {differing}{spoken}) USING (entity))"
        return f"""
            SELECT entity, value, count(*) AS records,
                {"bit_count(bit_or(1::HUGEINT << registry_no))" if by_registries else "0"} AS registries,
                min(key) AS key, arg_min(version, key) AS version
            FROM (SELECT entity, version, registry_no, {self._value()} AS value, {self._packed()} AS key FROM {contested})
            WHERE value IS NOT NULL
            GROUP BY entity, value"""

    def decisions(self, claims: str, *, facts: Mapping[str, str]) -> str:
        """entity, value (JSON), plain (text), entry (JSON), by the rule; `facts` are tables of values settled before."""
        kept, named = self._kept, self.policy.runners_up
        last = f"WHERE nth <= {kept + max(named, 1)}" if kept else ""
        values = "[max(value) FILTER (nth = 1)]" if kept == 1 else f"list(value ORDER BY nth){self._filter_kept()}"
        source = _source("records", "key", "version")
        chosen = f"string_agg(source, ',' ORDER BY nth){self._filter_kept()}"
        if kept == 1:
            chosen = "max(source) FILTER (nth = 1)"
        criterion = f"max(lost) FILTER (nth = {kept + 1})" if kept else "NULL"
        lost = self._lost() if kept else "NULL"
        text = f"CASE WHEN nth > {kept} THEN {self._runner_up('lost')} END" if kept else "NULL::VARCHAR"
        entry = self._entry(
            chosen="chosen", criterion=f"coalesce(criterion, {quoted(UNCONTESTED)})", first='"values"[1]'
        )
        return f"""
            WITH ranked AS (
                SELECT entity, value, records, key, version, row_number() OVER places AS nth, {lost} AS lost
                FROM ({self._placed(claims, facts=facts)})
                WINDOW places AS (PARTITION BY entity ORDER BY {self._order()})
            ),
            told AS (SELECT entity, nth, value, lost, {source} AS source, {text} AS runner_up FROM ranked {last}),
            gathered AS (
                SELECT entity, {values} AS "values", {chosen} AS chosen, {criterion} AS criterion,
                    {self._gathered(after=kept)} AS runners_up
                FROM told GROUP BY entity
            )
            SELECT entity, {self._golden_value('"values"')} AS value, "values"[1] AS plain, {entry} AS entry
            FROM gathered"""

    def overridden(self, claims: str, *, facts: Mapping[str, str], words: str) -> str:
        """As `decisions`, for the entities of `words`: entity, said (the values), steward and moment (JSON)."""
        left = f"(SELECT c.* FROM {claims} c JOIN {words} USING (entity) WHERE NOT list_contains(said, value))"
        entry = self._entry(
            chosen="coalesce(sources, '')",
            criterion=quoted(OVERRIDE),
            first="said[1]",
            authority="""'"at":', moment, ',"by":', steward, ',', """,
        )
        return f"""
            WITH agreed AS (
                SELECT w.entity, string_agg(concat('{{"agree":', coalesce(records, 0), '}}'), ',' ORDER BY nth) AS sources
                FROM (SELECT entity, unnest(said) AS value, generate_subscripts(said, 1) AS nth FROM {words}) w
                LEFT JOIN {claims} c ON c.entity = w.entity AND c.value = w.value
                GROUP BY w.entity
            ),
            ranked AS (
                SELECT entity, value, records, key, version, row_number() OVER places AS nth
                FROM ({self._placed(left, facts=facts)})
                WINDOW places AS (PARTITION BY entity ORDER BY {self._order()})
            ),
            told AS (SELECT entity, nth, {self._runner_up(quoted(OVERRIDE))} AS runner_up FROM ranked),
            gathered AS (SELECT entity, {self._gathered(after=0)} AS runners_up FROM told GROUP BY entity)
            SELECT entity, {self._golden_value("said")} AS value, said[1] AS plain, {entry} AS entry
            FROM {words} LEFT JOIN agreed USING (entity) LEFT JOIN gathered USING (entity)"""

    def settled_value(self) -> str:
        """JSON of the golden value, over golden_summary joined with the decided table."""
        if not self.is_single:
            return f"{self.decided}.value"
        low = f"{self.name}__low" if self.subject.is_group else self._golden_value(f"[{self.name}__low]")
        return f"CASE WHEN {self.decided}.entity IS NULL THEN {low} ELSE {self.decided}.value END"

    def settled_plain(self) -> str:
        return f"CASE WHEN {self.decided}.entity IS NULL THEN {self.name}__low ELSE {self.decided}.plain END"

    def settled_entry(self) -> str:
        """The named entry of provenance, over golden_summary joined with the decided table."""
        if not self.is_single:
            return f"{self.decided}.entry"
        source = _source(f"{self.name}__records", f"{self.name}__best", f"{self.name}__version")
        alone = self._entry(chosen=source, criterion=quoted(UNCONTESTED), first=f"{self.name}__low", runners_up="''")
        return f"""CASE WHEN {self.decided}.entity IS NOT NULL THEN {self.decided}.entry
            WHEN {self.name}__records > 0 THEN {alone} END"""

    @property
    def _rule(self) -> Rule:
        return self.policy.rule_of(self.name)

    @property
    def _kept(self) -> int:
        """How many values the rule keeps at most; 0 for all."""
        return 1 if self._rule.keep == "one" else self._rule.limit or 0

    def _filter_kept(self) -> str:
        return f" FILTER (nth <= {self._kept})" if self._kept else ""

    def _value(self) -> str:
        """The text in which the subject's values compete; a list gives a row an element."""
        if self.subject.is_group:
            filled = [member for member in self.subject.members if member in self.types]
            if not filled:
                return "NULL::VARCHAR"
            parts = [
                f"""CASE WHEN "{member}" <> '' THEN '"{member}":' || to_json("{member}")::VARCHAR END"""
                for member in filled
            ]
            return f"""nullif('{{' || concat_ws(',', {", ".join(parts)}) || '}}', '{{}}')"""
        if self.name not in self.types:
            return "NULL::VARCHAR"
        if self.is_single:
            return f"""nullif("{self.name}", '')"""
        return f"""unnest(list_distinct(list_filter("{self.name}", lambda x: x <> '')))"""

    def _packed(self) -> str:
        packed = "0::BIGINT"
        for criterion in self._rule.order:
            if isinstance(criterion, ContributionCriterion):
                key = criterion.sql(self.columns, subject=self.subject, setting=self.setting)
                packed = f"({packed}) * {2**criterion.bits} + ({key})"
        return f"(({packed})::HUGEINT * {2**_RECORD_BITS}::HUGEINT + record)"

    def _placed(self, claims: str, *, facts: Mapping[str, str]) -> str:
        """The claims with the key of each criterion, k0, k1 and on."""
        shift = _RECORD_BITS + sum(c.bits for c in self._rule.order if isinstance(c, ContributionCriterion))
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
        known = "".join(f", {facts[fact]}.plain AS fact_{fact}" for fact in needed)
        joins = "".join(f" LEFT JOIN {facts[fact]} USING (entity)" for fact in needed)
        return f"""SELECT entity, value, records, key, version, {", ".join(keys)}
            FROM (SELECT c.*{known} FROM {claims} c{joins})"""

    def _order(self) -> str:
        return ", ".join([*(f"k{number}" for number in range(len(self._rule.order))), "value"])

    def _lost(self) -> str:
        """The criterion at which a row comes after the last value kept; of no meaning for those kept."""
        cases = " ".join(
            f"WHEN nth_value(k{number}, {self._kept}) OVER places <> k{number} THEN {quoted(criterion.label)}"
            for number, criterion in enumerate(self._rule.order)
        )
        return f"CASE {cases} ELSE {quoted(TIE_BREAK)} END"

    def _gathered(self, *, after: int) -> str:
        """The first runners-up of an entity as a part of its entry, or an empty text."""
        if self.policy.runners_up == 0:
            return "''"
        named = ", ".join(
            f"max(runner_up) FILTER (nth = {after + number})" for number in range(1, self.policy.runners_up + 1)
        )
        return f"""coalesce(',"runners_up":[' || nullif(concat_ws(',', {named}), '') || ']', '')"""

    def _runner_up(self, criterion: str) -> str:
        value = "value" if self.subject.is_group else "to_json(value)"
        return f"""concat('{{"agree":', records, ',"criterion":"', {criterion}, '","record":', {_record("key")},
            ',"value":', {value}, ',"version":', version, '}}')"""

    def _golden_value(self, chosen: str) -> str:
        """JSON of the chosen values, null where there are none."""
        if self.subject.is_group:
            return f"({chosen})[1]"
        if self._rule.keep == "one":
            return f"to_json(({chosen})[1])::VARCHAR"
        return f"CASE WHEN len({chosen}) > 0 AND ({chosen})[1] IS NOT NULL THEN to_json({chosen})::VARCHAR END"

    def _entry(
        self, *, chosen: str, criterion: str, first: str, runners_up: str = "runners_up", authority: str = ""
    ) -> str:
        """The decision as canonical JSON, with the subject's name before it."""
        members = ""
        if self.subject.is_group:
            members = f"""'"members":' || to_json(json_keys({first}))::VARCHAR || ',', """
        return f"""concat('"{self.name}":{{', {authority}'"chosen":[', {chosen}, '],"criterion":"', {criterion}, '",',
            {members}'"rule":"{self.policy.rule_name_of(self.name)}"', {runners_up}, '}}')"""


def _record(key: str) -> str:
    return f"({key} & {2**_RECORD_BITS - 1}::HUGEINT)"


def _source(records: str, key: str, version: str) -> str:
    return f"""concat('{{"agree":', {records}, ',"record":', {_record(key)}, ',"version":', {version}, '}}')"""
