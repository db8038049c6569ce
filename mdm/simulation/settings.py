"""The settings of a simulation: configs/simulation.yaml and the reference tables beside it."""

from __future__ import annotations

from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

from mdm.errors import ConfigurationError
from mdm.simulation.deliveries.settings import DeliverySettings
from mdm.simulation.population.settings import PopulationSettings


class SimulationSettings(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    population: PopulationSettings
    deliveries: DeliverySettings
    reference: Path
    """Folder of the reference tables; not in the file, it is the folder `reference` beside it."""

    def with_profile(self, profile: str) -> SimulationSettings:
        """The same with another profile of faults."""
        known = sorted(self.deliveries.profiles)
        if profile not in known:
            raise ConfigurationError(
                f"there is no profile `{profile}`", where="--profile", hint=f"Known: {', '.join(known)}."
            )
        return self.model_copy(update={"deliveries": self.deliveries.model_copy(update={"profile": profile})})


def load_simulation_settings(path: Path) -> SimulationSettings:
    """Raises ConfigurationError with the path of the setting that is wrong."""
    try:
        sections = YAML(typ="safe", pure=True).load(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeError, YAMLError) as error:
        raise ConfigurationError("cannot be read as YAML.", where=str(path), hint=str(error)) from error
    if not isinstance(sections, dict):
        raise ConfigurationError("has no sections `population` and `deliveries`.", where=str(path))
    try:
        return SimulationSettings(**sections, reference=path.parent / "reference")
    except (ValidationError, TypeError) as error:
        raise ConfigurationError(
            "holds a setting that is not valid.", where=str(path), hint=str(error)
        ) from error
