from __future__ import annotations

from pathlib import Path

import pytest

from matching.standardise.units import Units
from mdm.registries.attributes import Attributes, load_attributes
from tests.unit.registries.scenario import Delivery

CONFIGS = Path(__file__).parents[3] / "configs"


@pytest.fixture(scope="session")
def attributes() -> Attributes:
    return load_attributes(CONFIGS / "attributes.yaml")


@pytest.fixture(scope="session")
def units() -> Units:
    return Units.load(CONFIGS / "reference")


@pytest.fixture
def delivery(tmp_path: Path, attributes: Attributes, units: Units) -> Delivery:
    return Delivery(folder=tmp_path, attributes=attributes, units=units)
