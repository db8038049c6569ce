"""Survivorship of all entities in DuckDB: seconds and peak memory on a synthetic table.

    python -m benchmarks.golden --entities 500000 --filled 0.7 --differing 0.1

A table of `entities` persons with 4.5 records each over 20 attributes (18 texts, of which three are an address, and two
lists). `filled` of the cells hold a value; `differing` of those are one of two other values than the person's own. In
the first large comparison with the population database 24.8% of records had a wrong name, birth date or other item
(thoibaotaichinhvietnam.vn 102282), which is somewhat under a tenth for each attribute.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from datetime import date
from pathlib import Path

import duckdb

from golden_record.batch import survive_all
from golden_record.policy import load_policy

POLICY = Path(__file__).parents[1] / "configs" / "golden_record" / "person.yaml"
REGISTRIES = (
    "population",
    "birth_events",
    "identity_cards",
    "social_insurance",
    "health_insurance",
    "tax",
    "school",
)
TEXTS = (
    "full_name", "sex", "birth_date", "birth_place", "native_place", "ethnicity", "nationality", "marital_status",
    "personal_id", "social_insurance_no", "health_card_no", "tax_code", "address_text", "address_street",
    "address_unit", "mother_name", "father_name", "head_relation",
)  # fmt: skip
LISTS = ("phone", "cmnd")


def _thing(attribute: str) -> str:
    """What is filled and differs together: an attribute, or the whole address."""
    return "address" if attribute.startswith("address_") else attribute


def _variant(attribute: str) -> str:
    """0 for the person's own value, 1 or 2 for the others that records may hold."""
    drawn = f"(hash(record, '{_thing(attribute)}', 'differs') % 1000000)::INTEGER"
    return f"(CASE WHEN {drawn} < differing * 1000000 THEN 1 + {drawn} % 2 ELSE 0 END)"


def _text(attribute: str) -> str:
    """A value of realistic length."""
    own = f"hash(entity * 31 + {_variant(attribute)}, '{attribute}')"
    if attribute == "sex":
        return f"CASE WHEN {own} % 2 = 0 THEN 'male' ELSE 'female' END"
    if attribute == "birth_date":
        return f"(DATE '1940-01-01' + ({own} % 30000)::INTEGER)::VARCHAR"
    if attribute in ("ethnicity", "nationality", "marital_status", "head_relation"):
        return f"'code ' || {own} % 20"
    if attribute.endswith(("_name", "_place", "_text", "_street")):
        return f"'Nguyễn Thị ' || {own} % 100000"
    return f"lpad(({own} % 1000000000000)::VARCHAR, 12, '0')"


def make_contributions(
    connection: duckdb.DuckDBPyConnection, *, entities: int, filled: float, differing: float
) -> None:
    filled_to = round(filled * 1000)
    columns = []
    for name in (*TEXTS, *LISTS):
        value = f"[{_text(name)}]" if name in LISTS else _text(name)
        columns.append(
            f"CASE WHEN hash(record, '{_thing(name)}', 'filled') % 1000 < {filled_to} THEN {value} END AS {name}"
        )
    names = ", ".join(f"'{registry}'" for registry in REGISTRIES)
    connection.execute(
        f"""CREATE OR REPLACE TABLE contributions AS
        SELECT entity, record, 1 AS version, [{names}][1 + (hash(record) % {len(REGISTRIES)})::INTEGER] AS registry,
            DATE '2005-01-01' + (hash(record, 'day') % 7000)::INTEGER AS observed_on,
            CASE WHEN hash(record, 'issue') % 10 = 0 THEN '{{"birth_date":"date.day_missing"}}' END AS issues,
            {", ".join(columns)}
        FROM (
            SELECT record, record * 2 // 9 AS entity, {differing}::DOUBLE AS differing
            FROM range({entities * 9 // 2}) t (record)
        )
        ORDER BY hash(record)"""
    )
    trust = ", ".join(f"('{name}', 'default', {0.9 - number / 10})" for number, name in enumerate(REGISTRIES))
    connection.execute(
        f"CREATE OR REPLACE TABLE trust AS FROM (VALUES {trust}) t (registry, attribute, trust)"
    )


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--entities", type=int, default=500_000)
    parser.add_argument("--filled", type=float, default=0.7)
    parser.add_argument("--differing", type=float, default=0.1)
    parser.add_argument("--policy", type=Path, default=POLICY)
    parser.add_argument("--records-at-once", type=int, default=1_000_000)
    parser.add_argument("--memory-limit", default="2GB")
    arguments = parser.parse_args()

    folder = tempfile.TemporaryDirectory()
    connection = duckdb.connect(str(Path(folder.name) / "golden.duckdb"))
    connection.execute(f"SET memory_limit = '{arguments.memory_limit}'")
    connection.execute("SET threads = 2")
    connection.execute("SET preserve_insertion_order = false")
    make_contributions(
        connection, entities=arguments.entities, filled=arguments.filled, differing=arguments.differing
    )
    connection.execute("CHECKPOINT")
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start, busy = time.perf_counter(), time.process_time()
    rows = survive_all(
        connection,
        policy=load_policy(arguments.policy),
        contributions="contributions",
        trust="trust",
        as_of=date(2026, 1, 1),
        into="golden",
        records_at_once=arguments.records_at_once,
    )
    seconds, busy = time.perf_counter() - start, time.process_time() - busy
    size = connection.execute(
        'SELECT sum(strlen("values") + strlen(provenance)) / 1e6 FROM golden'
    ).fetchall()[0][0]
    print(
        json.dumps(
            {
                "entities": rows,
                "seconds": round(seconds, 2),
                "processor_seconds": round(busy, 2),
                "entities_per_second": round(rows / seconds),
                "golden_megabytes": round(size),
                "peak_megabytes_before": before // 1024,
                "peak_megabytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024,
                "duckdb": duckdb.__version__,
            }
        )
    )


if __name__ == "__main__":
    main()
