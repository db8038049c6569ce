"""One small simulated country for the tests of the whole job."""

from __future__ import annotations

import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

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

PEOPLE, SEED = 400, 11


@dataclass(frozen=True)
class Country:
    """`files` holds the deliveries only; the truth lies in `truth`, where ingest and run never look."""

    files: Path
    truth: Path


def make_country(folder: Path) -> Country:
    base = Settings()
    settings = load_simulation_settings(base.configs / "simulation.yaml")
    simulate(people=PEOPLE, seed=SEED, out=folder / "files", settings=settings)
    shutil.move(folder / "files" / "truth", folder / "truth")
    return Country(folder / "files", folder / "truth")


def new_store(folder: Path) -> Settings:
    settings = Settings(store=str(folder / "mdm.db"))
    create(settings)
    make_key(settings)
    make_log_key(settings)
    return settings


def finished_job(
    folder: Path, country: Country, *, deliveries: tuple[str, ...] = ("delivery-1",)
) -> Settings:
    """A store into which deliveries were ingested, with a run after each."""
    settings = new_store(folder)
    for delivery in deliveries:
        report = Ingest(settings).folder(country.files / delivery)
        assert report.failed == []
        run(settings)
    return settings


def rows(settings: Settings, sql: str, schema: pa.Schema) -> list[dict]:
    with bulk(settings) as store:
        return store.read(sql, schema).to_pylist()


def scalar(settings: Settings, sql: str) -> int:
    with bulk(settings) as store:
        return store.scalar(sql)


def copied(settings: Settings, folder: Path) -> Settings:
    """The same store in another folder, with its key."""
    source = settings.store_file
    for path in source.parent.glob(f"{source.name}*"):
        if path.is_file():
            shutil.copy(path, folder / path.name)
    return Settings(store=str(folder / source.name))
