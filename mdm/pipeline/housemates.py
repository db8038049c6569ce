"""Who stands beside a person on the lists of households: evidence for records that say little of the person.

A child without a number is found where both lists put it beside the same parents. Housemates are told by their numbers, and by
name and day of birth, as their own records give them: not by their entities, so that no link rests on another link of the same run.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pyarrow as pa

if TYPE_CHECKING:
    from matching.model import Model
    from mdm.pipeline.workspace import Workspace
    from mdm.registries.attributes import Attributes
    from mdm.store.engine import Bulk

HOUSEMATES = "housemates"
"""The feature: a list of whole numbers, one for each way in which a housemate can be told, of a person of this given name and
year of birth; null where there are none."""
TOLD_BY = ("personal_ids", "name_sorted", "birth_date_iso", "given", "birth_date_year")
"""The features from which it is made."""
_LARGEST = 40
"""Members of a list from which it is no family's: a dormitory, a home."""
_NAMED = pa.schema([("registry", pa.string()), ("household_ref", pa.string())])


def make_person_features(work: Workspace, model: Model, attributes: Attributes) -> None:
    """Table `person` of the loaded records of people: every column of the model, housemates where it compares them."""
    wanted = set(model.feature_columns)
    if HOUSEMATES not in wanted:
        work.make_features("person", sorted(wanted), attributes)
        return
    work.make_features("person", sorted(wanted - {HOUSEMATES} | set(TOLD_BY)), attributes)
    add_housemates(work, features="person", records="person_record")


def add_housemates(work: Workspace, *, features: str, records: str) -> None:
    """Adds the feature to table `features` (record_id, TOLD_BY); `records` is the table of records of people."""
    work.connection.execute(
        f"""
        CREATE OR REPLACE TEMP TABLE housemate AS
        WITH listed AS (
            SELECT r.record, r.registry, r.household_ref, {", ".join(f"f.{name}" for name in TOLD_BY)}
            FROM {records} AS r JOIN {features} AS f ON f.record_id = r.record
            WHERE r.household_ref IS NOT NULL
            QUALIFY COUNT(*) OVER (PARTITION BY r.registry, r.household_ref) BETWEEN 2 AND {_LARGEST}
        ),
        told AS (
            SELECT record, registry, household_ref, UNNEST(personal_ids) AS token FROM listed
            UNION ALL SELECT record, registry, household_ref, concat_ws(chr(31), name_sorted, birth_date_iso) FROM listed
            WHERE name_sorted IS NOT NULL AND birth_date_iso IS NOT NULL
        )
        SELECT l.record, list_sort(list(DISTINCT md5_number_lower(concat_ws(chr(31), given, birth_date_year, t.token)))) AS {HOUSEMATES}
        FROM listed AS l JOIN told AS t USING (registry, household_ref)
        WHERE given IS NOT NULL AND birth_date_year IS NOT NULL AND NOT EXISTS (FROM told AS own WHERE own.record = l.record AND own.token = t.token)
        GROUP BY l.record;
        CREATE OR REPLACE TABLE {features} AS
        SELECT f.*, h.{HOUSEMATES} FROM {features} AS f LEFT JOIN housemate AS h ON h.record = f.record_id;
        DROP TABLE housemate
        """
    )


def housemates_of(work: Workspace, store: Bulk, *, changed: str, records: str) -> None:
    """Adds to table `changed` (record_id) those who stand on a list on which one of its records stands or stood."""
    store.stage("changed_housemate", work.connection.sql(f"FROM {changed}").to_arrow_table())
    rows = store.read(
        """
        SELECT DISTINCT r.registry, v.attributes AS household_ref FROM record AS r
        JOIN record_version AS v ON v.record_id = r.record_id JOIN changed_housemate AS c ON c.record_id = r.record_id
        WHERE r.kind = 'person' AND v.attributes LIKE '%"household_ref"%'
        """,
        _NAMED,
    )
    connection = work.connection
    connection.register("named_household", rows)
    connection.execute(
        f"""
        INSERT INTO {changed}
        SELECT record FROM {records} AS r
        SEMI JOIN (SELECT registry, household_ref ->> '$.household_ref' AS household_ref FROM named_household) AS n
            ON n.registry = r.registry AND n.household_ref = r.household_ref
        ANTI JOIN {changed} AS c ON c.record_id = r.record
        """
    )
    connection.unregister("named_household")
