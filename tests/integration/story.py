"""One store through everything that can happen to a person, with what it said of everyone at each step.

Merge, unmerge, a chain of two merges, split, decisions, a death told by a person, a later delivery (corrections, withdrawals,
deaths), and its run.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import select

from mdm.identity.commands import ChangeNumber, Decide, DecisionKind, Merge, Split, Unmerge
from mdm.identity.numbers import NumberState, Reason
from mdm.pipeline.export import export
from mdm.pipeline.ingest import Ingest
from mdm.pipeline.run import run
from mdm.pipeline.verify import verify
from mdm.registries.attributes import load_attributes
from mdm.registries.declaration import load_registries
from mdm.stewardship.service import Identity
from mdm.store.engine import reading
from mdm.store.history import EntityAt, entity_at
from mdm.store.moments import Moment, read_moment
from mdm.store.tables import entity

if TYPE_CHECKING:
    from collections.abc import Collection
    from pathlib import Path

    from mdm.settings import Settings
    from tests.integration.job import Country

EXPORTS = ("crosswalk", "golden", "households")
STEWARD, CHIEF = "lan", "chi binh"
VERIFIED = ("unmerged", "split", "death", "second run")
"""Steps after which the store is verified by day; what went wrong earlier would still be found. By night it is after each."""


@dataclass
class Step:
    """`people`: entity ID to all that was said of it; `files`: export to the bytes of its CSV; `wrong`: what `verify` found; None where it was not asked."""

    moment: Moment
    people: dict[str, dict[str, Any]]
    files: dict[str, bytes]
    events: list[int] = field(default_factory=list)
    wrong: list[tuple[str, str]] | None = None


@dataclass
class Story:
    settings: Settings
    steps: dict[str, Step] = field(default_factory=dict)
    cast: dict[str, str] = field(default_factory=dict)
    """Who plays what: entity IDs."""
    numbers: dict[str, str] = field(default_factory=dict)
    records: dict[str, int] = field(default_factory=dict)

    def heir(self, role: str, step: str = "second run") -> str:
        """Who stands for the one who plays this role, after a step: a run may have merged them on."""
        name = self.cast[role]
        while (heir := self.steps[step].people[name]["superseded_by"]) is not None:
            name = heir
        return name


def plain(found: EntityAt) -> dict[str, Any]:
    """Without the moment of the read."""
    return {name: value for name, value in asdict(found).items() if name != "moment"}


def everyone(settings: Settings, moment: Moment | None = None) -> dict[str, dict[str, Any]]:
    """All entities that had been formed by the moment."""
    with reading(settings) as connection:
        at = moment or read_moment(connection)
        ids = connection.scalars(
            select(entity.c.entity_id).where(entity.c.formed_event <= at.seq).order_by(entity.c.entity_key)
        ).all()
        return {name: plain(entity_at(connection, name, at)) for name in ids}


def exported(settings: Settings, folder: Path, *, as_of: str | None = None) -> dict[str, bytes]:
    attributes = load_attributes(settings.attributes_file)
    registries = load_registries(settings.registries_folder, attributes=attributes)
    files = {}
    for what in EXPORTS:
        path = folder / f"{what}.csv"
        export(settings, what, path, attributes=attributes, registries=registries, as_of=as_of)
        files[what] = path.read_bytes()
    return files


def tell_story(
    settings: Settings, country: Country, folder: Path, *, verified: Collection[str] | None = VERIFIED
) -> Story:
    """`verified`: steps after which the store is verified; None for all."""
    story = Story(settings)

    def step(name: str, events: list[int] | None = None) -> None:
        with reading(settings) as connection:
            moment = read_moment(connection)
        wrong = None
        if verified is None or name in verified:
            wrong = [(check.name, check.wrong) for check in verify(settings) if check.wrong]
        story.steps[name] = Step(moment, everyone(settings), exported(settings, folder), events or [], wrong)

    step("run")
    _choose(story)
    cast, records = story.cast, story.records
    identity = Identity(settings)
    try:

        def ask(command: Any, reason: str) -> list[int]:
            answer = identity.carry_out(command, actor=STEWARD, reason=reason)
            if answer.approval is not None:
                answer = identity.approve(answer.approval, actor=CHIEF)
            return answer.events

        merged = ask(Merge(left=cast["anchored"], right=cast["stray"]), "same person")
        step("merged", merged)
        step("unmerged", ask(Unmerge(event=merged[0]), "two people after all"))
        step("chain begun", ask(Merge(left=cast["a"], right=cast["b"], survivor=cast["b"]), "twin files"))
        step("chain", ask(Merge(left=cast["b"], right=cast["c"], survivor=cast["c"]), "and a third"))
        split = ask(Split(entity=cast["anchored"], records=(records["split"],)), "another person's card")
        step("split", split)
        decision = Decide(decision=DecisionKind.CANNOT_LINK, left=records["split"], right=records["dying"])
        step("decided", ask(decision, "seen both"))
        step("approved", ask(Merge(left=cast["old"], right=cast["older"]), "one person, entered twice"))
        death = ChangeNumber(number=story.numbers["dying"], state=NumberState.DECEASED, reason=Reason.DEATH)
        step("death", ask(death, "certificate seen"))
    finally:
        identity.close()
    assert Ingest(settings).folder(country.files / "delivery-2").failed == []
    step("delivered")
    run(settings)
    step("second run")
    return story


def _choose(story: Story) -> None:
    """Someone in the population database with several records, one who will die, two without a personal ID; people not in it."""
    people = story.steps["run"].people
    by_kind: dict[str, list[str]] = {"ssn": [], "temporary": []}
    for name, told in people.items():
        for held in told["numbers"]:
            by_kind[held["kind"]].append(name)
    alive = [name for name in by_kind["ssn"] if people[name]["numbers"][0]["state"] == "active"]
    anchored = next(name for name in alive if len(people[name]["members"]) >= 4)
    dying = next(name for name in alive if name != anchored)
    unnumbered = [name for name in by_kind["ssn"] if "personal_id" not in people[name]["golden"]["values"]]
    old, older = unnumbered[:2]
    stray, a, b, c = by_kind["temporary"][:4]
    story.cast = {
        "anchored": anchored,
        "dying": dying,
        "old": old,
        "older": older,
        "stray": stray,
        "a": a,
        "b": b,
        "c": c,
    }
    for role, name in story.cast.items():
        story.numbers[role] = people[name]["numbers"][0]["number"]
        story.records[role] = people[name]["members"][0]["record"]
    others = [m for m in people[anchored]["members"] if m["registry"] != "population"]
    story.records["split"] = others[-1]["record"]
