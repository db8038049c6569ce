"""Who asks, and in what role."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import TYPE_CHECKING

from mdm.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable

REGISTRY_PREFIX = "registry:"


class Role(StrEnum):
    STEWARD = "steward"
    APPROVER = "approver"
    AUDITOR = "auditor"
    ADMIN = "admin"
    REGISTRY = "registry"
    """Of one registry: it is written `registry:CODE`."""


_PLAIN = [role.value for role in Role if role is not Role.REGISTRY]
STAFF = frozenset({Role.STEWARD, Role.APPROVER, Role.AUDITOR})
"""Roles that read whole people."""


@dataclass(frozen=True)
class Principal:
    """`actor` is the name under which acts and reads are kept: of an account its name, else with `key:` or `oidc:` before it."""

    actor: str
    roles: frozenset[Role]
    registries: frozenset[str] = frozenset()
    """Codes of the registries for which it speaks."""

    @property
    def is_staff(self) -> bool:
        return bool(self.roles & STAFF)


def principal_of(actor: str, names: Iterable[str]) -> Principal:
    """Names of roles that are not known give no right."""
    roles, registries = set(), set()
    for name in names:
        if name.startswith(REGISTRY_PREFIX):
            roles.add(Role.REGISTRY)
            registries.add(name.removeprefix(REGISTRY_PREFIX))
        elif name in _PLAIN:
            roles.add(Role(name))
    return Principal(actor, frozenset(roles), frozenset(registries))


def check_roles(names: Collection[str], *, registries: Collection[str]) -> list[str]:
    """The roles in order.

    Raises:
        InputError: one that does not exist, or of a registry that is not declared; or none at all.
    """
    hint = f"Roles are {', '.join(_PLAIN)} and {REGISTRY_PREFIX}CODE."
    for name in names:
        if name.startswith(REGISTRY_PREFIX):
            if name.removeprefix(REGISTRY_PREFIX) not in registries:
                raise InputError(f"no registry is declared for role `{name}`", hint=hint)
        elif name not in _PLAIN:
            raise InputError(f"there is no role `{name}`", hint=hint)
    if not names:
        raise InputError("a role is needed", hint=hint)
    return sorted(set(names))
