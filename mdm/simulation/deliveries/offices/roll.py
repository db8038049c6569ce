"""All offices, each after those whose lists it copies."""

from __future__ import annotations

from typing import TYPE_CHECKING

from mdm.simulation.deliveries.offices.family import BirthEvents, Children, DeathEvents, School
from mdm.simulation.deliveries.offices.identity import IdentityCards, PopulationDatabase
from mdm.simulation.deliveries.offices.insurance import (
    HealthInsurance,
    SocialInsurance,
    UnemploymentInsurance,
)
from mdm.simulation.deliveries.offices.merit import Merit
from mdm.simulation.deliveries.offices.payments import PaymentAccounts, SocialEvils
from mdm.simulation.deliveries.offices.poverty import Poverty
from mdm.simulation.deliveries.offices.social_assistance import SocialAssistance
from mdm.simulation.deliveries.offices.work import (
    ForeignWorkers,
    LabourExport,
    LabourForce,
    Tax,
    VocationalTraining,
)

if TYPE_CHECKING:
    from mdm.simulation.deliveries.offices.base import Office

OFFICES: tuple[Office, ...] = (
    PopulationDatabase(),
    IdentityCards(),
    BirthEvents(),
    Poverty(),
    SocialAssistance(),
    Merit(),
    SocialInsurance(),
    UnemploymentInsurance(),
    HealthInsurance(),
    Children(),
    School(),
    LabourForce(),
    VocationalTraining(),
    LabourExport(),
    ForeignWorkers(),
    Tax(),
    PaymentAccounts(),
    SocialEvils(),
    DeathEvents(),
)
