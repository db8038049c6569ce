"""Who lives in the store of these tests, and how tests talk to it.

An: population/an, tax/an and school/an (sealed). Binh: population/binh and, as another person, tax/binh. Chi: tax/chi. Dung: only
school/dung, so that nobody without the sealed registry's role may know of them. Em: population/em, with an SSN like An and Binh.
"""

from __future__ import annotations

import json
from functools import cached_property
from typing import TYPE_CHECKING, Any

from api.security import Limits
from mdm.access import accounts, keys
from mdm.access.sessions import make_session_key
from mdm.pipeline.indexing import make_index
from mdm.queries.serving import Serving
from mdm.store.engine import make_engine
from tests.village import Village, village_settings

if TYPE_CHECKING:
    from pathlib import Path

    from fastapi.testclient import TestClient
    from httpx2 import Response

    from mdm.settings import Settings
    from tests.engines import Engine

PASSWORD = "a long and winding road"
ROLES = {
    "steward": ["steward"],
    "other_steward": ["steward"],
    "approver": ["approver"],
    "auditor": ["auditor"],
    "admin": ["admin"],
    "tax": ["registry:tax"],
    "population": ["registry:population"],
    "school": ["registry:school"],
    "both_hats": ["steward", "approver"],
    "everybody": ["steward", "approver", "auditor", "admin"],
    "sealed_steward": ["steward", "registry:school"],
}
PURPOSES = 'stewardship: {vi: "Xử lý", en: Stewardship}\naudit: {vi: "Thanh tra", en: Audit}\n'
RECORDS = {
    "population": {
        "an": {"full_name": "Lê An", "file_no": "A", "personal_id": "001099000001"},
        "binh": {"full_name": "Vũ Bình", "file_no": "B", "personal_id": "001099000002"},
        "em": {"full_name": "Đỗ Em", "file_no": "E", "personal_id": "001099000003"},
    },
    "tax": {
        "an": {"full_name": "Le An", "file_no": "A"},
        "binh": {"full_name": "Vu Binh", "file_no": "B2"},
        "123456789": {"full_name": "Ngô Chi", "file_no": "C"},
    },
    "school": {
        "an": {"full_name": "Lê Văn An", "file_no": "A", "student_code": "S1"},
        "dung": {"full_name": "Lý Dũng", "file_no": "D", "student_code": "S2"},
    },
}


def configure(settings: Settings) -> None:
    """Purposes, and what registry `tax` may read."""
    (settings.configs / "purposes.yaml").write_text(PURPOSES, encoding="utf-8")
    tax = settings.configs / "registries" / "tax.yaml"
    tax.write_text(tax.read_text().replace("sources:", "reads: [ssn, full_name, student_code]\nsources:"))


def open_hamlet(engine: Engine, folder: Path) -> Settings:
    settings = village_settings(engine, folder)
    configure(settings)
    village = Village(settings)
    for registry, records in RECORDS.items():
        village.deliver_rows(registry, records)
    village.run()
    village.close()
    make_index(settings)
    add_people(settings)
    return settings


def add_people(settings: Settings) -> None:
    """A key for each of ROLES, named after it, and an account `lan`, a steward. Keys are written to `keys.json`."""
    make_session_key(settings)
    engine = make_engine(settings)
    registries = ["population", "school", "tax"]
    made = {
        name: keys.add(engine, name.replace("_", "-"), roles, registries=registries, by="test")
        for name, roles in ROLES.items()
    }
    accounts.add(engine, "lan", PASSWORD, ["steward"], registries=registries, by="test")
    engine.dispose()
    (settings.configs / "keys.json").write_text(json.dumps(made))


class Hamlet:
    def __init__(self, client: TestClient, settings: Settings) -> None:
        self.client, self.settings = client, settings

    @cached_property
    def keys(self) -> dict[str, str]:
        found: dict[str, str] = json.loads((self.settings.configs / "keys.json").read_text())
        return found

    @property
    def serving(self) -> Serving:
        found: Serving = self.client.app.state.serving
        return found

    def ask(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        by: str | None = "steward",
        purpose: str | None = "stewardship",
        match: str | None = None,
        key: str | None = None,
        **headers: str,
    ) -> Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if by is not None:
            sent["Authorization"] = f"Bearer {self.keys[by]}"
        told = {"X-Purpose": purpose, "If-Match": match, "Idempotency-Key": key}
        sent |= {name: value for name, value in told.items() if value is not None}
        return self.client.request(method, path, json=body, headers=sent)

    def forget_limits(self) -> None:
        """Requests are counted anew."""
        self.client.app.state.limits = Limits(self.settings)

    def get(self, path: str, **given: Any) -> Response:
        return self.ask("GET", path, **given)

    def post(self, path: str, body: Any = None, **given: Any) -> Response:
        return self.ask("POST", path, body, **given)

    def who(self, name: str, *, by: str = "sealed_steward") -> dict[str, Any]:
        """The person of REGISTRY/LOCAL_ID."""
        registry, local_id = name.split("/")
        answer = self.get(f"/v1/xref?registry={registry}&local_id={local_id}", by=by)
        assert answer.status_code == 200, answer.text
        (found,) = answer.json()["matches"]
        return dict(found)

    def tags(self, *names: str) -> str:
        """If-Match of people."""
        return ", ".join(f'"{found["id"]}:{found["version"]}"' for found in map(self.who, names))
