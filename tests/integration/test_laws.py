"""The laws of identity over the simulated country, households and all."""

from mdm.stewardship.service import Identity
from tests.laws import Laws


def test_the_laws_hold_after_a_run(finished, engine, tmp_path):
    check_laws(engine.copy(finished, tmp_path), fresh=True)


def test_the_laws_hold_after_a_later_delivery_and_stewards_at_work(lived_in, engine, tmp_path):
    check_laws(engine.copy(lived_in, tmp_path), fresh=False)


def check_laws(settings, *, fresh):
    identity = Identity(settings)
    try:
        laws = Laws(identity)
        state = laws.check(fresh=fresh)
        households = {name for name, entity in state.entities.items() if entity.kind == "household"}
        assert len(households & laws.goldens.keys()) > 100
    finally:
        identity.close()
