"""A village: a store with three small registries and a model made by hand, in which a whole run takes a third of a second.

Two records are linked where they have one `file_no` (model "by_file") or one `student_code` (model "by_code"), and for
no other reason. Records of `population` are anchored, and what it says of personal IDs is verified.
"""

from __future__ import annotations

from datetime import date
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from sqlalchemy import select

from matching.artefact import LevelParameters, TrainedModel
from matching.model import load_model
from mdm.identity.clock import utc_now
from mdm.identity.events import Stamp
from mdm.pipeline.prepare import prepare
from mdm.pipeline.run import RunReport, run
from mdm.registries.landing import QUARANTINE, RENUMBERING, LandedChunk
from mdm.stewardship.service import Answer, Identity
from mdm.store.engine import bulk
from mdm.store.keys import make_key, make_log_key
from mdm.store.landing import LandedFile, LandingCounts, land_file
from mdm.store.models import keep_model
from mdm.store.schema import create
from mdm.store.tables import entity, membership, record, review, ssn

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from mdm.settings import Settings
    from tests.engines import Engine

ATTRIBUTES = ("full_name", "death_date", "personal_id", "file_no", "student_code")
REGISTRIES = ("population", "school", "tax")
MODELS = ("by_file", "by_code")

_ATTRIBUTES = """
person:
  full_name: {type: name, vi: Họ tên, en: Name}
  death_date: {type: date, vi: Ngày mất, en: Date of death}
  personal_id: {type: personal_id, alias: personal_id, vi: Số định danh, en: Personal number}
  file_no: {type: code, alias: file_no, vi: Số hồ sơ, en: File}
  student_code: {type: code, alias: student_code, vi: Mã học sinh, en: Student code}
household: {}
"""
_REGISTRY = """
code: %(code)s
name: {vi: %(code)s, en: %(code)s}
owner: {vi: Xã, en: Commune}
holds: people
anchor: %(anchor)s
sensitivity: %(sensitivity)s
trust: {default: %(trust)s}
sources:
  - name: people
    files: ["*.csv"]
    format: csv
    records:
      - kind: person
        key: [id]
        columns: {full_name: full_name}
"""
_MODEL = """
name: person
kind: person
comparisons:
  - {name: file_no, missing: [file_no], levels: [{equal: [file_no]}, {otherwise: true}]}
  - {name: student_code, missing: [student_code], levels: [{equal: [student_code]}, {otherwise: true}]}
blocking:
  - {name: file_no, columns: [file_no]}
  - {name: student_code, columns: [student_code]}
training:
  prior: {rules: [[file_no]], recall: 0.7}
  expectation_maximisation: [[student_code]]
thresholds: {link: 14, review: 4, keep: -4}
"""
_POLICY = """
kind: person
rules:
  current: {order: [trust, most_recent]}
default: current
"""
_TELLS = [LevelParameters(m=0.9, u=1e-8), LevelParameters(m=0.1, u=1 - 1e-8)]
_SILENT = [LevelParameters(m=0.5, u=0.5)] * 2


def write_configs(folder: Path) -> Path:
    for name in ("registries", "matching", "golden_record"):
        (folder / name).mkdir(parents=True)
    (folder / "attributes.yaml").write_text(_ATTRIBUTES)
    for code, anchor, sensitivity, trust in (
        ("population", "true", "normal", 0.9),
        ("school", "false", "sealed", 0.4),
        ("tax", "false", "normal", 0.6),
    ):
        values = {"code": code, "anchor": anchor, "sensitivity": sensitivity, "trust": trust}
        (folder / "registries" / f"{code}.yaml").write_text(_REGISTRY % values)
    (folder / "matching" / "person.yaml").write_text(_MODEL)
    (folder / "golden_record" / "person.yaml").write_text(_POLICY)
    return folder


def village_settings(engine: Engine, folder: Path) -> Settings:
    """Of a new store and its configs in a folder."""
    made = engine.settings(folder)
    return made.model_copy(update={"configs": write_configs(folder / "configs"), "threads": 1})


