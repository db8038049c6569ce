"""The log key is made once, is readable by its owner only, and belongs to one store."""

import stat

import pyarrow as pa
import pytest
from cryptography.hazmat.primitives.asymmetric.ec import SECP256R1, generate_private_key
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from mdm.errors import ConfigurationError
from mdm.identity.checkpoint import public_key
from mdm.identity.verifier import PublicKey
from mdm.store.engine import bulk
from mdm.store.keys import log_key, log_public_key, make_log_key
from mdm.store.schema import create
from mdm.store.tables import metadata
from tests.unit.store.log_store import empty_log


@pytest.fixture
def settings(engine, tmp_path):
    return empty_log(engine, tmp_path)


def public(settings):
    with bulk(settings) as store:
        return log_public_key(settings, store)


def test_it_lies_beside_the_store_for_its_owner_only(engine, settings, tmp_path):
    names = {"sqlite": "mdm.db.log-key", "postgresql": "mdm.work/mdm.log-key"}
    assert settings.log_key_file == tmp_path / names[engine.name]
    assert stat.S_IMODE(settings.log_key_file.stat().st_mode) == 0o600


def test_it_lies_where_the_settings_say(engine, tmp_path):
    elsewhere = {"log_signing_key_file": tmp_path / "keys" / "log.pem"}
    settings = engine.settings(tmp_path).model_copy(update=elsewhere)
    create(settings)
    assert make_log_key(settings) is True
    assert (tmp_path / "keys" / "log.pem").is_file()


def test_it_is_not_in_the_store(settings):
    secret = settings.log_key_file.read_text(encoding="ascii").splitlines()[1]
    with bulk(settings) as store:
        for table in metadata.tables.values():
            names = [f'CAST("{column.name}" AS TEXT)' for column in table.columns]
            rows = store.read(
                f"SELECT {', '.join(names)} FROM {table.name}", pa.schema([(n, pa.string()) for n in names])
            )
            assert secret not in str(rows.to_pylist())


def test_making_it_twice_changes_nothing(settings):
    before = settings.log_key_file.read_bytes()
    assert make_log_key(settings) is False
    assert settings.log_key_file.read_bytes() == before


def test_a_lost_key_is_not_replaced_by_another(settings):
    before = public(settings)
    settings.log_key_file.unlink()
    assert make_log_key(settings) is False
    assert not settings.log_key_file.exists()
    assert public(settings) == before


def test_the_public_key_names_the_store(settings):
    with bulk(settings) as store:
        store_id = store.scalar("SELECT value FROM meta WHERE name = 'store_id'")
        key = log_key(settings, store)
    parsed = PublicKey.parse(public(settings))
    assert parsed.name == f"mdm-log/{store_id}"
    assert parsed == public_key(key, parsed.name)


def test_the_key_of_another_store_is_refused(engine, settings, tmp_path):
    (tmp_path / "other").mkdir()
    other = empty_log(engine, tmp_path / "other")
    settings.log_key_file.write_bytes(other.log_key_file.read_bytes())
    with pytest.raises(ConfigurationError, match="not the one"):
        public(settings)


def test_a_file_that_is_no_such_key_is_refused(settings):
    elliptic = generate_private_key(SECP256R1()).private_bytes(
        Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()
    )
    for content in (b"", b"00" * 32, elliptic):
        settings.log_key_file.write_bytes(content)
        with pytest.raises(ConfigurationError, match="Ed25519"):
            public(settings)
    settings.log_key_file.unlink()
    settings.log_key_file.mkdir()
    with pytest.raises(ConfigurationError, match="cannot be read"):
        public(settings)


def test_a_store_made_before_there_were_log_keys_asks_for_one(engine, tmp_path):
    settings = engine.settings(tmp_path)
    create(settings)
    with pytest.raises(ConfigurationError, match="mdm init"):
        public(settings)
    assert make_log_key(settings) is True
    assert public(settings)
