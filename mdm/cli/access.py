"""`mdm key` and `mdm user`: who may call the API."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated

import typer

from mdm.cli.at_work import ActorOption, who
from mdm.cli.terminal import JsonOption, StoreOption, opened_store, out, print_json, table

if TYPE_CHECKING:
    from sqlalchemy import Engine

    from mdm.settings import Settings

key_commands = typer.Typer(help="Keys of machines that call the API.", no_args_is_help=True)
user_commands = typer.Typer(
    help="Accounts of people, where there is no identity provider.", no_args_is_help=True
)
KeyName = Annotated[str, typer.Argument(metavar="NAME", help="By which the key stands in the log.")]
UserName = Annotated[str, typer.Argument(metavar="NAME", help="Name of the account.")]
RolesOption = Annotated[
    list[str],
    typer.Option(
        "--role", help="steward, approver, auditor, admin or registry:CODE; several times for several."
    ),
]


@key_commands.command("add")
def add_key(
    name: KeyName,
    *,
    roles: RolesOption,
    days: Annotated[int | None, typer.Option("--days", min=1, help="It ends after so many days.")] = None,
    actor: ActorOption = None,
    store: StoreOption = None,
) -> None:
    """Make a key and print it, once: nobody can read it again."""
    from mdm.access.keys import add

    with _opened(store) as (settings, engine):
        made = add(engine, name, roles, registries=_registries(settings), by=who(actor), days=days)
        typer.echo(made)


@key_commands.command("list")
def list_keys(*, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show all keys, without their secrets."""
    from mdm.access.keys import listed

    with _opened(store) as (_, engine):
        found = listed(engine)
        if as_json:
            print_json([asdict(key) for key in found])
            return
        shown = table("Keys", "Name", "Begins with", "Roles", "Made", "By", "Ends", "Revoked")
        for key in found:
            ends, revoked = key.expires_at or "", key.revoked_at or ""
            shown.add_row(
                key.name,
                f"mdm_{key.prefix}",
                ", ".join(key.roles),
                key.created_at[:19],
                key.created_by,
                ends[:19],
                revoked[:19],
            )
        out.print(shown)


@key_commands.command("revoke")
def revoke_key(name: KeyName, *, actor: ActorOption = None, store: StoreOption = None) -> None:
    """End a key, within seconds."""
    from mdm.access.keys import revoke

    with _opened(store) as (_, engine):
        revoke(engine, name, by=who(actor))
        out.print(f"{name} is revoked")


@user_commands.command("add")
def add_user(
    name: UserName, *, roles: RolesOption, actor: ActorOption = None, store: StoreOption = None
) -> None:
    """Make an account; its password is asked for."""
    from mdm.access.accounts import add
    from mdm.access.sessions import make_session_key

    with _opened(store) as (settings, engine):
        password = _new_password()
        add(engine, name, password, roles, registries=_registries(settings), by=who(actor))
        make_session_key(settings)
        out.print(f"{name} can sign in")


@user_commands.command("list")
def list_users(*, store: StoreOption = None, as_json: JsonOption = False) -> None:
    """Show all accounts."""
    from mdm.access.accounts import listed

    with _opened(store) as (_, engine):
        found = listed(engine)
        if as_json:
            print_json([asdict(account) for account in found])
            return
        shown = table("Accounts", "Name", "Roles", "State", "Changed", "By")
        for account in found:
            shown.add_row(
                account.name,
                ", ".join(account.roles),
                account.state,
                account.changed_at[:19],
                account.changed_by,
            )
        out.print(shown)


@user_commands.command("disable")
def disable_user(name: UserName, *, actor: ActorOption = None, store: StoreOption = None) -> None:
    """Let an account in no more, within seconds; `mdm user enable` undoes it."""
    from mdm.access.accounts import DISABLED

    _set_state(name, DISABLED, actor, store)


@user_commands.command("enable")
def enable_user(name: UserName, *, actor: ActorOption = None, store: StoreOption = None) -> None:
    """Let a disabled account in again."""
    from mdm.access.accounts import ACTIVE

    _set_state(name, ACTIVE, actor, store)


@user_commands.command("password")
def set_password(name: UserName, *, actor: ActorOption = None, store: StoreOption = None) -> None:
    """Give an account another password, which is asked for. Its sessions end."""
    from mdm.access import accounts

    with _opened(store) as (_, engine):
        accounts.set_password(engine, name, _new_password(), by=who(actor))
        out.print(f"{name} has a new password")


def _set_state(name: str, state: str, actor: str | None, store: str | None) -> None:
    from mdm.access.accounts import set_state

    with _opened(store) as (_, engine):
        set_state(engine, name, state, by=who(actor))
        out.print(f"{name} is {state}")


def _new_password() -> str:
    return str(typer.prompt("Password", hide_input=True, confirmation_prompt=True))


@contextmanager
def _opened(store: str | None) -> Iterator[tuple[Settings, Engine]]:
    from mdm.store.engine import make_engine

    with opened_store(store) as settings:
        engine = make_engine(settings)
        try:
            yield settings, engine
        finally:
            engine.dispose()


def _registries(settings: Settings) -> list[str]:
    from mdm.registries.declaration import load_registries

    return list(load_registries(settings.registries_folder))
