"""Keys of machines, sessions of accounts, tokens of an identity provider, and limits on all of them."""

import json
import threading
import time
from http.server import BaseHTTPRequestHandler, HTTPServer

import jwt
import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from fastapi.testclient import TestClient

from api.app import create_app
from mdm.access import accounts, authentication, keys
from mdm.errors import InputError
from mdm.store.engine import make_engine
from tests.api.hamlet import PASSWORD, Hamlet, open_hamlet
from tests.engines import SQLITE

ISSUER, AUDIENCE = "https://login.example.vn/realms/asxh", "mdm"
REGISTRIES = ["tax"]
REVIEWS = "/v1/reviews"


@pytest.fixture(scope="module")
def people_store(engine_of, tmp_path_factory):
    return open_hamlet(engine_of(SQLITE), tmp_path_factory.mktemp("signing-in"))


@pytest.fixture
def hamlet(engine_of, people_store, tmp_path):
    """On one engine; keys and accounts by command are tested on both."""
    copied = engine_of(SQLITE).copy(people_store, tmp_path)
    settings = copied.model_copy(update={"configs": people_store.configs, "threads": 1})
    with TestClient(create_app(settings)) as client:
        yield Hamlet(client, settings)


@pytest.fixture
def store(hamlet):
    engine = make_engine(hamlet.settings)
    yield engine
    engine.dispose()


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch):
    """What was shown is looked up each time."""
    monkeypatch.setattr(authentication, "REMEMBERED_SECONDS", -1.0)


def shows(hamlet, credential, path=REVIEWS):
    return hamlet.get(path, by=None, Authorization=f"Bearer {credential}")


def sign_in(hamlet, name="lan", password=PASSWORD):
    return hamlet.post("/v1/sessions", {"name": name, "password": password}, by=None, purpose=None)


# --- keys ------------------------------------------------------------------------------------------------------------


def test_a_key_works_until_it_is_revoked(hamlet: Hamlet, store):
    made = keys.add(store, "machine", ["steward"], registries=REGISTRIES, by="test")
    assert shows(hamlet, made).status_code == 200
    (kept,) = [key for key in keys.listed(store) if key.name == "machine"]
    assert kept.prefix in made
    secret = made.split("_", 2)[2]
    with store.connect() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM api_key").all()
    assert secret not in str(rows)
    keys.revoke(store, "machine", by="test")
    assert shows(hamlet, made).status_code == 401
    with pytest.raises(InputError):
        keys.revoke(store, "machine", by="test")
    with pytest.raises(InputError, match="is or was a key"):
        keys.add(store, "machine", ["steward"], registries=REGISTRIES, by="test")


def test_a_key_ends(hamlet: Hamlet, store, monkeypatch):
    made = keys.add(store, "short", ["steward"], registries=REGISTRIES, by="test", days=1)
    assert shows(hamlet, made).status_code == 200
    monkeypatch.setattr(keys, "utc_now", lambda: "2999-01-01T00:00:00.000000+00:00")
    assert shows(hamlet, made).status_code == 401


def test_a_key_with_another_secret_is_none(hamlet: Hamlet, store):
    made = keys.add(store, "machine", ["steward"], registries=REGISTRIES, by="test")
    other = made[:-1] + ("A" if made[-1] != "A" else "B")
    assert shows(hamlet, other).status_code == 401


@pytest.mark.parametrize(
    ("name", "roles"),
    [("Ä", ["steward"]), ("x", []), ("x", ["root"]), ("x", ["registry:nowhere"]), ("x", ["registry"])],
)
def test_a_key_that_makes_no_sense_is_not_made(store, name, roles):
    with pytest.raises(InputError):
        keys.add(store, name, roles, registries=REGISTRIES, by="test")


# --- accounts --------------------------------------------------------------------------------------------------------


def test_a_person_signs_in(hamlet: Hamlet):
    answer = sign_in(hamlet)
    assert answer.status_code == 200
    session = answer.json()
    assert (session["token_type"], session["expires_in"]) == ("Bearer", 900)
    assert shows(hamlet, session["access_token"]).status_code == 200
    found = hamlet.get(
        "/v1/xref?registry=tax&local_id=an", by=None, Authorization=f"Bearer {session['access_token']}"
    )
    entity = found.json()["matches"][0]["id"]
    seen = hamlet.get(f"/v1/audit/access?subject={entity}", by="auditor", purpose="audit").json()
    assert seen["accesses"][0]["actor"] == "lan"


