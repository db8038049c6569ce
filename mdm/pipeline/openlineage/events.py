"""A batch run as OpenLineage run events, object model 2-0-2 (openlineage.io).

The run is a run of job `mdm.run`; each of its steps is a run of job `mdm.run.STEP` whose parent is the former. Datasets are the
registries (their deliveries, as landed) and the store's tables, in a namespace made of the store's ID: the same after a move to
another machine. Names of files, registries and columns are told, and counts; nothing that stands in a row.

The classes of the client `openlineage-python` would give the same dictionaries; it brings two HTTP clients, and nothing here may
speak to a network. Tests rebuild each event by these classes.
"""

from __future__ import annotations

import importlib.metadata
from collections import Counter
from dataclasses import dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any
from uuid import UUID, uuid5

from mdm.registries.declaration import declaration_hash
from mdm.registries.record_mapping import ADDRESS
from mdm.store.tables import metadata

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from mdm.pipeline.openlineage.told import Delivery, ToldRun, ToldStep
    from mdm.registries.declaration import RegistryDeclaration

Json = dict[str, Any]

_VERSION = importlib.metadata.version("asxh-mdm")
PRODUCER = f"pkg:generic/asxh-mdm@{_VERSION}"
"""A package URL, which is a URI that needs no host."""
JOB = "mdm.run"
_SPEC = "https://openlineage.io/spec"
_VERSIONS = {
    "BaseSubsetDatasetFacet": "1-0-0",
    "DatasetVersionDatasetFacet": "1-0-1",
    "DocumentationDatasetFacet": "1-1-0",
    "ErrorMessageRunFacet": "1-0-1",
    "InputStatisticsInputDatasetFacet": "1-0-0",
    "JobTypeJobFacet": "2-0-4",
    "OutputStatisticsOutputDatasetFacet": "1-0-2",
    "OwnershipDatasetFacet": "1-0-1",
    "ParentRunFacet": "1-2-0",
    "ProcessingEngineRunFacet": "1-1-1",
    "SchemaDatasetFacet": "1-2-0",
}


@dataclass(frozen=True)
class Flow:
    """What a step reads and writes; clusters pass between steps in a working file, which is no dataset."""

    tables: tuple[str, ...]
    writes: tuple[str, ...]
    records: bool = False
    """It reads the records that the registries delivered."""


FLOWS = {
    "train": Flow((), ("model",), records=True),
    "score": Flow(("model",), ("edge",), records=True),
    "cluster": Flow(("edge", "decision"), ("review",)),
    "reconcile": Flow(
        ("edge", "decision", "entity", "membership", "ssn"), ("entity", "membership", "review")
    ),
    "golden": Flow(("membership",), ("golden", "alias"), records=True),
    "number": Flow(("entity", "membership", "golden"), ("ssn",), records=True),
    "household": Flow(("entity", "membership", "decision"), ("model", "edge"), records=True),
    "household_reconcile": Flow(
        ("edge", "decision", "entity", "membership"), ("entity", "membership", "golden", "review")
    ),
    "household_golden": Flow(("entity", "membership", "golden"), ("golden",), records=True),
}


def flow_of(step: str) -> Flow:
    """Nothing is known of a step of another version."""
    return FLOWS.get(step, Flow((), ()))


def run_events(run: ToldRun, registries: Mapping[str, RegistryDeclaration]) -> list[Json]:
    """START of the run, START and COMPLETE of each finished step, and how the run ended, if it has ended."""
    return _Writer(run, registries).events()