class Village:
    """A store with the configs of `write_configs`; `new` ones are created."""

    def __init__(self, settings: Settings, *, new: bool = True) -> None:
        self.settings = settings
        if new:
            create(settings)
            make_key(settings)
            make_log_key(settings)
            self.use_model("by_file")
        self.identity = Identity(settings)

    def close(self) -> None:
        self.identity.close()

    # --- registries and runs -------------------------------------------------------------------------------------

    def retrain(self, name: str) -> RunReport:
        """As `run(retrain=True)`, had it found this model."""
        self.use_model(name)
        return self.run(force=True)

    def use_model(self, name: str) -> None:
        declared = load_model(self.settings.person_model_file)
        told, silent = ("file_no", "student_code") if name == "by_file" else ("student_code", "file_no")
        trained = TrainedModel(
            declared,
            prior=0.01,
            parameters={told: _TELLS, silent: _SILENT},
            term_frequencies={},
            frequency_floor=0.1,
            records=10,
            untrained=[silent],
        )
        with bulk(self.settings) as store:
            keep_model(store, trained, stamp=Stamp(at=utc_now(), actor="test", reason="trained"))

    def deliver(self, registry: str, /, **records: Mapping[str, str] | None) -> LandingCounts:
        """Local ID to attributes, or to None for a record that is withdrawn."""
        return self.deliver_rows(registry, records)

    def deliver_rows(
        self,
        registry: str,
        records: Mapping[str, Mapping[str, str] | None],
        *,
        renumbered: Mapping[str, str] | None = None,
    ) -> LandingCounts:
        """One file; `renumbered` has personal IDs that the office cancelled, and what it gave instead."""
        rows = [attributes or {} for attributes in records.values()]
        count = len(rows)
        columns: dict[str, Any] = {
            "local_id": pa.array(list(records), pa.string()),
            "kind": pa.array(["person"] * count, pa.string()),
            "op": pa.array(["withdraw" if r is None else "upsert" for r in records.values()], pa.string()),
            "row_number": pa.array(range(1, count + 1), pa.int64()),
            "document_date": pa.nulls(count, pa.date32()),
            "raw": pa.array(["{}"] * count, pa.string()),
            "issues": pa.nulls(count, pa.string()),
            **{name: pa.array([row.get(name) for row in rows], pa.string()) for name in ATTRIBUTES},
        }
        pairs = list((renumbered or {}).items())
        told = pa.table(
            {
                "row_number": pa.array(range(count + 1, count + 1 + len(pairs)), pa.int64()),
                "attribute": pa.array(["personal_id"] * len(pairs), pa.string()),
                "old": pa.array([old for old, _ in pairs], pa.string()),
                "new": pa.array([new for _, new in pairs], pa.string()),
                "date": pa.nulls(len(pairs), pa.date32()),
            },
            schema=RENUMBERING,
        )
        received = count + len(pairs)
        chunk = LandedChunk(
            registry, "people", "people.csv", None, "person", pa.table(columns), QUARANTINE.empty_table(), told,
            received, received, 0,
        )  # fmt: skip
        with bulk(self.settings) as store:
            # as many deliveries as events: another process may deliver too
            name = f"{registry}-{store.scalar('SELECT COUNT(*) FROM event')}"
            landed = LandedFile(registry, name, name, "declaration", date(2026, 1, 1))
            return land_file(store, landed, prepare([chunk], delivered_on=landed.delivered_on), actor="test")

    def run(self, *, force: bool = False) -> RunReport:
        return run(self.settings, force=force)

    # --- people --------------------------------------------------------------------------------------------------

    def ask(
        self, command: Any, *, actor: str = "An", reason: str = "seen the papers", key: str | None = None
    ) -> Answer:
        return self.identity.carry_out(command, actor=actor, reason=reason, key=key)

    # --- looking -------------------------------------------------------------------------------------------------

    def query(self, statement: Any) -> list[Any]:
        with self.identity.engine.connect() as connection:
            return list(connection.execute(statement).all())

    def open_questions(self) -> list[int]:
        return [
            number
            for (number,) in self.query(
                select(review.c.review_id).where(review.c.state == "open").order_by(review.c.review_id)
            )
        ]

    def homes(self) -> dict[str, str]:
        """registry/local_id to entity ID, of every record that is in an entity."""
        found = self.query(
            select(record.c.registry, record.c.local_id, entity.c.entity_id)
            .join(membership, membership.c.record_id == record.c.record_id)
            .join(entity, entity.c.entity_key == membership.c.entity_key)
            .where(membership.c.until_event.is_(None))
        )
        return {f"{registry}/{local_id}": entity_id for registry, local_id, entity_id in found}

    def home(self, name: str) -> str:
        return self.homes()[name]

    def record_id(self, name: str) -> int:
        registry, local_id = name.split("/")
        ((found,),) = self.query(
            select(record.c.record_id).where(record.c.registry == registry, record.c.local_id == local_id)
        )
        return int(found)

    def version(self, entity_id: str) -> int:
        ((found,),) = self.query(select(entity.c.version).where(entity.c.entity_id == entity_id))
        return int(found)

    def numbers(self, entity_id: str) -> dict[str, str]:
        """Kind to number, of the live ones."""
        found = self.query(
            select(ssn.c.kind, ssn.c.number)
            .join(entity, entity.c.entity_key == ssn.c.entity_key)
            .where(entity.c.entity_id == entity_id, ssn.c.state.in_(["active", "suspended", "deceased"]))
        )
        return dict(found)
