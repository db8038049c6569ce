"""Why two records are thought to be one person or two: the evidence of the model that runs use, in words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

from matching.explain import Explainer
from matching.model import Words
from matching.standardise.features import features
from matching.standardise.units import default_units
from matching.words import load_wording
from mdm.pipeline.housemates import HOUSEMATES, LARGEST, housemates_among
from mdm.registries.attributes import load_attributes
from mdm.store.comparing import former_numbers, standing_beside, standing_model, standing_records

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

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
            self.features(connection, one),
            self.features(connection, other),
            shown=(self._shown(one), self._shown(other)),
        )

    def features(self, connection: Connection, record: StandingRecord) -> dict[str, Any]:
        """As `Workspace.make_features` makes them for a run."""
        (own,) = self._own_features(connection, [record]).values()
        found = {**dict.fromkeys(self._columns), **own}
        if HOUSEMATES in self._columns:
            found[HOUSEMATES] = self._housemates(connection, record.ref.record, own)
        return found

    def _housemates(self, connection: Connection, record: int, own: Mapping[str, Any]) -> list[int] | None:
        listed = standing_beside(connection, record, most=LARGEST + 1)
        if not listed:
            return None
        return housemates_among({**self._own_features(connection, listed), record: own}, record)

    def _own_features(
        self, connection: Connection, records: Sequence[StandingRecord]
    ) -> dict[int, dict[str, Any]]:
        """By record number, of what its own row and the offices' lists of re-established numbers say."""
        attributes = {record.ref.record: dict(record.attributes) for record in records}
        if "former_personal_id" in self._attributes:
            numbers = {said["personal_id"] for said in attributes.values() if said.get("personal_id")}
            former = former_numbers(connection, numbers) if numbers else {}
            for said in attributes.values():
                told = former.get(said.get("personal_id", ""), ())
                said["former_personal_id"] = [*(said.get("former_personal_id") or ()), *told]
        return {
            number: features(PERSON, said, declaration=self._attributes, units=self._units)
            for number, said in attributes.items()
        }

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