class _Writer:
    def __init__(self, run: ToldRun, registries: Mapping[str, RegistryDeclaration]) -> None:
        self.run, self.registries = run, registries
        self.namespace = f"urn:uuid:{run.store_id}"

    def events(self) -> list[Json]:
        events = [self._of_run("START", self.run.started_at, inputs=self._registries(full=True))]
        for step in self.run.steps:
            events += self._of_step(step)
        stop = self.run.stop
        if self.run.finished_at is not None:
            rows: Counter[str] = Counter()
            for step in self.run.steps:
                rows.update(self._written(step))
            outputs = [self._output(table, rows[table], full=False) for table in sorted(rows)]
            events.append(
                self._of_run(
                    "COMPLETE", self.run.finished_at, inputs=self._registries(full=False), outputs=outputs
                )
            )
        elif stop is not None:
            if stop.message is not None:
                events += self._of_failed_step()
            events.append(self._of_run(stop.state, stop.at, error=stop.message))
        return events

    def _of_run(
        self,
        state: str,
        at: str,
        *,
        inputs: Sequence[Json] = (),
        outputs: Sequence[Json] = (),
        error: str | None = None,
    ) -> Json:
        engine = {"name": "asxh-mdm", "version": _VERSION, "openlineageAdapterVersion": _VERSION}
        facets = {"processing_engine": facet("ProcessingEngineRunFacet", engine), **_error(error)}
        run = {"runId": self.run.run_id, "facets": facets}
        return self._event(state, at, run=run, job=self._job(JOB, "JOB"), inputs=inputs, outputs=outputs)

    def _of_step(self, step: ToldStep) -> Iterator[Json]:
        flow, run_id = flow_of(step.step), str(uuid5(UUID(self.run.run_id), step.step))
        inputs = [self._table(table) for table in flow.tables]
        if flow.records:
            inputs = [*self._registries(full=False), *inputs]
        outputs = [self._output(table, rows, full=True) for table, rows in self._written(step).items()]
        yield self._child(step.step, run_id, "START", step.started_at, inputs=inputs)
        yield self._child(step.step, run_id, "COMPLETE", step.finished_at, inputs=inputs, outputs=outputs)

    def _of_failed_step(self) -> Iterator[Json]:
        """The first that is not finished. Tried again later it is another run of its job."""
        stop, done = self.run.stop, [step.step for step in self.run.steps]
        name = next((name for name in FLOWS if name not in done), None)
        if stop is None or name is None:
            return
        run_id = str(uuid5(UUID(self.run.run_id), f"{name} {stop.at}"))
        began = max([stop.taken_up or self.run.started_at, *(step.finished_at for step in self.run.steps)])
        yield self._child(name, run_id, "START", began)
        yield self._child(name, run_id, stop.state, stop.at, error=stop.message)

    def _child(
        self,
        step: str,
        run_id: str,
        state: str,
        at: str,
        *,
        inputs: Sequence[Json] = (),
        outputs: Sequence[Json] = (),
        error: str | None = None,
    ) -> Json:
        above = {"run": {"runId": self.run.run_id}, "job": {"namespace": self.namespace, "name": JOB}}
        facets = {"parent": facet("ParentRunFacet", {**above, "root": above}), **_error(error)}
        run = {"runId": run_id, "facets": facets}
        job = self._job(f"{JOB}.{step}", "TASK")
        return self._event(state, at, run=run, job=job, inputs=inputs, outputs=outputs)

    def _job(self, name: str, kind: str) -> Json:
        job_type = {"processingType": "BATCH", "integration": "MDM", "jobType": kind}
        return {
            "namespace": self.namespace,
            "name": name,
            "facets": {"jobType": facet("JobTypeJobFacet", job_type)},
        }

    def _event(
        self, state: str, at: str, *, run: Json, job: Json, inputs: Sequence[Json], outputs: Sequence[Json]
    ) -> Json:
        return {
            "eventType": state,
            "eventTime": at,
            "producer": PRODUCER,
            "schemaURL": f"{_SPEC}/2-0-2/OpenLineage.json#/$defs/RunEvent",
            "run": run,
            "job": job,
            "inputs": list(inputs),
            "outputs": list(outputs),
        }

    def _written(self, step: ToldStep) -> dict[str, int]:
        """Tables to rows: those that the step is for, and any other that it wrote to."""
        return {**dict.fromkeys(flow_of(step.step).writes, 0), **self.run.written[step.step]}

    def _registries(self, *, full: bool) -> list[Json]:
        by_registry = sorted(self.run.deliveries, key=lambda delivery: (delivery.registry, delivery.batch_id))
        return [
            self._registry(code, list(deliveries), full=full)
            for code, deliveries in groupby(by_registry, key=lambda delivery: delivery.registry)
        ]

    def _registry(self, code: str, deliveries: list[Delivery], *, full: bool) -> Json:
        """`full`: also each delivery and what the declaration says, which need to be told once."""
        counts = {"rowCount": sum(one.received for one in deliveries), "fileCount": len(deliveries)}
        version = {"datasetVersion": deliveries[-1].sha256}
        facets = {"version": facet("DatasetVersionDatasetFacet", version)}
        input_facets = {"inputStatistics": facet("InputStatisticsInputDatasetFacet", counts)}
        if full:
            condition = {"type": "partition", "partitions": [_partition(one) for one in deliveries]}
            input_facets["subset"] = facet(
                "BaseSubsetDatasetFacet", {"inputCondition": condition}, part="InputSubsetInputDatasetFacet"
            )
            facets |= _declared(self.registries.get(code), deliveries[-1].declaration)
        return {
            "namespace": self.namespace,
            "name": f"registry/{code}",
            "facets": facets,
            "inputFacets": input_facets,
        }

    def _table(self, table: str) -> Json:
        return {"namespace": self.namespace, "name": table, "facets": {}, "inputFacets": {}}

    def _output(self, table: str, rows: int, *, full: bool) -> Json:
        statistics = facet("OutputStatisticsOutputDatasetFacet", {"rowCount": rows})
        return {
            "namespace": self.namespace,
            "name": table,
            "facets": _table_facets(table) if full else {},
            "outputFacets": {"outputStatistics": statistics},
        }