def test_a_wrong_password_and_a_wrong_name_are_refused_alike(hamlet: Hamlet):
    one, other = sign_in(hamlet, password="not this one at all"), sign_in(hamlet, name="nobody")
    assert one.status_code == other.status_code == 401
    assert {**one.json(), "request_id": ""} == {**other.json(), "request_id": ""}


def test_a_session_ends_with_any_change_of_the_account(hamlet: Hamlet, store):
    for change in (
        lambda: accounts.set_password(store, "lan", "another long password", by="test"),
        lambda: accounts.set_state(store, "lan", accounts.DISABLED, by="test"),
    ):
        hamlet.forget_limits()
        password = PASSWORD if accounts.signed_in(store, "lan", PASSWORD) else "another long password"
        token = sign_in(hamlet, password=password).json()["access_token"]
        assert shows(hamlet, token).status_code == 200
        change()
        assert shows(hamlet, token).status_code == 401
    assert sign_in(hamlet, password="another long password").status_code == 401
    accounts.set_state(store, "lan", accounts.ACTIVE, by="test")
    assert sign_in(hamlet, password="another long password").status_code == 200


def test_a_session_expires_and_is_not_forged(hamlet: Hamlet):
    token = sign_in(hamlet).json()["access_token"]
    claims = jwt.decode(token, options={"verify_signature": False})
    secret = hamlet.settings.session_key.read_text().strip()
    assert shows(hamlet, jwt.encode(claims, secret, algorithm="HS256")).status_code == 200
    for wrong in (
        jwt.encode({**claims, "exp": int(time.time()) - 1}, secret, algorithm="HS256"),
        jwt.encode({**claims, "sub": "nobody"}, secret, algorithm="HS256"),
        jwt.encode({**claims, "version": 7}, secret, algorithm="HS256"),
        jwt.encode({**claims, "aud": "other"}, secret, algorithm="HS256"),
        jwt.encode(claims, "0" * 64, algorithm="HS256"),
        jwt.encode(claims, secret, algorithm="HS512"),
        jwt.encode(claims, None, algorithm="none"),
        jwt.encode({n: v for n, v in claims.items() if n != "exp"}, secret, algorithm="HS256"),
    ):
        hamlet.forget_limits()
        assert shows(hamlet, wrong).status_code == 401


@pytest.mark.parametrize("password", ["short", "x" * 300, "my name is an.nguyen"])
def test_an_easy_password_is_refused(store, password):
    with pytest.raises(InputError, match="too easy"):
        accounts.add(store, "an.nguyen", password, ["steward"], registries=REGISTRIES, by="test")


def test_passwords_are_kept_as_hashes(store):
    with store.connect() as connection:
        rows = connection.exec_driver_sql("SELECT * FROM account").all()
    assert PASSWORD not in str(rows)
    assert "$argon2id$" in str(rows)


def test_attempts_are_limited(hamlet: Hamlet):
    answers = [sign_in(hamlet, password="wrong wrong wrong").status_code for _ in range(11)]
    assert answers == [401] * 10 + [429]
    late = sign_in(hamlet)
    assert (late.status_code, late.json()["code"]) == (429, "rate.exceeded")
    assert int(late.headers["Retry-After"]) >= 1
    assert shows(hamlet, "guess").status_code == 429


def test_requests_of_one_client_are_limited(hamlet: Hamlet):
    settings = hamlet.settings.model_copy(update={"api_rate_limit": "3/minute"})
    with TestClient(create_app(settings)) as client:
        limited = Hamlet(client, settings)
        assert [limited.get(REVIEWS).status_code for _ in range(4)] == [200, 200, 200, 429]
        assert limited.get(REVIEWS, by="auditor").status_code == 200


# --- identity provider -----------------------------------------------------------------------------------------------


