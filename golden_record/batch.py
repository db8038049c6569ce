"""The golden records of all entities in DuckDB, equal byte for byte to `golden_record.survivorship`.

The contributions are sorted by entity once; then entities are worked through in ranges, so that memory follows the size
of a range and not of the country (DuckDB spills the sorted copy). In each range one aggregation finds what all
contributions agree on; a statement for each subject decides where they differ; the last one writes the JSON. What was
measured, and what was left for it, stands in docs/decisions (golden executor).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any

import orjson
import pyarrow as pa

from golden_record.contribution import RECORD_LIMIT, VERSION_BITS, VERSION_LIMIT, Override, Trust
from golden_record.provenance import canonical_json
from golden_record.rules import Setting, quoted
from golden_record.statements import SubjectSql
from golden_record.survivorship import latest, override_values

if TYPE_CHECKING:
    from collections.abc import Mapping
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
# Different registries are counted as bits of a BIGINT.
_MOST_REGISTRIES = 62
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
    records_at_once: int = 1_000_000,
) -> int:
    """Writes the table `into` (entity, "values", provenance, hash; the middle two canonical JSON, the last as `golden_hash`) and
    returns its number of rows.

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
        records_at_once: about how many contributions the entities of a range have.
    """
    types = _attribute_types(connection, contributions=contributions)
    _check_rows(connection, contributions=contributions)
    registries = _column(connection, f"SELECT DISTINCT registry FROM {contributions} ORDER BY registry")
    setting = Setting(as_of=as_of, trust=_read_trust(connection, trust=trust))
    words = _read_words(connection, policy=policy, overrides=overrides)
    overridden = {attribute for name in words for attribute in policy.attributes_of(name)}
    subjects = policy.subjects(types.keys() | overridden | policy.facts)
    if len(registries) > _MOST_REGISTRIES:
        raise ContributionsError(
            f"{contributions}: {len(registries)} registries, at most {_MOST_REGISTRIES} go"
        )
    statements = [
        SubjectSql(policy=policy, subject=subject, setting=setting, registries=registries, types=types)
        for subject in subjects
    ]
    _check_groups(statements)
    # Uncompressed, for what is read once and dropped: in a file, compressing costs as much as all other writing.
    text = "VARCHAR USING COMPRESSION uncompressed"
    connection.execute(
        f'CREATE OR REPLACE TABLE {into} (entity BIGINT, "values" {text}, provenance {text}, hash VARCHAR)'
    )
    connection.execute(_sorted(contributions, registries=registries, types=types))
    for start, end in _ranges(connection, size=records_at_once):
        connection.execute(_agree(statements, start=start, end=end))
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


def _sorted(contributions: str, *, registries: list[str], types: Mapping[str, str]) -> str:
    """By entity, so that a range reads only its own part, and the rows of an entity meet in the cache."""
    numbers = ", ".join(f"({quoted(name)}, {number})" for number, name in enumerate(registries, start=1))
    said = "".join(
        f""", {
            f"nullif(list_filter({name}, lambda x: x <> ''), [])"
            if kind.endswith("[]")
            else f"nullif({name}, '')"
        } AS {name}"""
        for name, kind in types.items()
    )
    return f"""CREATE OR REPLACE TEMP TABLE golden_contributing AS
        SELECT entity, record << {VERSION_BITS} | version AS source, registry_no, observed_on, nullif(issues, '{{}}') AS issues{said}
        FROM {contributions} JOIN (VALUES {numbers or "(NULL, NULL)"}) r (registry, registry_no) USING (registry)
        ORDER BY entity"""


def _ranges(connection: duckdb.DuckDBPyConnection, *, size: int) -> list[tuple[int, int]]:
    """First and last entity of each. Where a row begins a range decides nothing but the size of the range."""
    starts = _column(
        connection,
        f"""SELECT DISTINCT entity FROM golden_contributing WHERE rowid % {size} = 0
        UNION SELECT min(entity) FROM golden_contributing HAVING count(*) > 0 ORDER BY 1""",
    )
    return list(zip(starts, [*(start - 1 for start in starts[1:]), 2**63 - 1], strict=True)) if starts else []


def _agree(statements: list[SubjectSql], *, start: int, end: int) -> str:
    columns = ", ".join(statement.agreement() for statement in statements)
    return f"""CREATE OR REPLACE TEMP TABLE golden_agreed AS
        SELECT entity, {columns} FROM golden_contributing WHERE entity BETWEEN {start} AND {end} GROUP BY entity"""


def _decide(connection: duckdb.DuckDBPyConnection, *, statement: SubjectSql, overridden: bool) -> None:
    judged = f"({statement.contested()})"
    free = f"({statement.claims(judged)})"
    if overridden:
        connection.execute(
            f"""CREATE OR REPLACE TEMP TABLE golden_words_now AS FROM golden_words
            WHERE subject = {quoted(statement.name)} AND entity IN (SELECT entity FROM golden_agreed)"""
        )
        judged = f"({statement.contested()} UNION SELECT entity FROM golden_words_now)"
        connection.execute(f"CREATE OR REPLACE TEMP TABLE golden_claims AS {statement.claims(judged)}")
        free = "(FROM golden_claims ANTI JOIN golden_words_now USING (entity))"
    connection.execute(f"CREATE OR REPLACE TEMP TABLE {statement.decided} AS {statement.decisions(free)}")
    if overridden:
        spoken = statement.overridden("golden_claims", words="golden_words_now")
        connection.execute(f"INSERT INTO {statement.decided} {spoken}")


def _assemble(statements: list[SubjectSql], *, into: str) -> str:
    values = {name: said for statement in statements for name, said in statement.golden_values().items()}
    entries = {statement.name: statement.entry() for statement in statements}
    joins = " ".join(f"LEFT JOIN {statement.decided} USING (entity)" for statement in statements)
    return f"""
        INSERT INTO {into}
        SELECT entity, said, told, sha256(said || chr(10) || told)
        FROM (
            SELECT entity,
                concat('{{', concat_ws(',', {", ".join(values[name] for name in sorted(values))}), '}}') AS said,
                concat('{{', concat_ws(',', {", ".join(entries[name] for name in sorted(entries))}), '}}') AS told
            FROM golden_agreed {joins}
        )"""


def _drop(connection: duckdb.DuckDBPyConnection, *, statements: list[SubjectSql]) -> None:
    passing = ("contributing", "agreed", "claims", "words", "words_now")
    for table in (*(f"golden_{name}" for name in passing), *(statement.decided for statement in statements)):
        connection.execute(f"DROP TABLE IF EXISTS temp.{table}")


def _column(connection: duckdb.DuckDBPyConnection, query: str) -> list[Any]:
    return [row[0] for row in connection.execute(query).fetchall()]
