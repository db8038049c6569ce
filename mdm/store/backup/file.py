"""The one file of a backup: a ZIP of `manifest.json` and the store's content, sealed by a digest over all of it.

The seal is the ZIP's comment: `sha256:` and the SHA-256, hexadecimal, of every byte before those 64 digits. A file that was cut
or changed is known before anything of it is used, also without this engine: `head -c -64 FILE | sha256sum` prints what
`tail -c 64 FILE` holds. It guards against accidents: whoever can write the file can seal it anew.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
import zipfile
import zlib
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from mdm.errors import InputError
from mdm.store.backup.facts import StoreFacts  # pydantic reads it

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import IO

MANIFEST = "manifest.json"
_SEAL = b"sha256:"
_DIGITS = 64
_AT_ONCE = 1 << 20
# of the level: 1 packs a store to a fifth, 6 to a sixth in three times the time
_LEVEL = 1


class Content(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    sha256: str
    size: int


class Manifest(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    format: Literal["mdm-backup/1"] = "mdm-backup/1"
    engine: Literal["sqlite", "postgresql"]
    namespace: str | None
    """The schema of the PostgreSQL database that the tables are in."""
    made_at: str
    made_by: str
    content: Content
    store: StoreFacts


def write_backup(
    path: Path,
    content: Iterable[bytes],
    *,
    name: str,
    compress: bool,
    describe: Callable[[Content], Manifest],
) -> Manifest:
    """Writes the whole file or none; what was at `path` before is replaced. Only its owner can read it.

    Args:
        path: the file.
        content: the store, block by block.
        name: of the content inside.
        compress: whether the content is worth it.
        describe: makes the manifest, of content that is written.
    """
    kind = zipfile.ZIP_DEFLATED if compress else zipfile.ZIP_STORED
    with _replacing(path) as file:
        with zipfile.ZipFile(file, "w", compression=kind, compresslevel=_LEVEL) as archive:
            archive.comment = _SEAL + b"0" * _DIGITS
            manifest = describe(_write_content(archive, content, name))
            archive.writestr(MANIFEST, manifest.model_dump_json(indent=2) + "\n")
        end = file.seek(-_DIGITS, os.SEEK_END)
        digest = _digest(file, end)
        file.seek(end)
        file.write(digest)
    return manifest


@dataclass(frozen=True)
class Backup:
    """A file whose seal is whole."""

    path: Path
    manifest: Manifest
    _archive: zipfile.ZipFile

    def content(self) -> Iterator[bytes]:
        """Block by block; after the last one it is certain that they were the ones that the manifest tells of."""
        digest, size = hashlib.sha256(), 0
        try:
            with self._archive.open(self.manifest.content.name) as member:
                while block := member.read(_AT_ONCE):
                    digest.update(block)
                    size += len(block)
                    yield block
        except (zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
            raise refused(self.path) from error
        if (digest.hexdigest(), size) != (self.manifest.content.sha256, self.manifest.content.size):
            raise refused(self.path)


@contextmanager
def open_backup(path: Path) -> Iterator[Backup]:
    """Refuses a file that was cut or changed."""
    try:
        file = path.open("rb")
    except OSError as error:
        raise InputError(
            f"the backup cannot be read ({error.strerror})",
            where=str(path),
            hint="Give the file of a backup.",
        ) from error
    with file:
        _check_seal(path, file)
        try:
            with zipfile.ZipFile(file) as archive:
                manifest = Manifest.model_validate_json(archive.read(MANIFEST))
                yield Backup(path, manifest, archive)
        except (zipfile.BadZipFile, zlib.error, EOFError, KeyError) as error:
            raise refused(path) from error
        except ValidationError as error:
            raise InputError(
                "the backup's manifest is not understood",
                where=str(path),
                hint="Restore it with the version of the engine that made it.",
            ) from error


def refused(path: Path) -> InputError:
    return InputError(
        "the backup was cut or changed",
        where=str(path),
        hint="Nothing was restored. Take another copy of it, or an older backup.",
    )


def _check_seal(path: Path, file: IO[bytes]) -> None:
    size = file.seek(0, os.SEEK_END)
    seal = len(_SEAL) + _DIGITS
    if size < seal:
        raise refused(path)
    file.seek(size - seal)
    told = file.read(seal)
    if not told.startswith(_SEAL) or _digest(file, size - _DIGITS) != told[len(_SEAL) :]:
        raise refused(path)
    file.seek(0)


def _digest(file: IO[bytes], end: int) -> bytes:
    """Of the first `end` bytes."""
    digest = hashlib.sha256()
    file.seek(0)
    while end:
        block = file.read(min(end, _AT_ONCE))
        digest.update(block)
        end -= len(block)
    return digest.hexdigest().encode()


def _write_content(archive: zipfile.ZipFile, content: Iterable[bytes], name: str) -> Content:
    digest, size = hashlib.sha256(), 0
    with archive.open(name, "w", force_zip64=True) as member:
        for block in content:
            digest.update(block)
            size += len(block)
            member.write(block)
    return Content(name=name, sha256=digest.hexdigest(), size=size)


@contextmanager
def _replacing(path: Path) -> Iterator[IO[bytes]]:
    with tempfile.NamedTemporaryFile(
        "w+b", dir=path.parent, prefix=f".{path.name}.", suffix=".partial", delete=False
    ) as file:
        try:
            yield file
            file.flush()
            os.fsync(file.fileno())
            Path(file.name).replace(path)
        except BaseException:
            Path(file.name).unlink(missing_ok=True)
            raise
    sync_folder(path.parent)


def sync_folder(folder: Path) -> None:
    """A renaming survives a power failure once its folder is on the disk."""
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
