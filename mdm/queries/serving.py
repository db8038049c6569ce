"""The store of a process that serves: opened once, and asked whether it is still there."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdm.access.access_log import AccessLog
from mdm.access.authentication import Authenticator
from mdm.access.purposes import load_purposes
from mdm.arrivals.service import Arrivals
from mdm.errors import MdmError, StoreError
from mdm.feed.events import Feed
from mdm.feed.subscriptions import Subscriptions
from mdm.queries.audit import Audit
from mdm.queries.people import People
from mdm.stewardship.desk import Desk
from mdm.stewardship.service import Identity
from mdm.store.engine import looking, make_engine
from mdm.store.faults import place
from mdm.store.keys import require_keys
from mdm.store.schema import require, require_on

if TYPE_CHECKING:
    from mdm.settings import Settings


class Serving:
    """All that a face of the engine asks. One for a process; safe to share between threads."""

    def __init__(self, settings: Settings) -> None:
        """Raises StoreError where there is no store of this schema, ConfigurationError where a declaration is wrong."""
        require(settings)
        self.settings = settings
        self.purposes = load_purposes(settings.purposes_file)
        self.identity = Identity(settings, keep_open=True)
        self._engine = make_engine(settings, keep_open=True)
        self.people = People(settings, self._engine)
        self.arrivals = Arrivals(
            self.identity, attributes=self.people.attributes, registries=self.people.registries
        )
        self.desk = Desk(self._engine, claim_minutes=settings.claim_minutes)
        self.audit = Audit(settings, self._engine)
        self.feed = Feed(self._engine, self.people.rules)
        self.subscriptions = Subscriptions(self._engine, settings)
        self.authenticator = Authenticator(settings, self._engine)
        self.access_log = AccessLog(self._engine)
        self._file = self._identity_of_file()

    def close(self) -> None:
        self.identity.close()
        self._engine.dispose()

    def failing(self) -> dict[str, str]:
        """What is not as it must be, by what was looked at: the code of the error. Empty when all is well."""
        found = {}
        for name, check in {
            "store": self._check_store,
            "keys": self._check_keys,
            "access_log": self.access_log.check,
        }.items():
            try:
                check()
            except MdmError as error:
                found[name] = error.code
        return found

    def require_file(self) -> None:
        """Raises StoreError where an SQLite store's file is not the one that was opened: a change of it would be lost."""
        if self._identity_of_file() != self._file:
            raise StoreError("The store's file was replaced.", hint="Start the server again.")

    def _check_store(self) -> None:
        self.require_file()
        with looking(self._engine) as connection:
            require_on(connection, self.settings)

    def _check_keys(self) -> None:
        with looking(self._engine) as connection:
            require_keys(self.settings, connection)

    def _identity_of_file(self) -> tuple[int, int] | None:
        """An SQLite file that was deleted or replaced goes on to be read by whoever has it open."""
        if not self.settings.is_sqlite:
            return None
        try:
            found = self.settings.store_file.stat()
        except OSError as error:
            raise StoreError("The store's file is gone.", where=place(self.settings)) from error
        return found.st_dev, found.st_ino
