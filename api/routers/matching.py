"""Search before you create: whom a record may be of."""

from __future__ import annotations

from fastapi import APIRouter

from api.schemas.common import ALWAYS, problems
from api.schemas.records import Candidate, Candidates, Evidence, Search
from api.security import ByReader, LookingInTurn
from mdm.arrivals.candidates import Band, Match

routes = APIRouter(tags=["records"], responses=problems(*ALWAYS, 404))


@routes.post("/match", name="match", summary="Whom a record may be of")
def match(body: Search, asked: ByReader, _turn: LookingInTurn) -> Candidates:
    """Nothing is written but who asked. The weights are those of the nightly run. Nobody is found by records that you may not know of."""
    found = asked.serving.arrivals.match(
        body.given(), hidden=asked.viewer.hidden, observed_on=body.observed_on
    )
    shown = [one for one in found.found if body.unlikely or one.band is not Band.UNLIKELY][: body.limit]
    asked.note("match", {one.entity: ["match"] for one in shown})
    return Candidates(
        candidates=[_candidate(one) for one in shown], issues=dict(found.issues), model=found.model
    )


def _candidate(found: Match) -> Candidate:
    return Candidate(
        id=found.entity,
        band=found.band.value,
        weight=round(found.pair.weight, 3),
        probability=round(found.probability, 6),
        conflict=found.pair.conflict,
        evidence=[
            Evidence(comparison=name, level=said.level, bits=round(said.bits + said.frequency_bits, 3))
            for name, said in found.pair.evidence.items()
            if said.level is not None
        ],
    )
