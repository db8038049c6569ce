"""Settings of the simulated population: the section `population` of configs/simulation.yaml, where each is explained."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, model_validator

Share = Annotated[float, Field(ge=0, le=1)]
Rate = Annotated[float, Field(ge=0)]
ByYear = Mapping[int, float]
ByAge = Mapping[int, Share]
Shares = Mapping[str, Share]
Weights = Mapping[str, Rate]


class _Model(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Window(_Model):
    first_year: int
    last_year: int
    begin_year: int  # of the unrecorded past that gives everyone ancestors

    @model_validator(mode="after")
    def _in_order(self) -> Window:
        if not self.begin_year + 30 <= self.first_year <= self.last_year <= 2099:
            raise ValueError("needs begin_year + 30 <= first_year <= last_year <= 2099")
        return self


class Marriage(_Model):
    mean_age_women: ByYear  # by year, between them interpolated
    mean_age_men: ByYear
    spread: Rate
    ever_women: Share
    ever_men: Share
    remarriage: Share
    divorce: Share  # of couples in a year
    joins_husbands_parents: ByYear
    joins_wifes_parents: Share
    leaves_parents: Share  # a couple leaves the parents' house in a year, another married child staying
    leaves_parents_last: Share  # the same where no other does


class Births(_Model):
    unmarried: Share  # weight of an unmarried woman against a married one of the same age
    twin_deliveries: Share
    twins_same_sex: Share
    widening_before: int  # before this year mothers' ages are spread more widely
    first_child: Rate  # weight of a childless wife against one with a child
    parity_penalty: Rate


class Moves(_Model):
    household_inter_province: Share
    household_inter_district: Share
    household_intra_district: Share
    young_inter_province: Share  # unmarried people of 17 to 29, in a year
    young_inter_district: Share
    returns: Share  # of those away alone, in a year
    sharing: Share  # of those away alone, who share a room with others
    before_1986: Share  # factor on all rates in earlier years
    minorities: Share  # factor for minorities on moves to another province
    metropolis: tuple[str, ...]  # provinces that grow by migration
    metropolis_start: Share  # their share in the begin year against today's
    urban_start: Share
    balance: Rate
    registers: Mapping[
        str, Share
    ]  # by province of destination: a household that moves registers there at once
    regularises: Shares  # later, in a year
    elder_joins_child: Share
    elder_couple_joins_child: Share


class Geography(_Model):
    people_per_commune: Annotated[int, Field(ge=1)]
    least_communes_per_province: Annotated[int, Field(ge=2)]
    communes_per_district: Annotated[int, Field(ge=2)]
    urban_share: Share
    without_street: Share


class Words(_Model):
    """Shares of one cohort's names, by sex (male, female)."""

    until: int  # last birth year of the cohort
    two: tuple[Share, Share]
    four: tuple[Share, Share]
    classic: tuple[Share, Share]  # Văn for men, Thị for women
    mothers_surname: Share


class Names(_Model):
    words: tuple[Words, ...]
    flatness: tuple[Rate, Rate]  # q of the Zipf-Mandelbrot weights 1 / (rank + q)
    middle_flatness: Rate
    surname_tail_flatness: Rate
    era_centres: Mapping[str, float]
    era_spread: Rate
    twins_share_middle: Share
    twins_similar: Share
    siblings_share_middle: Share
    unnamed_babies: Share  # of the births of the last months
    legal_change: Share  # of people in the window
    assimilated: Share  # minority people with names in the Kinh way


class Identifiers(_Model):
    reestablished: Share
    contradicting: Share
    unregistered_personal_id: Share
    cmnd: Share  # of those old enough before cmnd_until
    cmnd_until: int
    cmnd_colliding: Share  # of the numbers of the two provinces that issued the same range
    health_insured: Share
    health_card_changed: Share
    tax_code: Shares  # by occupation
    second_tax_code: Share
    phone: Shares  # by age group
    phone_shared: Share
    phone_before_2018: Share
    passport: Shares
    birth_on_time: Share
    birth_on_time_minority: Share
    death_on_time: Share
    death_on_time_minority: Share
    death_never: Share


class Society(_Model):
    foreigners: Share
    people_per_employer: Annotated[int, Field(ge=1)]
    work: Mapping[str, Weights]  # age group -> occupation -> weight, urban; rural differs by rural_factor
    rural_factor: Weights
    female_factor: Weights
    pension_from_age: tuple[int, int]
    pension: Share
    disabled_by_age: ByAge
    martyrs: Share  # against the number of the living
    martyr_years: tuple[int, int]
    merit: Shares  # of those old enough
    poor: Share
    near_poor: Share
    rural_poverty_factor: Rate
    minority_poverty_factor: Rate


class PopulationSettings(_Model):
    window: Window
    marriage: Marriage
    births: Births
    moves: Moves
    geography: Geography
    names: Names
    identifiers: Identifiers
    society: Society