def facet(name: str, values: Mapping[str, Any], *, part: str | None = None) -> Json:
    """A facet of the specification; `part` is its name where the file defines several."""
    address = f"{_SPEC}/facets/{_VERSIONS[name]}/{name}.json#/$defs/{part or name}"
    return {"_producer": PRODUCER, "_schemaURL": address, **values}


def _error(message: str | None) -> Json:
    if message is None:
        return {}
    told = {"message": message, "programmingLanguage": "Python"}
    return {"errorMessage": facet("ErrorMessageRunFacet", told)}


def _partition(delivery: Delivery) -> Json:
    dimensions = {
        "delivered_on": delivery.delivered_on,
        "file": delivery.file,
        "received": delivery.received,
        "sha256": delivery.sha256,
    }
    return {
        "identifier": f"batch {delivery.batch_id}",
        "dimensions": {name: value for name, value in dimensions.items() if value is not None},
    }


def _declared(registry: RegistryDeclaration | None, landed_as: str) -> Json:
    """Nothing of a declaration that is no longer the one under which the last file landed."""
    if registry is None or declaration_hash(registry) != landed_as:
        return {}
    owner = {"name": registry.owner.en, "type": "OWNER"}
    return {
        "documentation": _documentation(f"{registry.name.vi} / {registry.name.en}"),
        "ownership": facet("OwnershipDatasetFacet", {"owners": [owner]}),
        "schema": facet("SchemaDatasetFacet", {"fields": _fields(registry)}),
    }


def _fields(registry: RegistryDeclaration) -> list[Json]:
    """For each kind of record the canonical attributes that the registry's columns give."""
    kinds: dict[str, dict[str, Json]] = {}
    for record in (record for source in registry.sources for record in source.records):
        if record.kind == "renumbering":
            continue
        for name, attribute in registry.attributes.of(record.kind).items():
            if name in record.columns or (attribute.group == ADDRESS and ADDRESS in record.columns):
                field = {"name": name, "type": attribute.type, "description": attribute.en}
                kinds.setdefault(record.kind, {})[name] = field
    return [
        {"name": kind, "type": "struct", "fields": list(fields.values())} for kind, fields in kinds.items()
    ]


def _table_facets(table: str) -> Json:
    declared = metadata.tables[table]
    fields = [{"name": column.name, "type": str(column.type)} for column in declared.columns]
    return {
        "documentation": _documentation(declared.comment or ""),
        "schema": facet("SchemaDatasetFacet", {"fields": fields}),
    }


def _documentation(text: str) -> Json:
    return facet("DocumentationDatasetFacet", {"description": text})
