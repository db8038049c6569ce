"""What of a person the asker may see."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from mdm.access.principal import Principal, Role
from mdm.registries.declaration import sealed_codes

if TYPE_CHECKING:
    from collections.abc import Mapping

    from mdm.registries.declaration import RegistryDeclaration


@dataclass(frozen=True)
class Viewer:
    """Whoever has a sealed registry's role sees its records; to all others it is as if they were not there."""

    hidden: frozenset[str]
    """Registries of which the viewer may not know."""
    fields: frozenset[str] | None
    """Golden attributes, and `ssn`, that they may read; None for all."""
    registries: frozenset[str] | None
    """Those whose records they see as records; None for all that are not hidden."""

    @property
    def is_staff(self) -> bool:
        return self.fields is None

    def sees_record_of(self, registry: str) -> bool:
        return registry not in self.hidden and (self.registries is None or registry in self.registries)

    def may_read(self, field: str) -> bool:
        return self.fields is None or field in self.fields


def viewer_of(principal: Principal, registries: Mapping[str, RegistryDeclaration]) -> Viewer:
    hidden = sealed_codes(registries) - principal.registries
    if principal.is_staff:
        return Viewer(hidden, None, None)
    own = frozenset(code for code in principal.registries if code in registries)
    granted = frozenset(name for code in own for name in registries[code].reads)
    return Viewer(hidden, granted, own)


def viewer_on_behalf(
    registries: Mapping[str, RegistryDeclaration],
    *,
    registry: str | None = None,
    sees_sealed: bool = False,
) -> Viewer:
    """As whom others are told, or the operator looks: as a registry sees things, else as staff; with or without sealed registries.

    A registry sees itself, also when it is sealed.
    """
    role, own = (Role.AUDITOR, ()) if registry is None else (Role.REGISTRY, (registry,))
    seen = viewer_of(Principal("", frozenset({role}), frozenset(own)), registries)
    return replace(seen, hidden=frozenset()) if sees_sealed else seen
