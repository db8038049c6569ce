"""The golden records of all entities in DuckDB, equal byte for byte to `golden_record.survivorship`.

Entities are worked through in ranges, so that memory follows the size of a range and not of the country. Within a
range each subject takes two statements: its distinct values with their best contributions, and the decision. What was
measured, and what was left for it, stands in docs/decisions (golden executor).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from golden_record.contribution import RECORD_LIMIT, VERSION_LIMIT, Override, Trust
from golden_record.provenance import canonical_json
from golden_record.rules import Columns, Setting, Subject, Valid, quoted
from golden_record.statements import SubjectSql
from golden_record.survivorship import latest, override_values

if TYPE_CHECKING:
    from datetime import date

    import duckdb

    from golden_record.policy import Policy

_IDENTIFIER = re.compile(r"[a-z][a-z0-9_]*")
_WORDS = pa.schema(
    [
        ("entity", pa.int64()),
        ("subject", pa.string()),
        ("said", pa.list_(pa.string())),
        ("steward", pa.string()),
        ("moment", pa.string()),
    ]
)
# Different registries are counted as bits of a HUGEINT.
_MOST_REGISTRIES = 126
_FIXED = ("entity", "record", "version", "registry", "observed_on", "issues")


class ContributionsError(ValueError):
    """A table of contributions that is not as `survive_all` needs it."""


def survive_all(
    connection: duckdb.DuckDBPyConnection,
    *,
    policy: Policy,
    contributions: str,
    trust: str,
    as_of: date,
    into: str,
    overrides: str | None = None,
    entities_at_once: int = 200_000,
) -> int:
    """Writes the table `into` (entity, "values", provenance; both canonical JSON) and returns its number of rows.

    Args:
        connection: where the tables are; temporary tables of its own are dropped at the end.
        policy: the survivorship policy.
        contributions: entity BIGINT, record BIGINT (unique within the entity, 0 to below 2**43), version INTEGER (0 to
            below 2**20), registry VARCHAR, observed_on DATE, issues (JSON object by attribute, or null), and a column
            for each attribute, VARCHAR or VARCHAR[]. Attributes without a column are missing.
        trust: registry VARCHAR, attribute VARCHAR ("default" for those not named), trust DOUBLE from 0 to 1.
        as_of: the day from which the age of a record is counted.
        into: replaced if it exists.
        overrides: entity BIGINT, attribute VARCHAR (or group), value VARCHAR (JSON; null withholds the value),
            decided_by VARCHAR, decided_at TIMESTAMP in UTC. Overrides of entities without contributions are left aside.
        entities_at_once: the size of a range.
    """
    types = _attribute_types(connection, contributions=contributions)
    _check_rows(connection, contributions=contributions)
    registries = _column(connection, f"SELECT DISTINCT registry FROM {contributions} ORDER BY registry")
    setting = Setting(as_of=as_of, trust=_read_trust(connection, trust=trust))
    words = _read_words(connection, policy=policy, overrides=overrides)
    overridden = {attribute for name in words for attribute in policy.attributes_of(name)}
    subjects = policy.subjects(types.keys() | overridden | policy.facts)
    judged = sorted({member for s in subjects if _needs_issues(policy, subject=s) for member in s.members})
    if len(registries) > _MOST_REGISTRIES:
        raise ContributionsError(
            f"{contributions}: {len(registries)} registries, at most {_MOST_REGISTRIES} go"
        )
    columns = Columns(registries=registries, issue_positions={name: at + 1 for at, name in enumerate(judged)})
    statements = [
        SubjectSql(policy=policy, subject=subject, setting=setting, columns=columns, types=types)
        for subject in subjects
    ]
    _check_groups(statements)
    connection.execute(
        f'CREATE OR REPLACE TABLE {into} (entity BIGINT, "values" VARCHAR, provenance VARCHAR)'
    )
    for first, last in _ranges(connection, contributions=contributions, size=entities_at_once):
        _load(connection, contributions=contributions, columns=columns, first=first, last=last)
        for statement in statements:
            _decide(connection, statement=statement, overridden=statement.name in words)
        connection.execute(_assemble(statements, into=into))
    _drop(connection, statements=statements)
    return int(_column(connection, f"SELECT count(*) FROM {into}")[0])


def _attribute_types(connection: duckdb.DuckDBPyConnection, *, contributions: str) -> dict[str, str]:
    described = connection.execute(f"DESCRIBE {contributions}").fetchall()
    types = {name: str(kind) for name, kind, *_ in described}
    missing = [name for name in _FIXED if name not in types]
    if missing:
        raise ContributionsError(f"{contributions} has no column {missing[0]}")
    attributes = {name: kind for name, kind in types.items() if name not in _FIXED}
    for name, kind in attributes.items():
        if kind not in ("VARCHAR", "VARCHAR[]"):
            raise ContributionsError(
                f"{contributions}.{name} is {kind}, an attribute is VARCHAR or VARCHAR[]"
            )
        if not _IDENTIFIER.fullmatch(name):
            raise ContributionsError(f"{contributions}: {name!r} is no name of an attribute")
    return attributes


def _check_rows(connection: duckdb.DuckDBPyConnection, *, contributions: str) -> None:
    unfit = _column(
        connection,
        f"""SELECT count(*) FROM {contributions}
        WHERE entity IS NULL OR registry IS NULL
            OR (record BETWEEN 0 AND {RECORD_LIMIT - 1} AND version BETWEEN 0 AND {VERSION_LIMIT - 1}) IS NOT TRUE""",
    )[0]
    if unfit:
        raise ContributionsError(
            f"{contributions}: {unfit} rows without entity or registry, or with a record or version out of range"
        )


def _check_groups(statements: list[SubjectSql]) -> None:
    for statement in statements:
        for member in statement.subject.members if statement.subject.is_group else ():
            if statement.types.get(member, "VARCHAR") != "VARCHAR":
                raise ContributionsError(
                    f"{member} is a list, a member of the group {statement.subject.name} is a text"
                )


def _read_trust(connection: duckdb.DuckDBPyConnection, *, trust: str) -> Trust:
    rows = connection.execute(f"SELECT registry, attribute, trust FROM {trust}").fetchall()
    return Trust({(registry, attribute): value for registry, attribute, value in rows})


def _read_words(connection: duckdb.DuckDBPyConnection, *, policy: Policy, overrides: str | None) -> set[str]:
    """Fills golden_words with the words that hold; returns the attributes and groups they are about."""
    by_entity: dict[int, list[Override]] = {}
    if overrides is not None:
        rows = connection.execute(
            f"SELECT entity, attribute, value, decided_by, decided_at FROM {overrides}"
        ).fetchall()
        for entity, attribute, value, by, at in rows:
            said = None if value is None else orjson.loads(value)
            by_entity.setdefault(entity, []).append(Override(attribute=attribute, value=said, by=by, at=at))
    words = [
        {
            "entity": entity,
            "subject": name,
            "said": override_values(policy, override=override),
            "steward": canonical_json(override.by).decode(),
            "moment": canonical_json(override.stamp).decode(),
        }
        for entity, said in by_entity.items()
        for name, override in latest(said).items()
    ]
    connection.register("golden_words_read", pa.Table.from_pylist(words, schema=_WORDS))
    connection.execute("CREATE OR REPLACE TEMP TABLE golden_words AS FROM golden_words_read")
    connection.unregister("golden_words_read")
    return {str(word["subject"]) for word in words}


def _needs_issues(policy: Policy, *, subject: Subject) -> bool:
    return any(isinstance(criterion, Valid) for criterion in policy.rule_of(subject.name).order)


def _ranges(connection: duckdb.DuckDBPyConnection, *, contributions: str, size: int) -> list[tuple[int, int]]:
    return connection.execute(
        f"""SELECT min(entity), max(entity)
        FROM (SELECT entity, row_number() OVER (ORDER BY entity) AS nth FROM (SELECT DISTINCT entity FROM {contributions}))
        GROUP BY (nth - 1) // {size}
        ORDER BY 1"""
    ).fetchall()


def _load(
    connection: duckdb.DuckDBPyConnection, *, contributions: str, columns: Columns, first: int, last: int
) -> None:
    paths = ", ".join(f"'$.\"{name}\"'" for name in columns.issue_positions)
    found = f"json_extract_string(nullif(issues, '{{}}'), [{paths}])" if paths else "NULL"
    numbers = ", ".join(
        f"({quoted(name)}, {number})" for number, name in enumerate(columns.registries, start=1)
    )
    connection.execute(
        f"""CREATE OR REPLACE TEMP TABLE contributing AS
        SELECT c.* EXCLUDE (registry, issues), registry_no, {found} AS found
        FROM {contributions} c JOIN (VALUES {numbers}) r (registry, registry_no) USING (registry)
        WHERE entity BETWEEN {first} AND {last}"""
    )


def _decide(connection: duckdb.DuckDBPyConnection, *, statement: SubjectSql, overridden: bool) -> None:
    connection.execute(f"CREATE OR REPLACE TEMP TABLE golden_claims AS {statement.claims()}")
    free = "golden_claims"
    if overridden:
        connection.execute(
            f"""CREATE OR REPLACE TEMP TABLE golden_words_now AS FROM golden_words
            WHERE subject = {quoted(statement.name)} AND entity IN (SELECT entity FROM contributing)"""
        )
        free = "(FROM golden_claims ANTI JOIN golden_words_now USING (entity))"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {statement.decided} AS {statement.decisions(free)}")
    if overridden:
        spoken = statement.overridden("golden_claims", words="golden_words_now")
        connection.execute(f"INSERT INTO {statement.decided} {spoken}")


def _assemble(statements: list[SubjectSql], *, into: str) -> str:
    values: dict[str, str] = {}
    for statement in statements:
        golden = statement.golden_value()
        if statement.subject.is_group:
            for member in statement.subject.members:
                values[member] = f"""'"{member}":' || json_extract({golden}, '$."{member}"')::VARCHAR"""
        else:
            values[statement.name] = f"""'"{statement.name}":' || {golden}"""
    entries = {statement.name: statement.entry() for statement in statements}
    joins = " ".join(f"LEFT JOIN {statement.decided} USING (entity)" for statement in statements)
    return f"""
        INSERT INTO {into}
        SELECT entity,
            concat('{{', concat_ws(',', {", ".join(values[name] for name in sorted(values))}), '}}'),
            concat('{{', concat_ws(',', {", ".join(entries[name] for name in sorted(entries))}), '}}')
        FROM (SELECT DISTINCT entity FROM contributing) {joins}"""


def _drop(connection: duckdb.DuckDBPyConnection, *, statements: list[SubjectSql]) -> None:
    passing = ("contributing", "golden_claims", "golden_words", "golden_words_now")
    for table in (*passing, *(statement.decided for statement in statements)):
        connection.execute(f"DROP TABLE IF EXISTS temp.{table}")


def _column(connection: duckdb.DuckDBPyConnection, query: str) -> list[Any]:
    return [row[0] for row in connection.execute(query).fetchall()]
