"""`mdm log`: sign the event log, prove what is in it, check proofs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from mdm.cli.terminal import (
    JsonOption,
    StoreOption,
    confirm_overwrite,
    opened_store,
    out,
    plain_errors,
    print_json,
)
from mdm.errors import InputError, VerificationError

log_commands = typer.Typer(
    help="Tamper evidence of the event log: sign it, prove an event, check a proof.", no_args_is_help=True
)

OutOption = Annotated[Path | None, typer.Option("--out", help="File to write [default: the terminal].")]
ForceOption = Annotated[bool, typer.Option("--force", help="Overwrite the file.")]


@log_commands.command("checkpoint")
def sign(
    *,
    path: OutOption = None,
    force: ForceOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Sign all events so far. Keep the outcome elsewhere: against it no later change of the past goes unseen."""
    from mdm.store.proofs import checkpoint

    with opened_store(store) as settings:
        signed = checkpoint(settings)
        if signed is None:
            raise InputError("the log is empty: there is nothing to sign")
        _write(signed.note, path, force=force, shown=signed._asdict() if as_json else None)


@log_commands.command("key")
def key(
    *,
    path: OutOption = None,
    force: ForceOption = False,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Show the public key by which checkpoints and proofs are verified."""
    from mdm.store.engine import bulk
    from mdm.store.keys import log_public_key

    with opened_store(store) as settings:
        with bulk(settings) as opened:
            public_key = log_public_key(settings, opened)
        shown = {"public_key": public_key} if as_json else None
        _write(public_key + "\n", path, force=force, shown=shown)


@log_commands.command("prove")
def prove(
    seq: Annotated[int, typer.Argument(help="Number of the event.")],
    *,
    size: Annotated[
        int | None,
        typer.Option("--checkpoint", help="Events of the checkpoint to prove it for [default: the latest]."),
    ] = None,
    path: OutOption = None,
    force: ForceOption = False,
    store: StoreOption = None,
) -> None:
    """Write a proof (JSON) that an event is in the signed log. It holds the event, and whatever personal data that has."""
    from mdm.store.engine import bulk
    from mdm.store.proofs import inclusion

    with opened_store(store) as settings:
        with bulk(settings) as opened:
            proof = inclusion(opened, seq, checkpoint=size)
        _write_proof(proof, path, force=force)


@log_commands.command("consistency")
def prove_consistency(
    old: Annotated[int, typer.Argument(help="Events of the older checkpoint.")],
    new: Annotated[
        int | None, typer.Argument(help="Events of the younger one [default: the latest].")
    ] = None,
    *,
    path: OutOption = None,
    force: ForceOption = False,
    store: StoreOption = None,
) -> None:
    """Write a proof (JSON) that the log only grew from one checkpoint to another."""
    from mdm.store.engine import bulk
    from mdm.store.proofs import consistency

    with opened_store(store) as settings:
        with bulk(settings) as opened:
            proof = consistency(opened, old, new)
        _write_proof(proof, path, force=force)


@log_commands.command("check")
def check(
    file: Annotated[Path, typer.Argument(help="A proof, as prove or consistency wrote it.")],
    *,
    key_file: Annotated[
        Path | None, typer.Option("--key", help="File of the public key [default: that of the store].")
    ] = None,
    kept: Annotated[
        Path | None, typer.Option("--kept", help="A checkpoint kept elsewhere, which must agree.")
    ] = None,
    store: StoreOption = None,
    as_json: JsonOption = False,
) -> None:
    """Check a proof and say what it proves. Without this program: python mdm/identity/verifier.py PROOF KEY."""
    from mdm.identity.verifier import ProofError, read_json, read_text, verify

    with plain_errors():
        try:
            public_key = read_text(key_file) if key_file else _public_key(store)
            told = verify(read_json(file), public_key, kept=read_text(kept) if kept else None)
        except ProofError as error:
            raise VerificationError(str(error), where=str(file)) from error
        if as_json:
            print_json({"proved": told})
        else:
            typer.echo(told)


def _public_key(store: str | None) -> str:
    from mdm.store.engine import bulk
    from mdm.store.keys import log_public_key

    with opened_store(store) as settings, bulk(settings) as opened:
        return log_public_key(settings, opened)


def _write_proof(proof: dict[str, Any], path: Path | None, *, force: bool) -> None:
    import orjson

    _write(orjson.dumps(proof, option=orjson.OPT_INDENT_2).decode() + "\n", path, force=force)
    if path is not None:
        out.print(f"Check it: mdm log check {path}")


def _write(text: str, path: Path | None, *, force: bool, shown: dict[str, Any] | None = None) -> None:
    """Into the file, or to the terminal if there is none; for scripts the terminal shows `shown` in either case."""
    if path is not None:
        confirm_overwrite(path, force=force)
        path.write_text(text, encoding="utf-8", newline="\n")
    if shown is not None:
        print_json(shown)
    elif path is None:
        typer.echo(text, nl=False)
    else:
        out.print(f"Written to {path}")
