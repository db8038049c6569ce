"""A village at work, as a process of its own: a steward who merges, undoes, splits and decides at random, and runs beside.

    MDM_STORE=... MDM_CONFIGS=... python -m tests.integration.merging SEED SECONDS

What the rules refuse is part of the work; any other error ends it with a traceback. Prints how much was done and refused.
"""

from __future__ import annotations

import random
import sys
import time

from sqlalchemy import select

from mdm.errors import IdentityError
from mdm.identity.commands import Command, Decide, DecisionKind, Merge, Revoke, Split, Unmerge
from mdm.settings import Settings
from mdm.store import tables as t
from tests.village import MODELS, REGISTRIES, Village


class Steward:
    def __init__(self, village: Village, seed: int) -> None:
        self.village, self.draw, self.name = village, random.Random(seed), f"steward {seed}"
        self.done = self.refused = 0

    def work(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        while time.monotonic() < until:
            try:
                self.act()
                self.done += 1
            except IdentityError:
                self.refused += 1

    def act(self) -> None:
        command = self._command()
        key = f"key {self.draw.randrange(200)}" if self.draw.random() < 0.2 else None
        answer = self.village.ask(command, actor=self.name, reason="at random", key=key)
        if answer.approval is not None:
            self.village.identity.approve(answer.approval, actor=f"second of {self.name}")

    def _command(self) -> Command:
        village, draw = self.village, self.draw
        what = draw.choices(["merge", "unmerge", "split", "decide", "revoke"], [8, 6, 2, 2, 6])[0]
        merges = [
            seq for (seq,) in village.query(select(t.event.c.seq).where(t.event.c.kind == "entity.merged"))
        ]
        decisions = village.query(
            select(t.decision.c.record_l, t.decision.c.record_r).where(t.decision.c.until_event.is_(None))
        )
        if what == "unmerge" and merges:
            return Unmerge(event=draw.choice(merges[-20:]))
        if what == "revoke" and decisions:
            left, right = draw.choice(decisions)
            return Revoke(left=left, right=right)
        members: dict[str, list[int]] = {}
        for entity_id, record_id in village.query(
            select(t.entity.c.entity_id, t.membership.c.record_id)
            .join(t.membership, t.membership.c.entity_key == t.entity.c.entity_key)
            .where(t.membership.c.until_event.is_(None))
        ):
            members.setdefault(entity_id, []).append(record_id)
        several = sorted(entity_id for entity_id, records in members.items() if len(records) > 1)
        if what == "split" and several:
            entity_id = draw.choice(several)
            return Split(entity=entity_id, records=(draw.choice(members[entity_id]),))
        one, other = draw.choices(sorted(members), k=2)
        if what == "decide":
            left, right = draw.choice(members[one]), draw.choice(members[other])
            return Decide(decision=draw.choice(list(DecisionKind)), left=left, right=right)
        expected = {one: village.version(one)} if draw.random() < 0.3 else {}
        return Merge(left=one, right=other, expected=expected)


def live(settings: Settings, seed: int) -> None:
    """Deliveries, runs and a steward, without end: until the process is killed."""
    village = Village(settings, new=False)
    steward, draw = Steward(village, seed), random.Random(seed)
    while True:
        what = draw.choices(["steward", "deliver", "run", "force", "retrain"], [4, 3, 4, 1, 1])[0]
        if what == "steward":
            steward.work(0.2)
        elif what == "deliver":
            village.deliver_rows(draw.choice(REGISTRIES), _rows(draw))
        elif what == "retrain":
            village.retrain(draw.choice(MODELS))
        else:
            village.run(force=what == "force")


def _rows(draw: random.Random) -> dict[str, dict[str, str] | None]:
    """New, corrected and withdrawn records."""
    return {
        f"r{draw.randrange(12)}": None
        if draw.random() < 0.1
        else {
            "full_name": draw.choice(["Lê An", "Lê Bình", "Vũ Chi"]),
            "file_no": draw.choice("ABCDEFGH"),
            "student_code": draw.choice("12345678"),
        }
        for _ in range(4)
    }


def main() -> None:
    seed, seconds = int(sys.argv[1]), float(sys.argv[2])
    village = Village(Settings(), new=False)
    steward = Steward(village, seed)
    steward.work(seconds)
    village.close()
    sys.stdout.write(f"{steward.done} {steward.refused}\n")


if __name__ == "__main__":
    main()
