"""Files prepared one after another in this process, or several at once in others when there is enough to do."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import tempfile
from collections import deque
from concurrent.futures import Future, ProcessPoolExecutor
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from matching.standardise.units import Units
from mdm.pipeline.prepare import PreparedChunk, prepare, spool, unspooled
from mdm.registries.attributes import load_attributes
from mdm.registries.declaration import RegistryDeclaration, load_registries
from mdm.registries.delivery import DeliveryFile, read_delivery

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date

    from mdm.settings import Settings

# below this many bytes of files, starting processes takes longer than they save
_WORTH_PROCESSES = 24 << 20
# prepared files that wait to be landed, for each process
_AHEAD = 2


@dataclass(frozen=True)
class FileJob:
    """One file of a registry. `same` has an entry for each source that it feeds; lookups are read from `beside`."""

    registry: str
    same: tuple[DeliveryFile, ...]
    beside: tuple[DeliveryFile, ...]
    delivered_on: date | None

    @property
    def path(self) -> Path:
        return self.same[0].path

    @property
    def name(self) -> str:
        return self.same[0].name

    @property
    def size(self) -> int:
        return self.path.stat().st_size


@dataclass(frozen=True)
class Declarations:
    registries: Mapping[str, RegistryDeclaration]
    units: Units


def declarations(configs: Path) -> Declarations:
    """What a process needs to read any registry."""
    attributes = load_attributes(configs / "attributes.yaml")
    return Declarations(load_registries(configs / "registries", attributes=attributes), Units.load())


def prepare_files(settings: Settings, jobs: Sequence[FileJob]) -> Iterator[Iterator[PreparedChunk]]:
    """The prepared chunks of each job, in the order of the jobs. Faults of a file are raised when its chunks are read."""
    processes = min(settings.threads or os.cpu_count() or 1, len(jobs))
    if processes < 2 or sum(job.size for job in jobs) < _WORTH_PROCESSES:
        declared = declarations(settings.configs)
        yield from (_prepared(declared, job) for job in jobs)
        return
    settings.work_folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="ingest-", dir=settings.work_folder) as folder:
        context = multiprocessing.get_context(
            "spawn"
        )  # a fork would copy the threads of Arrow and DuckDB half-way
        with ProcessPoolExecutor(processes, mp_context=context) as pool:
            yield from _ahead(pool, settings.configs, jobs, Path(folder), limit=processes * _AHEAD)


def _ahead(
    pool: ProcessPoolExecutor, configs: Path, jobs: Sequence[FileJob], folder: Path, *, limit: int
) -> Iterator[Iterator[PreparedChunk]]:
    waiting: deque[tuple[Future[None], Path]] = deque()
    numbered = iter(enumerate(jobs))
    while True:
        while len(waiting) < limit and (following := next(numbered, None)) is not None:
            place = folder / f"{following[0]:06d}"
            waiting.append((pool.submit(_spool_file, configs, following[1], place), place))
        if not waiting:
            return
        future, place = waiting.popleft()
        yield _finished(future, place)
        shutil.rmtree(place, ignore_errors=True)


def _finished(future: Future[None], place: Path) -> Iterator[PreparedChunk]:
    future.result()
    yield from unspooled(place)


def _spool_file(configs: Path, job: FileJob, place: Path) -> None:
    """In another process."""
    spool(_prepared(_declared_once(configs), job), place)


@cache
def _declared_once(configs: Path) -> Declarations:
    return declarations(configs)


def _prepared(declared: Declarations, job: FileJob) -> Iterator[PreparedChunk]:
    chunks = read_delivery(
        declared.registries[job.registry],
        job.same,
        beside=job.beside,
        delivered_on=job.delivered_on,
        units=declared.units,
    )
    return prepare(chunks, delivered_on=job.delivered_on)
