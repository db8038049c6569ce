"""`mdm simulate`: a population, the deliveries of its registries, and the truth beside them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from tempfile import mkdtemp
from typing import TYPE_CHECKING

import pyarrow as pa

from mdm.errors import ConfigurationError, InputError
from mdm.simulation.deliveries.deliver import deliver, first_mentions
from mdm.simulation.deliveries.observe import Context
from mdm.simulation.deliveries.offices.base import Delivery
from mdm.simulation.deliveries.offices.roll import OFFICES
from mdm.simulation.deliveries.papers import SecondPapers, share_name_and_birthday, with_namesakes
from mdm.simulation.deliveries.places import Places
from mdm.simulation.deliveries.world import Snapshot, World
from mdm.simulation.population.simulate import simulate_population
from mdm.simulation.randomness import stream
from mdm.simulation.truth import RECORD_COLUMNS, TRUTH_FOLDER, write_truth

if TYPE_CHECKING:
    from mdm.simulation.deliveries.settings import DeliverySettings
    from mdm.simulation.population.tables import Population
    from mdm.simulation.settings import SimulationSettings

Progress = Callable[[str, float], None]
"""Told what is being done and which share of the whole is done (0 to 1)."""
POPULATION_SHARE, TRUTH_FROM = 0.4, 0.93  # of the time, roughly


@dataclass(frozen=True)
class SimulationSummary:
    people: int
    rows: Mapping[str, int]  # by registry, over both deliveries
    rejects: int
    out: Path


def simulate(
    *, people: int, seed: int, out: Path, settings: SimulationSettings, progress: Progress | None = None
) -> SimulationSummary:
    """Write OUT/delivery-1, OUT/delivery-2 and OUT/truth; the folder appears only when all is written.

    Raises InputError where OUT holds something already.
    """
    if out.exists() and (not out.is_dir() or any(out.iterdir())):
        raise InputError(
            "the folder for the simulation is not empty", where=str(out), hint="Name a new or empty folder."
        )
    copied_registries(settings.deliveries)
    tell = progress or (lambda _step, _done: None)
    population = simulate_population(
        settings, people=people, seed=seed, progress=lambda step, done: tell(step, done * POPULATION_SHARE)
    )
    out.parent.mkdir(parents=True, exist_ok=True)
    unfinished = Path(mkdtemp(prefix=f"{out.name}.unfinished-", dir=out.parent))
    try:
        summary = write_deliveries(
            population,
            seed=seed,
            out=unfinished,
            settings=settings.deliveries,
            reference=settings.reference,
            tell=tell,
            people=people,
        )
        if out.exists():
            out.rmdir()
        unfinished.chmod(0o755)  # a temporary folder is its maker's alone
        unfinished.rename(out)
    except BaseException:
        shutil.rmtree(unfinished, ignore_errors=True)
        raise
    tell("done", 1.0)
    return SimulationSummary(summary.people, summary.rows, summary.rejects, out)


def context_of(population: Population, *, settings: DeliverySettings, seed: int, reference: Path) -> Context:
    """What all offices share: the people with their namesakes and second papers."""
    copied = copied_registries(settings)
    random = stream(seed, "deliveries", "namesakes")
    population = with_namesakes(population, share=settings.active.namesakes, random=random)
    world = World(population, Places.load(reference), settings, seed)
    return Context(world, SecondPapers.of(world), share_name_and_birthday(population), copied, {})


def write_deliveries(
    population: Population,
    *,
    people: int,
    seed: int,
    out: Path,
    settings: DeliverySettings,
    reference: Path,
    tell: Progress,
) -> SimulationSummary:
    context = context_of(population, settings=settings, seed=seed, reference=reference)
    world = context.world
    deliveries = (Delivery(1, settings.first), Delivery(2, settings.second))
    snapshots = [Snapshot(world, delivery.day) for delivery in deliveries]
    records: list[pa.Table] = []
    rejects: list[pa.Table] = []
    rows: dict[str, int] = {}
    for done, office in enumerate(OFFICES):
        tell(office.code, POPULATION_SHARE + (TRUTH_FROM - POPULATION_SHARE) * done / len(OFFICES))
        delivered = deliver(context, office, snapshots=snapshots, deliveries=deliveries, out=out)
        records.append(first_mentions(pa.concat_tables([RECORD_COLUMNS.empty_table(), *delivered.records])))
        rejects += delivered.rejects
        rows[office.code] = delivered.rows
    tell("truth", TRUTH_FROM)
    write_truth(
        out / TRUTH_FOLDER,
        population=world.population,
        records=records,
        rejects=rejects,
        days=[delivery.day for delivery in deliveries],
    )
    return SimulationSummary(people, rows, sum(table.num_rows for table in rejects), out)


def copied_registries(settings: DeliverySettings) -> frozenset[str]:
    """Registries whose lists others copy. Each must be made before those that copy it."""
    order = [office.code for office in OFFICES]
    if missing := sorted(set(order) ^ set(settings.registries)):
        raise ConfigurationError(
            f"simulated registries and their settings differ: {', '.join(missing)}",
            where="deliveries.registries",
        )
    for code, registry in settings.registries.items():
        for other in registry.copies:
            if other not in order[: order.index(code)]:
                raise ConfigurationError(
                    f"`{other}` cannot be copied",
                    where=f"deliveries.registries.{code}.copies",
                    hint=f"Only a registry made before it: {', '.join(order[: order.index(code)])}.",
                )
    return frozenset(other for registry in settings.registries.values() for other in registry.copies)