class Provider:
    """Publishes its keys on loopback."""

    def __init__(self):
        self.rsa = rsa.generate_private_key(public_exponent=65537, key_size=2048)
        self.ec = ec.generate_private_key(ec.SECP256R1())
        published = [
            {
                **json.loads(jwt.algorithms.RSAAlgorithm.to_jwk(self.rsa.public_key())),
                "kid": "r",
                "alg": "RS256",
            },
            {
                **json.loads(jwt.algorithms.ECAlgorithm.to_jwk(self.ec.public_key())),
                "kid": "e",
                "alg": "ES256",
            },
        ]
        body = json.dumps({"keys": published}).encode()

        class Keys(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(200)
                self.send_header("Content-Type", "application/json")
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_):
                pass

        self.server = HTTPServer(("127.0.0.1", 0), Keys)
        self.thread = threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01})
        self.thread.start()

    @property
    def url(self):
        return f"http://127.0.0.1:{self.server.server_port}/keys"

    def stop(self):
        self.server.shutdown()
        self.server.server_close()
        self.thread.join()

    def token(self, *, key="r", algorithm="RS256", **changed):
        claims = {
            "iss": ISSUER,
            "aud": AUDIENCE,
            "sub": "an@example.vn",
            "exp": int(time.time()) + 300,
            "realm": {"roles": ["steward", "offline_access"]},
            **changed,
        }
        claims = {name: value for name, value in claims.items() if value is not None}
        return jwt.encode(
            claims, self.rsa if key == "r" else self.ec, algorithm=algorithm, headers={"kid": key}
        )


@pytest.fixture
def provider():
    made = Provider()
    yield made
    made.stop()


@pytest.fixture
def with_provider(hamlet, provider):
    settings = hamlet.settings.model_copy(
        update={
            "oidc_issuer": ISSUER,
            "oidc_audience": AUDIENCE,
            "oidc_jwks_url": provider.url,
            "oidc_roles_claim": "realm.roles",
            "api_login_limit": "1000/minute",
        }
    )
    with TestClient(create_app(settings)) as client:
        yield Hamlet(client, settings)


def test_a_provider_says_who_somebody_is(with_provider: Hamlet, provider):
    for token in (provider.token(), provider.token(key="e", algorithm="ES256")):
        assert shows(with_provider, token).status_code == 200
    found = with_provider.get(
        "/v1/xref?registry=tax&local_id=an", by=None, Authorization=f"Bearer {provider.token()}"
    )
    entity = found.json()["matches"][0]["id"]
    seen = with_provider.get(f"/v1/audit/access?subject={entity}", by="auditor", purpose="audit").json()
    assert seen["accesses"][0]["actor"] == "oidc:an@example.vn"


def test_a_provider_says_who_may_do_what(with_provider: Hamlet, provider):
    for roles in ([], ["registry"], ["Steward"], "steward", None, [1], ["auditor-in-training"]):
        answer = shows(with_provider, provider.token(realm={"roles": roles}))
        assert (answer.status_code, answer.json()["code"]) == (403, "access.refused")
    assert shows(with_provider, provider.token(realm=["steward"])).status_code == 403


def test_a_token_that_is_not_for_us_is_refused(with_provider: Hamlet, provider):
    public = provider.rsa.public_key()
    stranger = Provider()
    stranger.stop()
    for wrong in (
        provider.token(iss="https://elsewhere.example.vn"),
        provider.token(aud="another"),
        provider.token(aud=None),
        provider.token(exp=int(time.time()) - 120),
        provider.token(exp=None),
        provider.token(sub=None),
        provider.token(nbf=int(time.time()) + 600),
        stranger.token(),
        jwt.encode(
            {"iss": ISSUER, "aud": AUDIENCE, "sub": "x", "exp": 2**33},
            None,
            algorithm="none",
            headers={"kid": "r"},
        ),
        jwt.encode(
            {"iss": ISSUER, "aud": AUDIENCE, "sub": "x", "exp": 2**33},
            str(public.public_numbers().n)[:64],
            algorithm="HS256",
            headers={"kid": "r"},
        ),
        provider.token() + "x",
    ):
        assert shows(with_provider, wrong).status_code == 401


def test_a_provider_that_is_away(hamlet: Hamlet, provider):
    settings = hamlet.settings.model_copy(
        update={"oidc_issuer": ISSUER, "oidc_audience": AUDIENCE, "oidc_jwks_url": "http://127.0.0.1:9/keys"}
    )
    with TestClient(create_app(settings)) as client:
        answer = shows(Hamlet(client, settings), provider.token())
    assert (answer.status_code, answer.json()["code"]) == (503, "unavailable")
