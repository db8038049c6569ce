"""Who is who: written beside the deliveries by the simulation and read by the evaluation alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import date
    from pathlib import Path

    from mdm.simulation.population.tables import Population

TRUTH_FOLDER = "truth"
PERSONS, RECORDS, REJECTS, HOUSEHOLDS = (
    "persons.parquet",
    "records.parquet",
    "rejects.parquet",
    "households.parquet",
)

RECORD_COLUMNS = pa.schema(
    [
        ("registry", pa.string()),
        ("local_id", pa.string()),
        ("kind", pa.string()),  # person, household
        ("person_id", pa.int64()),  # whom the papers describe; -1 for a household
        ("actual_person_id", pa.int64()),  # who came with them: another for borrowed papers
        (
            "household_id",
            pa.int64(),
        ),  # of a household record; of a person the household the record gives, -1 none
        ("delivery", pa.int32()),  # the first that holds the record
        ("tags", pa.list_(pa.string())),
    ]
)
REJECT_COLUMNS = pa.schema(
    [
        ("registry", pa.string()),
        ("delivery", pa.int32()),
        ("file", pa.string()),
        ("row_number", pa.int64()),
        ("reason", pa.string()),
    ]
)


def write_truth(
    folder: Path,
    *,
    population: Population,
    records: Sequence[pa.Table],
    rejects: Sequence[pa.Table],
    days: Sequence[date],
) -> None:
    """`days`: the days of the deliveries, for which the households' members are told."""
    folder.mkdir(parents=True)
    persons = _persons(population)
    pq.write_table(persons, folder / PERSONS, compression="zstd")
    pq.write_table(
        pa.concat_tables([RECORD_COLUMNS.empty_table(), *records]), folder / RECORDS, compression="zstd"
    )
    pq.write_table(
        pa.concat_tables([REJECT_COLUMNS.empty_table(), *rejects]), folder / REJECTS, compression="zstd"
    )
    pq.write_table(_households(population, days), folder / HOUSEHOLDS, compression="zstd")


_PERSONS = """
SELECT p.*, coalesce(s.household_id, -1) AS household_id
FROM persons p LEFT JOIN (
  SELECT person_id, arg_max(household_id, (kind = 'temporary', from_date)) AS household_id
  FROM spells WHERE to_date IS NULL GROUP BY person_id
) s USING (person_id)
ORDER BY p.person_id
"""  # true values, with the household each person lives in at the end (-1 none)

_HOUSEHOLDS = """
WITH open AS (
  SELECT household_id, person_id, kind FROM spells WHERE from_date <= $day AND (to_date IS NULL OR to_date > $day)
)
SELECT household_id, list(person_id ORDER BY person_id) FILTER (kind = 'permanent') AS registered_members,
  list(person_id ORDER BY person_id) FILTER (
    kind = 'temporary' OR person_id NOT IN (SELECT person_id FROM open WHERE kind = 'temporary')
  ) AS members, $delivery::INTEGER AS delivery
FROM open GROUP BY household_id ORDER BY household_id
"""  # one row for each household that has members on the day: those registered there and those who live there


def _persons(population: Population) -> pa.Table:
    with duckdb.connect() as database:
        database.register("spells", population.residence_spells)
        database.register("persons", population.persons)
        return pa.table(database.sql(_PERSONS).to_arrow_table())


def _households(population: Population, days: Sequence[date]) -> pa.Table:
    with duckdb.connect() as database:
        database.register("spells", population.residence_spells)
        parts = [
            database.sql(_HOUSEHOLDS, params={"day": day, "delivery": number}).to_arrow_table()
            for number, day in enumerate(days, start=1)
        ]
    return pa.concat_tables(parts)


def local_ids(table: pa.Table, *, key: Sequence[str]) -> pa.Array:
    """As the ingest makes them: key values stripped and joined with a bar."""
    columns = [pc.utf8_trim_whitespace(table[name].combine_chunks()) for name in key]
    return pc.binary_join_element_wise(*columns, "|")
