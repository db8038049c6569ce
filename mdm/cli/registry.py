"""`mdm registry`: the declared registries, and how to add one."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from mdm.cli import show
from mdm.cli.terminal import JsonOption, confirm_overwrite, load_settings, out, plain_errors, print_json
from mdm.errors import InputError

registry_commands = typer.Typer(
    help="The component registries: list, check a file, propose a new declaration.", no_args_is_help=True
)


@registry_commands.command("list")
def list_registries(*, as_json: JsonOption = False) -> None:
    """Show the declared registries."""
    from mdm.registries.declaration import load_registries

    with plain_errors():
        registries = load_registries(load_settings().registries_folder)
        if as_json:
            print_json(
                [
                    declared.model_dump(
                        mode="json", include={"code", "name", "owner", "holds", "anchor", "sensitivity"}
                    )
                    for declared in registries.values()
                ]
            )
        else:
            show.registries(registries)


@registry_commands.command("check")
def check(
    name: Annotated[str, typer.Argument(help="Code of a declared registry, or the path of a YAML file.")],
    file: Annotated[Path, typer.Argument(help="A file as the office sends it.")],
    *,
    as_json: JsonOption = False,
) -> None:
    """Show what would be accepted from a file, and why rows would not. Nothing is stored."""
    from matching.standardise.units import default_units
    from mdm.registries.attributes import load_attributes
    from mdm.registries.check import check as check_file
    from mdm.registries.declaration import load_registries, load_registry

    with plain_errors():
        settings = load_settings()
        attributes = load_attributes(settings.attributes_file)
        if name.endswith((".yaml", ".yml")):
            declared = load_registry(Path(name), attributes=attributes)
        else:
            registries = load_registries(settings.registries_folder, attributes=attributes)
            if name not in registries:
                raise InputError(
                    f"no registry `{name}` is declared", hint=f"Declared: {', '.join(registries)}."
                )
            declared = registries[name]
        if not file.is_file():
            raise InputError("there is no such file", where=str(file))
        report = check_file(declared, file, units=default_units())
        if as_json:
            print_json(report)
        else:
            show.check(report)


@registry_commands.command("new")
def new(
    file: Annotated[Path, typer.Argument(help="A sample file as the office sends it.")],
    *,
    code: Annotated[
        str | None, typer.Option("--code", help="Code of the registry [default: from the file's name].")
    ] = None,
    path: Annotated[
        Path | None, typer.Option("--out", help="Where to write the YAML [default: the terminal].")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite the file.")] = False,
) -> None:
    """Propose a declaration from a sample file; look through it, then `mdm registry check`."""
    from mdm.registries.attributes import load_attributes
    from mdm.registries.declaration import parse_registry
    from mdm.registries.proposal import propose

    with plain_errors():
        settings = load_settings()
        if not file.is_file():
            raise InputError("there is no such file", where=str(file))
        attributes = load_attributes(settings.attributes_file)
        text = propose(file, code=code or _code(file), attributes=attributes)
        parse_registry(text, name=str(path or "proposal"), attributes=attributes)
        if path is None:
            typer.echo(text)
            return
        confirm_overwrite(path, force=force)
        path.write_text(text, encoding="utf-8")
        out.print(f"Written to {path}. Next: mdm registry check {path} {file}")


@registry_commands.command("schema")
def schema() -> None:
    """Write the JSON Schema of declarations, by which an editor completes them."""
    from mdm.registries.declaration import write_json_schema

    with plain_errors():
        path = load_settings().registries_folder / "schema.json"
        write_json_schema(path)
        out.print(f"Written to {path}")


def _code(file: Path) -> str:
    letters = "".join(c if c.isascii() and c.isalnum() else "_" for c in file.stem.lower()).strip("_")
    return letters if letters[:1].isalpha() else f"registry_{letters}"
