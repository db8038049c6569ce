"""Settings of the simulated deliveries: the section `deliveries` of configs/simulation.yaml."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

Share = Annotated[float, Field(ge=0, le=1)]
Weights = Mapping[str, Annotated[float, Field(ge=0)]]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Faults(_Model):
    """How a registry's clerks err, as shares of its records. The profile's factor multiplies all but `second_papers`."""

    number_missing: Share = 0.0
    number_malformed: Share = (
        0.0  # a digit lost, a leading zero lost by a spreadsheet, an old nine-digit number
    )
    number_wrong: Share = 0.0  # one digit wrong, or two digits swapped: still twelve digits
    number_of_relative: Share = 0.0
    number_stale: Share = 0.0  # of the people whose number was re-established: the cancelled number
    name: Share = 0.0
    birth: Share = 0.0
    sex: Share = 0.0
    other_number: Share = 0.0  # CMND, BHXH, health card, tax code, passport: missing or one digit wrong
    phone_missing: Share = 0.0
    phone_old_form: Share = 0.0
    address_actual: Share = 0.0  # where the person lives instead of where he is registered
    address_unclear: Share = 0.0  # misspelt commune, district left out, street left out
    address_old_vocabulary: Share = 0.0  # after the reform of July 2025, still the abolished units
    second_papers: Share = 0.0  # a person with two sets of papers showed the second
    duplicated: Share = 0.0  # people who have a second record in this registry
    refused: Share = 0.0  # extra rows that no registry can accept

    def of_addresses(self) -> Faults:
        """The rates that hold where a clerk writes a true correction: those of addresses and phones alone."""
        return Faults(**{name: rate for name, rate in self if name.startswith(("address", "phone"))})


class Change(_Model):
    """What happens to a registry's records between the two deliveries, as shares of its records."""

    corrected: Share = 0.01
    withdrawn: Share = 0.002


class RegistrySettings(_Model):
    coverage: Mapping[str, Share] = {}  # by group of people; the names are the office's own
    faults: Faults = Faults()
    copies: Mapping[
        str, Share
    ] = {}  # registry -> share of the people in both whose details were copied from it
    change: Change = Change()
    styles: Weights = {"plain": 1.0}  # how an office habitually writes names


class Profile(_Model):
    factor: float = Field(gt=0)
    second_papers: Share  # people with a second set of papers
    namesakes: Share  # neighbours of one name and one birthday, made on purpose
    borrowed: Share  # insured workers who work under the papers of a relative
    office_spread: float = Field(ge=0, le=2)  # log-normal spread of the error rate between district offices
    own_spelling: Share  # district offices with a spelling of their own


class DeliverySettings(_Model):
    profile: Literal["mild", "default", "hard"] = "default"
    first: date = date(2025, 6, 15)
    second: date = date(2025, 12, 15)
    profiles: Mapping[Literal["mild", "default", "hard"], Profile]
    name_errors: Weights
    birth_errors: Weights
    registries: Mapping[str, RegistrySettings]

    @property
    def active(self) -> Profile:
        return self.profiles[self.profile]

    def faults(self, code: str) -> Faults:
        """The registry's rates under the profile that is in force."""
        rates = self.registries[code].faults
        fixed = {"second_papers"}
        return Faults(
            **{
                name: rate if name in fixed else min(rate * self.active.factor, 0.9)
                for name, rate in rates.model_dump().items()
            }
        )
