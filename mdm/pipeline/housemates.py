"""Who stands beside a person on the lists of households: evidence for records that say little of the person.

A child without a number is found where both lists put it beside the same parents. Housemates are told by their numbers, and by
name and day of birth, as their own records give them: not by their entities, so that no link rests on another link of the same run.
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from mdm.pipeline.prepare import HOUSEHOLD_REF

if TYPE_CHECKING:
    from collections.abc import Mapping

    import duckdb

    from matching.model import Model
    from mdm.pipeline.workspace import Workspace
    from mdm.store.engine import Bulk

HOUSEMATES = "housemates"
"""The feature: a list of whole numbers, one for each way in which a housemate can be told, of a person of this given name and
year of birth; null where there are none."""
LARGEST = 40
"""Members of a list from which it is no family's: a dormitory, a home."""
_NUMBERS = "personal_ids"
_NAME_AND_DAY = ("name_sorted", "birth_date_iso")
"""A housemate is told by each number, and by these together."""
_OWN = ("given", "birth_date_year")
TOLD_BY = (_NUMBERS, *_NAME_AND_DAY, *_OWN)
"""The features from which it is made, over all records by DuckDB and for one of them by Python."""
_BETWEEN = "\x1f"
_RECORD = pa.schema([("record", pa.int64())])
_SAID = pa.schema([("registry", pa.string()), ("attributes", pa.string())])


def indexed_columns(model: Model) -> list[str]:
    """Features of a record by which another one is matched with it: those of the model, and what its housemates are told by."""
    beside = TOLD_BY if HOUSEMATES in model.feature_columns else ()
    return sorted({*model.feature_columns, *beside})


def add_housemates(connection: duckdb.DuckDBPyConnection, *, features: str, records: str) -> None:
    """Adds the feature to table `features` (record_id, TOLD_BY); `records` (record, registry, household_ref) are of people."""
    connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE housemate AS
        WITH listed AS (
            SELECT r.record, r.registry, r.household_ref, {", ".join(f"f.{name}" for name in TOLD_BY)}
            FROM {records} AS r JOIN {features} AS f ON f.record_id = r.record
            WHERE r.household_ref IS NOT NULL
            QUALIFY COUNT(*) OVER (PARTITION BY r.registry, r.household_ref) BETWEEN 2 AND {LARGEST}
        ),
        told AS (
            SELECT record, registry, household_ref, UNNEST({_NUMBERS}) AS token FROM listed
            UNION ALL SELECT record, registry, household_ref, {_joined(*_NAME_AND_DAY)} FROM listed WHERE {_present(*_NAME_AND_DAY)}
        )
        SELECT l.record, list_sort(list(DISTINCT md5_number_lower({_joined(*_OWN, "t.token")}))) AS {HOUSEMATES}
        FROM listed AS l JOIN told AS t USING (registry, household_ref)
        WHERE {_present(*_OWN)} AND NOT EXISTS (FROM told AS own WHERE own.record = l.record AND own.token = t.token)
        GROUP BY l.record;
        CREATE OR REPLACE TABLE {features} AS
        SELECT f.*, h.{HOUSEMATES} FROM {features} AS f LEFT JOIN housemate AS h ON h.record = f.record_id;
        DROP TABLE housemate
        """
    )


def _joined(*columns: str) -> str:
    return f"concat_ws(chr({ord(_BETWEEN)}), {', '.join(columns)})"


def _present(*columns: str) -> str:
    return " AND ".join(f"{column} IS NOT NULL" for column in columns)


def housemates_among(listed: Mapping[int, Mapping[str, Any]], record: int) -> list[int] | None:
    """The feature of one record; `listed`: TOLD_BY of every record on its list, itself among them."""
    own = [listed[record][name] for name in _OWN]
    if not 2 <= len(listed) <= LARGEST or None in own:
        return None
    beside = set().union(*map(_tokens, listed.values())) - _tokens(listed[record])
    return sorted(_number(_BETWEEN.join([*map(str, own), token])) for token in beside) or None


def _tokens(told: Mapping[str, Any]) -> set[str]:
    name_and_day = [told[name] for name in _NAME_AND_DAY]
    return {*(told[_NUMBERS] or ()), *([] if None in name_and_day else [_BETWEEN.join(name_and_day)])}


def _number(text: str) -> int:
    """As DuckDB's md5_number_lower."""
    return int.from_bytes(hashlib.md5(text.encode(), usedforsecurity=False).digest()[8:], "little")


def housemates_of(work: Workspace, store: Bulk, *, changed: str) -> None:
    """Adds to table `changed` (record_id) the people on a list on which one of its records stands or stood."""
    connection = work.connection
    store.stage("changed_listed", connection.sql(f"FROM {changed}").to_arrow_table())
    said = store.read(
        """
        SELECT r.registry, v.attributes FROM changed_listed AS c JOIN record AS r ON r.record_id = c.record_id
        JOIN record_version AS v ON v.record_id = r.record_id WHERE r.kind = 'person' AND v.attributes LIKE '%"household_ref"%'
        """,
        _SAID,
    )
    connection.register("said", said)
    named = connection.sql(f"SELECT DISTINCT registry, {HOUSEHOLD_REF} AS household_ref FROM said")
    store.stage("named_household", named.to_arrow_table())
    connection.unregister("said")
    # a cross join keeps SQLite from walking through all records
    found = store.read(
        """
        SELECT r.record_id FROM named_household AS n CROSS JOIN record AS r
        WHERE r.registry = n.registry AND r.household_ref = n.household_ref AND r.kind = 'person' AND r.status = 'active'
        """,
        _RECORD,
    )
    connection.register("listed", found)
    connection.execute(
        f"INSERT INTO {changed} SELECT record FROM listed ANTI JOIN {changed} AS c ON c.record_id = record"
    )
    connection.unregister("listed")
