"""Why two records are thought to be one person or two: the evidence of the model that runs use, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from matching.explain import Explainer
from matching.model import Words
from matching.standardise.features import features
from matching.standardise.units import default_units
from matching.words import load_wording
from mdm.registries.attributes import load_attributes
from mdm.store.comparing import former_numbers, standing_model, standing_records

if TYPE_CHECKING:
    from collections.abc import Mapping

    from sqlalchemy import Connection

    from matching.explain import Explanation
    from mdm.settings import Settings
    from mdm.store.comparing import StandingRecord

PERSON: Literal["person"] = "person"


class PairExplainer:
    """Of one installation and the model that its store has now; serves any number of pairs."""

    def __init__(self, settings: Settings, connection: Connection) -> None:
        """Raises StoreError where the store has no model."""
        self._attributes = load_attributes(settings.attributes_file).of(PERSON)
        labels = {name: Words(vi=found.vi, en=found.en) for name, found in self._attributes.items()}
        trained = standing_model(connection, PERSON)
        self.model = trained.hash
        self._columns = trained.declaration.feature_columns
        self._explainer = Explainer(trained, load_wording(settings.person_model_file, labels=labels))
        self._units = default_units()

    def explain(self, connection: Connection, left: int, right: int) -> Explanation:
        """Of two records by number. Raises IdentityError where one is not a person's, or was withdrawn."""
        one, other = standing_records(connection, (left, right))
        return self._explainer.explain(
            self._features(connection, one),
            self._features(connection, other),
            shown=(self._shown(one), self._shown(other)),
        )

    def _features(self, connection: Connection, record: StandingRecord) -> dict[str, Any]:
        """As `Workspace.make_features` makes them for a run."""
        attributes = dict(record.attributes)
        if "former_personal_id" in self._attributes and (number := attributes.get("personal_id")):
            told = former_numbers(connection, number)
            attributes["former_personal_id"] = [*(attributes.get("former_personal_id") or ()), *told]
        made = features(PERSON, attributes, declaration=self._attributes, units=self._units)
        return {**dict.fromkeys(self._columns), **made}

    def _shown(self, record: StandingRecord) -> Mapping[str, Any]:
        """Values as recorded, units by name."""
        return {
            name: self._unit(value)
            if name in self._attributes and self._attributes[name].type == "unit"
            else value
            for name, value in record.attributes.items()
        }

    def _unit(self, code: str) -> str:
        found = self._units.by_code.get(code)
        return code if found is None else found.name
