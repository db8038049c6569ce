"""Ingest: deliveries of registries into the store, file by file, each file whole or not at all."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from mdm.errors import InputError
from mdm.pipeline.preparing import FileJob, declarations, prepare_files
from mdm.pipeline.progress import Progress, Silent
from mdm.registries.declaration import declaration_hash
from mdm.registries.delivery import DeliveryFile, delivery_file, find_files
from mdm.store.engine import bulk
from mdm.store.landing import LandedFile, LandingCounts, already_landed, land_file
from mdm.store.proofs import checkpoint

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import date
    from pathlib import Path

    from mdm.pipeline.prepare import PreparedChunk
    from mdm.settings import Settings

_READ_AT_ONCE = 1 << 20


@dataclass(frozen=True)
class IngestedFile:
    registry: str
    file: str
    counts: LandingCounts
    already: bool = False
    """The same bytes were landed before under the same declaration: nothing was done."""


@dataclass(frozen=True)
class FailedFile:
    """A file that could not be taken; what was there before stays."""

    registry: str
    file: str
    error: InputError


@dataclass
class IngestReport:
    files: list[IngestedFile] = field(default_factory=list)
    failed: list[FailedFile] = field(default_factory=list)
    unmatched: list[Path] = field(default_factory=list)

    def by_registry(self) -> dict[str, LandingCounts]:
        totals: dict[str, LandingCounts] = {}
        for file in self.files:
            totals[file.registry] = totals.get(file.registry, LandingCounts()) + file.counts
        return dict(sorted(totals.items()))


class Ingest:
    """Lands files of any registry declared in the installation's configuration."""

    def __init__(
        self,
        settings: Settings,
        *,
        actor: str = "ingest",
        delivered_on: date | None = None,
        progress: Progress | None = None,
    ) -> None:
        self.settings, self.actor, self.delivered_on = settings, actor, delivered_on
        self.progress = progress or Silent()
        self.registries = declarations(settings.configs).registries
        self.report = IngestReport()

    def folder(self, folder: Path) -> IngestReport:
        """Takes a delivery (a folder with a folder per registry), or a folder of deliveries, in the order of their names."""
        if not folder.is_dir():
            raise InputError(
                "there is no such folder",
                where=str(folder),
                hint="Give the folder of a delivery, or use --registry NAME FILE.",
            )
        deliveries = (
            [folder]
            if self._codes_in(folder)
            else [part for part in sorted(folder.iterdir()) if part.is_dir() and self._codes_in(part)]
        )
        if not deliveries:
            raise InputError(
                "no folder below it has the name of a registry",
                where=str(folder),
                hint=f"Expected one of {', '.join(self.registries)}; or use --registry NAME FILE.",
            )
        for delivery in deliveries:
            jobs = []
            for code in self._codes_in(delivery):
                found = find_files(self.registries[code], delivery / code)
                self.report.unmatched += found.unmatched
                jobs.append(self._jobs(code, list(found.files)))
            # large registries first: the small ones fill what time is left at the end
            jobs.sort(key=lambda of_one: -sum(job.size for job in of_one))
            self._take([job for of_one in jobs for job in of_one])
        return self.report

    def files(self, code: str, paths: Sequence[Path]) -> IngestReport:
        """Takes single files of one registry; each must fit the name pattern of one of its sources."""
        if code not in self.registries:
            raise InputError(
                f"no registry `{code}` is declared", hint=f"Declared: {', '.join(self.registries)}."
            )
        declaration = self.registries[code]
        files = []
        for path in paths:
            if not path.is_file():
                raise InputError("there is no such file", where=str(path))
            sources = [
                source for source in declaration.sources if any(path.match(glob) for glob in source.files)
            ]
            if not sources and len(declaration.sources) == 1:
                sources = list(declaration.sources)
            if not sources:
                expected = [glob for source in declaration.sources for glob in source.files]
                raise InputError(
                    f"no source of {code} has files of this name",
                    where=path.name,
                    hint=f"Expected {', '.join(expected)}.",
                )
            files += [delivery_file(source, path) for source in sources]
        self._take(self._jobs(code, files))
        return self.report

    def _codes_in(self, folder: Path) -> list[str]:
        return [
            part.name for part in sorted(folder.iterdir()) if part.is_dir() and part.name in self.registries
        ]

    def _jobs(self, code: str, files: list[DeliveryFile]) -> list[FileJob]:
        """Files in the order of time; one file may feed several sources. Files for lookups only are no job."""
        declaration = self.registries[code]
        jobs = []
        for path, group in groupby(sorted(files, key=_in_time), key=lambda file: file.path):
            same = tuple(group)
            if any(declaration.source(file.source).records for file in same):
                day = same[0].dated or self.delivered_on
                beside = tuple(file for file in files if file.path != path)
                jobs.append(FileJob(code, same, beside, day))
        return jobs

    def _take(self, jobs: list[FileJob]) -> None:
        """A fault in a file stops that file and not the others."""
        with self.progress.task("ingest", total=sum(job.size for job in jobs)) as task:
            declared = {
                code: declaration_hash(self.registries[code]) for code in {job.registry for job in jobs}
            }
            waiting = []
            with bulk(self.settings) as store:
                for job in jobs:
                    landed = LandedFile(
                        job.registry, job.name, _sha256(job.path), declared[job.registry], job.delivered_on
                    )
                    if already_landed(store, landed):
                        self.report.files.append(
                            IngestedFile(job.registry, job.name, LandingCounts(), already=True)
                        )
                        task.advance(job.size)
                    else:
                        waiting.append((job, landed))
            prepared = prepare_files(self.settings, [job for job, _ in waiting])
            for (job, landed), chunks in zip(waiting, prepared, strict=True):
                task.describe(f"ingest: {self.registries[job.registry].name.vi}, {job.name}")
                self._land(landed, chunks)
                task.advance(job.size)
        checkpoint(self.settings)

    def _land(self, landed: LandedFile, chunks: Iterator[PreparedChunk]) -> None:
        try:
            with bulk(self.settings, writes=True) as store:
                if already_landed(store, landed):  # the same file twice in one delivery
                    self.report.files.append(
                        IngestedFile(landed.registry, landed.file, LandingCounts(), already=True)
                    )
                    return
                counts = land_file(store, landed, chunks, actor=self.actor)
            self.report.files.append(IngestedFile(landed.registry, landed.file, counts))
        except InputError as error:
            self.report.failed.append(FailedFile(landed.registry, landed.file, error))


def _in_time(file: DeliveryFile) -> tuple[str, str]:
    """Older deliveries first, so that a later one is the newer version."""
    return (file.dated.isoformat() if file.dated else "", file.path.as_posix())


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_AT_ONCE):
            digest.update(block)
    return digest.hexdigest()
