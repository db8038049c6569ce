"""Ingest: deliveries of registries into the store, file by file, each file whole or not at all."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from itertools import groupby
from typing import TYPE_CHECKING

from matching.standardise.units import Units
from mdm.errors import InputError
from mdm.pipeline.progress import Progress, Silent
from mdm.registries.attributes import load_attributes
from mdm.registries.declaration import declaration_hash, load_registries
from mdm.registries.delivery import DeliveryFile, delivery_file, find_files, read_delivery
from mdm.store.engine import bulk
from mdm.store.landing import LandedFile, LandingCounts, already_landed, land_file

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import date
    from pathlib import Path

    from mdm.pipeline.progress import Task
    from mdm.registries.attributes import Attributes
    from mdm.registries.declaration import RegistryDeclaration
    from mdm.registries.landing import LandedChunk
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
        self.attributes: Attributes = load_attributes(settings.attributes_file)
        self.registries: Mapping[str, RegistryDeclaration] = load_registries(
            settings.registries_folder, attributes=self.attributes
        )
        self.units = Units.load()
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
            for code in self._codes_in(delivery):
                found = find_files(self.registries[code], delivery / code)
                self.report.unmatched += found.unmatched
                self._take(code, list(found.files))
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
        self._take(code, files)
        return self.report

    def _codes_in(self, folder: Path) -> list[str]:
        return [
            part.name for part in sorted(folder.iterdir()) if part.is_dir() and part.name in self.registries
        ]

    def _take(self, code: str, files: list[DeliveryFile]) -> None:
        """All sources of one registry; a fault in a file stops that file and not the others."""
        declaration = self.registries[code]
        declared = declaration_hash(declaration)
        with self.progress.task(declaration.name.vi, total=len(files)) as task:
            for _, group in groupby(sorted(files, key=_in_time), key=lambda file: file.path):
                same = list(group)
                self._take_file(declaration, declared, same, files, task)
                task.advance(len(same))

    def _take_file(
        self,
        declaration: RegistryDeclaration,
        declared: str,
        same: list[DeliveryFile],
        files: list[DeliveryFile],
        task: Task,
    ) -> None:
        """One file; it may feed several sources of its registry."""
        first = same[0]
        if not any(declaration.source(file.source).records for file in same):
            return  # read for lookups only
        delivered_on = first.dated or self.delivered_on
        landed = LandedFile(declaration.code, first.name, _sha256(first.path), declared, delivered_on)
        try:
            with bulk(self.settings) as store:
                if already_landed(store, landed):
                    self.report.files.append(
                        IngestedFile(declaration.code, first.name, LandingCounts(), already=True)
                    )
                    return
                chunks = self._chunks(declaration, same, files, delivered_on, task)
                counts = land_file(store, landed, chunks, attributes=self.attributes, actor=self.actor)
            self.report.files.append(IngestedFile(declaration.code, first.name, counts))
        except InputError as error:
            self.report.failed.append(FailedFile(declaration.code, first.name, error))

    def _chunks(
        self,
        declaration: RegistryDeclaration,
        same: list[DeliveryFile],
        files: list[DeliveryFile],
        delivered_on: date | None,
        task: Task,
    ) -> Iterator[LandedChunk]:
        def tell(file: DeliveryFile, rows: int) -> None:
            task.describe(f"{declaration.name.vi}: {file.name} ({rows:,})")

        yield from read_delivery(
            declaration, same, beside=files, delivered_on=delivered_on, units=self.units, progress=tell
        )


def _in_time(file: DeliveryFile) -> tuple[str, str]:
    """Older deliveries first, so that a later one is the newer version."""
    return (file.dated.isoformat() if file.dated else "", file.path.as_posix())


def _sha256(path: Path) -> str:
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(_READ_AT_ONCE):
            digest.update(block)
    return digest.hexdigest()
