"""The same deliveries give the same store on SQLite and on PostgreSQL, byte for byte."""

import pyarrow as pa
from sqlalchemy import BigInteger, Double

from mdm.pipeline import Export
from mdm.pipeline.export import export
from mdm.pipeline.ingest import Ingest
from mdm.pipeline.run import run
from mdm.registries.attributes import load_attributes
from mdm.registries.declaration import load_registries
from mdm.store.tables import metadata
from tests.engines import ENGINES
from tests.integration.job import fixed_source, rows

# made by a clock or a watch: the moment of a landing, the seconds of a step, the ID of a store, and what is hashed over them
MEASURED = {
    "meta": {"value"},
    "batch": {"landed_at"},
    "event": {"at", "body", "leaf"},
    "run_step": {"seconds"},
    "log_node": {"hash"},
    "checkpoint": {"at", "root", "note"},
}


def exported(settings, folder):
    """The bytes of every export."""
    attributes = load_attributes(settings.attributes_file)
    registries = load_registries(settings.registries_folder, attributes=attributes)
    written = {}
    for what in Export:
        path = folder / f"{what}.csv"
        export(settings, what, path, attributes=attributes, registries=registries, include_sealed=True)
        written[what] = path.read_bytes()
    return written


def content(settings, table):
    """Its rows, in an order that does not depend on where they lie."""
    columns = [c for c in metadata.tables[table].columns if c.name not in MEASURED.get(table, ())]
    schema = pa.schema([(column.name, arrow_type(column.type)) for column in columns])
    listed = ", ".join(f'"{name}"' for name in schema.names)
    return sorted(rows(settings, f"SELECT {listed} FROM {table}", schema), key=str)


def arrow_type(declared):
    if isinstance(declared, BigInteger):
        return pa.int64()
    return pa.float64() if isinstance(declared, Double) else pa.string()


def test_the_same_deliveries_give_the_same_store(engine_of, finished_on, country, tmp_path):
    stores = []
    for engine in map(engine_of, ENGINES):
        folder = tmp_path / engine.name
        folder.mkdir()
        settings = engine.copy(finished_on(engine), folder)
        assert Ingest(settings).folder(country.files / "delivery-2").failed == []
        run(settings, source=fixed_source(first=1_000_000))
        stores.append(settings)
    first, second = (exported(settings, tmp_path) for settings in stores)
    assert all(first.values())
    assert first == second
    for table in metadata.tables:
        first, second = (content(settings, table) for settings in stores)
        assert first == second, table
    # what identity says, to the letter; the others tell the store's ID, its key, moments and seconds
    telling = "'store.created', 'key.bound', 'batch.landed', 'run.finished'"
    sql = f"SELECT body FROM event WHERE kind NOT IN ({telling}) ORDER BY seq"
    first, second = (rows(settings, sql, pa.schema([("body", pa.string())])) for settings in stores)
    assert len(first) > 1_000
    assert first == second
