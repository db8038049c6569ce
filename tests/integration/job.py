"""One small simulated country for the tests of the whole job."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING

from mdm.identity.clock import Source
from mdm.pipeline.ingest import Ingest
from mdm.pipeline.run import run
from mdm.settings import Settings
from mdm.simulation.settings import load_simulation_settings
from mdm.simulation.simulate import simulate
from mdm.store.engine import bulk
from mdm.store.keys import make_key, make_log_key
from mdm.store.schema import create

if TYPE_CHECKING:
    import pyarrow as pa

    from tests.engines import Engine

PEOPLE, SEED = 400, 11
KEY = "5e" * 32
LONG_AGO = datetime(2025, 1, 1, tzinfo=UTC)


@dataclass(frozen=True)
class Country:
    """`files` holds the deliveries only; the truth lies in `truth`, where ingest and run never look."""

    folder: Path

    @property
    def files(self) -> Path:
        return self.folder / "files"

    @property
    def truth(self) -> Path:
        return self.folder / "truth"


def make_country(folder: Path) -> None:
    made = Country(folder)
    settings = load_simulation_settings(Settings().configs / "simulation.yaml")
    simulate(people=PEOPLE, seed=SEED, out=made.files, settings=settings)
    shutil.move(made.files / "truth", made.truth)


def fixed_source(*, first: int = 1) -> Source:
    """Moments a millisecond apart, long ago, and IDs in the form of UUIDv7: the same for every job that asks in the same order."""
    moments, ids = count(first), count(first)
    return Source(
        now=lambda: (LONG_AGO + timedelta(milliseconds=next(moments))).isoformat(timespec="microseconds"),
        mint=lambda wanted: [f"01900000-0000-7000-8000-{next(ids):012x}" for _ in range(wanted)],
    )


def new_store(engine: Engine, folder: Path, *, key: str | None = None) -> Settings:
    """`key` is the secret of the SSN numbers, a random one if it is left out."""
    settings = engine.settings(folder)
    create(settings)
    if key is not None:
        settings.key_file.parent.mkdir(parents=True, exist_ok=True)
        settings.key_file.write_text(key, encoding="ascii")
    make_key(settings)
    make_log_key(settings)
    return settings


def finished_job(
    engine: Engine,
    folder: Path,
    country: Country,
    *,
    deliveries: tuple[str, ...] = ("delivery-1",),
    source: Source | None = None,
    key: str | None = None,
) -> Settings:
    """A store into which deliveries were ingested, with a run after each."""
    settings = new_store(engine, folder, key=key)
    for delivery in deliveries:
        report = Ingest(settings).folder(country.files / delivery)
        assert report.failed == []
        run(settings, source=source)
    return settings


def rows(settings: Settings, sql: str, schema: pa.Schema) -> list[dict]:
    with bulk(settings) as store:
        return store.read(sql, schema).to_pylist()


def scalar(settings: Settings, sql: str) -> int:
    with bulk(settings) as store:
        return store.scalar(sql)
