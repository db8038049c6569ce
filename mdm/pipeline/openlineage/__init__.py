"""OpenLineage events of a run: appended to a file as it goes, or exported from the store at any later time."""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING

from mdm.errors import ConfigurationError, InputError, MdmError
from mdm.identity.events import canonical_json
from mdm.pipeline.openlineage.events import run_events
from mdm.pipeline.openlineage.told import Stop, tell_run
from mdm.store.engine import bulk

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from pathlib import Path

    from mdm.identity.clock import Source
    from mdm.pipeline.openlineage.events import Json
    from mdm.registries.declaration import RegistryDeclaration
    from mdm.settings import Settings

__all__ = ["export_run", "recorded"]


def export_run(
    settings: Settings, run_id: str | None, path: Path, *, registries: Mapping[str, RegistryDeclaration]
) -> int:
    """Writes the events of a run (by default the latest), one JSON object a line; returns how many."""
    with bulk(settings) as store:
        events = run_events(tell_run(store, run_id), registries)
    partial = path.with_name(path.name + ".partial")
    try:
        partial.write_bytes(_lines(events))
        partial.replace(path)
    except OSError as error:
        raise InputError(f"the file cannot be written ({error.strerror})", where=str(path)) from error
    return len(events)


@contextmanager
def recorded(
    settings: Settings, run_id: str, *, registries: Mapping[str, RegistryDeclaration], source: Source
) -> Iterator[None]:
    """Appends the events of a run to the file of MDM_OPENLINEAGE_FILE, if it is set: that it began, then all others.

    A run that is taken up again tells anew of what it finished before: the same events, which a consumer takes for one.
    """
    path = settings.openlineage_file
    if path is None:
        yield
        return
    taken_up = source.now()

    def events(stop: Stop | None = None) -> list[Json]:
        with bulk(settings) as store:
            return run_events(tell_run(store, run_id, stop=stop), registries)

    _append(path, events()[:1])
    try:
        yield
    except BaseException as error:
        try:
            _append(path, events(_stopped(error, source.now(), taken_up))[1:])
        except Exception as later:  # noqa: BLE001  the first error is the one to tell
            error.add_note(f"Its OpenLineage events were not written ({type(later).__name__}).")
        raise
    _append(path, events()[1:])


def _stopped(error: BaseException, at: str, taken_up: str) -> Stop:
    """Only errors made for users are sure to hold no personal data."""
    message = str(error) if isinstance(error, MdmError) else type(error).__name__
    return Stop(at, "FAIL" if isinstance(error, Exception) else "ABORT", message, taken_up)


def _append(path: Path, events: Sequence[Json]) -> None:
    try:
        with path.open("ab", buffering=0) as file:
            file.write(_lines(events))
    except OSError as error:
        raise ConfigurationError(
            f"The OpenLineage events cannot be written ({error.strerror}).",
            where=str(path),
            hint="Name another file in MDM_OPENLINEAGE_FILE; `mdm openlineage` exports what is missing.",
        ) from error


def _lines(events: Sequence[Json]) -> bytes:
    return "".join(f"{canonical_json(event)}\n" for event in events).encode()
