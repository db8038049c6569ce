"""How the command line speaks: tables and progress for people, JSON for scripts, errors without tracebacks."""

from __future__ import annotations

import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import orjson
import typer
from pydantic import ValidationError
from rich import box
from rich.console import Console
from rich.progress import (
    BarColumn,
    Progress,
    SpinnerColumn,
    TextColumn,
    TimeElapsedColumn,
)
from rich.table import Table

from mdm.errors import ConfigurationError, InputError, MdmError
from mdm.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from rich.progress import TaskID

out = Console()
err = Console(stderr=True)

StoreOption = Annotated[
    str | None,
    typer.Option(
        "--store",
        metavar="URL",
        help="Store: an SQLite file, sqlite:///FILE or postgresql://... [env: MDM_STORE]",
    ),
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON object, for scripts.")]
AsOfOption = Annotated[
    str | None,
    typer.Option(
        "--as-of",
        metavar="WHEN",
        help="As it was: an event's number, a day (YYYY-MM-DD, until its end in Vietnam), or a time with its zone.",
    ),
]
SealedOption = Annotated[bool, typer.Option("--include-sealed", help="Also records of sealed registries.")]


def load_settings(store: str | None = None, **given: Any) -> Settings:
    values = {name: value for name, value in given.items() if value is not None}
    if store is not None:
        values["store"] = store
    try:
        return Settings(**values)
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0]) if first["loc"] else "settings"
        raise ConfigurationError(
            first["msg"].removeprefix("Value error, "), where=f"MDM_{name.upper()}"
        ) from error


@contextmanager
def plain_errors() -> Iterator[None]:
    """A mistake of the user ends with what, where and what to do, and an exit status of its kind; never with a traceback."""
    try:
        yield
    except MdmError as error:
        fail(error)
    except ValueError as error:
        fail(_told_by_a_library(error))
    except KeyboardInterrupt:
        err.print("\nStopped. What was finished is kept; the same command goes on from there.")
        raise typer.Exit(130) from None


@contextmanager
def opened_store(store: str | None) -> Iterator[Settings]:
    """Settings of a store that is there and has the expected schema; mistakes are told as `plain_errors` tells them."""
    from mdm.store.schema import require

    with plain_errors():
        settings = load_settings(store)
        require(settings)
        yield settings


def _told_by_a_library(error: ValueError) -> MdmError:
    """The rooms below know no MdmError; what they say to the user is one here. Any other error is a fault of ours."""
    from golden_record.policy import PolicyError
    from matching.model import ModelError
    from matching.train import TrainingError

    if isinstance(error, (PolicyError, ModelError)):
        return ConfigurationError(str(error))
    if isinstance(error, TrainingError):
        return InputError(str(error))
    raise error


def fail(error: MdmError) -> None:
    err.print(f"[bold red]Error[/] [dim]({error.code})[/] ", end="")
    err.print(str(error), markup=False, highlight=False, soft_wrap=True)
    raise typer.Exit(error.exit_code)


def print_json(value: Any) -> None:
    sys.stdout.buffer.write(
        orjson.dumps(value, option=orjson.OPT_INDENT_2 | orjson.OPT_SORT_KEYS, default=_plain) + b"\n"
    )
    sys.stdout.buffer.flush()


def _plain(value: Any) -> Any:
    if isinstance(value, MdmError):
        return {"code": value.code, "message": value.message, "where": value.where, "hint": value.hint}
    return str(value)


def number(value: float | None) -> str:
    return "" if value is None else f"{value:,}"


def table(title: str, *columns: str, right: tuple[int, ...] = ()) -> Table:
    made = Table(
        title=title,
        title_justify="left",
        title_style="bold",
        header_style="bold",
        box=box.SIMPLE_HEAD,
        padding=(0, 1, 0, 0),
        pad_edge=False,
    )
    for position, column in enumerate(columns):
        made.add_column(
            column,
            justify="right" if position in right else "left",
            no_wrap=position == 0,
        )
    return made


class _BarTask:
    def __init__(self, bars: Progress, task: TaskID) -> None:
        self._bars, self._task = bars, task

    def advance(self, amount: float) -> None:
        self._bars.advance(self._task, amount)

    def describe(self, text: str) -> None:
        self._bars.update(self._task, description=text)


class Bars:
    """Progress bars on the error stream, so that output can be piped."""

    def __init__(self, bars: Progress) -> None:
        self._bars = bars

    @contextmanager
    def task(self, description: str, *, total: float | None) -> Iterator[_BarTask]:
        task = self._bars.add_task(description, total=total)
        yield _BarTask(self._bars, task)
        self._bars.update(task, description=description)


@contextmanager
def progress_bars() -> Iterator[Bars]:
    columns = (SpinnerColumn(), TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as bars:
        yield Bars(bars)


def confirm_overwrite(path: Path, *, force: bool) -> None:
    if path.exists() and not force:
        raise InputError("the file exists already", where=str(path), hint="Add --force to overwrite it.")


__all__ = [
    "AsOfOption",
    "Bars",
    "JsonOption",
    "SealedOption",
    "StoreOption",
    "confirm_overwrite",
    "err",
    "fail",
    "load_settings",
    "number",
    "opened_store",
    "out",
    "plain_errors",
    "print_json",
    "progress_bars",
    "table",
]
