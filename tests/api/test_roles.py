"""Every route against every role: what is allowed, and what is refused. A route that is not in the table fails."""

import pytest
from fastapi.routing import iter_route_contexts

from api.app import create_app
from mdm.settings import Settings
from tests.api.hamlet import Hamlet

PERSON = "01936d2e-7c1a-7b60-9f3e-2f6f0a4d5c11"
OTHER = "01936d2e-7c1a-7b60-9f3e-2f6f0a4d5c12"
CALLERS = ("steward", "approver", "auditor", "admin", "tax")
STAFF = {"steward", "approver", "auditor"}
READERS = {*STAFF, "tax"}
STEWARD, APPROVER = {"steward"}, {"approver"}
OPERATOR = {"auditor", "admin"}
OWNERS = {"admin", "tax"}
SUBSCRIPTION = "/v1/subscriptions/sub_0123456789abcdef"
RECORD = {"registry": "tax", "local_id": "an"}
WHY = {"reason": "seen the papers"}
PAIR = {"left": RECORD, "right": {"registry": "tax", "local_id": "binh"}, **WHY}

OPEN = {"healthz", "readyz", "openapi", "docs", "sign_in"}
"""Routes for anybody. `sign_in` is how one becomes somebody."""
READS = {
    f"{kind}_{part or 'read'}": ("GET", f"/v1/{path}/{PERSON}{'/' if part else ''}{part}", None, who)
    for kind, path in (("person", "persons"), ("household", "households"))
    for part, who in (
        ("", READERS),
        ("history", STAFF),
        ("members", STAFF),
        ("lineage", STAFF),
        ("prov", STAFF),
    )
}
ROUTES = {
    **READS,
    "xref": ("GET", "/v1/xref?registry=tax&local_id=nobody", None, READERS),
    "xref_batch": ("POST", "/v1/xref:batch", {"names": [{"id": PERSON}]}, READERS),
    "match": ("POST", "/v1/match", {"attributes": {"full_name": "Phan Nam"}}, READERS),
    "record_put": (
        "PUT",
        "/v1/registries/tax/records/new",
        {"attributes": {"full_name": "Phan Nam"}},
        {"tax"},
    ),
    "record_withdraw": ("DELETE", "/v1/registries/tax/records/nobody", None, {"tax"}),
    "records_batch": ("POST", "/v1/registries/tax/records:batch", None, {"tax"}),
    "merge": ("POST", "/v1/merges", {"left": PERSON, "right": OTHER, **WHY}, STEWARD),
    "unmerge": ("POST", "/v1/merges/1/unmerge", WHY, STEWARD),
    "split": ("POST", "/v1/splits", {"id": PERSON, "records": [RECORD], **WHY}, STEWARD),
    "link": ("POST", "/v1/links", PAIR, STEWARD),
    "link_revoke": ("POST", "/v1/links:revoke", PAIR, STEWARD),
    "cannot_link": ("POST", "/v1/cannot-links", PAIR, STEWARD),
    "reviews": ("GET", "/v1/reviews", None, STAFF),
    "review": ("GET", "/v1/reviews/99", None, STAFF),
    "review_claim": ("POST", "/v1/reviews/99/claim", None, STEWARD),
    "review_release": ("POST", "/v1/reviews/99/release", None, STEWARD),
    "review_decide": ("POST", "/v1/reviews/99/decision", {"verdict": "dismissed", **WHY}, STEWARD),
    "approvals": ("GET", "/v1/approvals", None, STAFF),
    "approve": ("POST", "/v1/approvals/99/approve", None, APPROVER),
    "refuse": ("POST", "/v1/approvals/99/refuse", WHY, APPROVER),
    "ssn_issue": ("POST", f"/v1/persons/{PERSON}/ssn:issue", WHY, STEWARD),
    "ssn_change": (
        "POST",
        f"/v1/persons/{PERSON}/ssn:change",
        {"state": "suspended", "reason_code": "investigation", **WHY},
        STEWARD,
    ),
    "ssn_cancel": (
        "POST",
        f"/v1/persons/{PERSON}/ssn:cancel",
        {"reason_code": "issued_in_error", **WHY},
        STEWARD,
    ),
    "numbers_reserve": ("POST", "/v1/numbers:reserve", {"count": 1, **WHY}, STEWARD),
    "events": ("GET", "/v1/events?limit=1", None, READERS),
    "subscriptions": ("GET", "/v1/subscriptions", None, OWNERS),
    "subscription_create": ("POST", "/v1/subscriptions", {"url": "https://a.example/hook"}, OWNERS),
    "subscription": ("GET", SUBSCRIPTION, None, OWNERS),
    "subscription_delete": ("DELETE", SUBSCRIPTION, None, OWNERS),
    "subscription_rotate": ("POST", f"{SUBSCRIPTION}/rotate", {"keep_hours": 1}, OWNERS),
    "subscription_pause": ("POST", f"{SUBSCRIPTION}/pause", None, OWNERS),
    "subscription_resume": ("POST", f"{SUBSCRIPTION}/resume", None, OWNERS),
    "subscription_replay": ("POST", f"{SUBSCRIPTION}/replay", {"after": "0"}, OWNERS),
    "dead_letters": ("GET", f"{SUBSCRIPTION}/dead-letters", None, OWNERS),
    "dead_letter_retry": ("POST", f"{SUBSCRIPTION}/dead-letters/1/retry", None, OWNERS),
    "dead_letter_discard": ("DELETE", f"{SUBSCRIPTION}/dead-letters/1", None, OWNERS),
    "checkpoint": ("GET", "/v1/audit/checkpoint", None, OPERATOR),
    "checkpoint_sign": ("POST", "/v1/audit/checkpoint", None, OPERATOR),
    "proof": ("GET", "/v1/audit/proof?event=1", None, {"auditor"}),
    "accesses": ("GET", f"/v1/audit/access?subject={PERSON}", None, {"auditor"}),
    "metrics": ("GET", "/metrics", None, OPERATOR),
}
"""Name to how it is called, and who may."""
WITHOUT_PURPOSE = {"metrics"}
CELLS = [(name, caller) for name in ROUTES for caller in CALLERS]


def test_every_route_is_in_the_table():
    routes = {route.name: route for route in iter_route_contexts(create_app(Settings()).routes)}
    assets = {name for name in routes if name.startswith("docs_")}
    assert set(routes) - assets == set(ROUTES) | OPEN
    for name, (method, path, _, _) in ROUTES.items():
        assert method in routes[name].methods, name
        assert path.split("?")[0].count("/") == routes[name].path.count("/"), name


@pytest.mark.parametrize(("name", "caller"), CELLS)
def test_who_may_call_what(role_hamlet: Hamlet, name, caller):
    method, path, body, allowed = ROUTES[name]
    answer = role_hamlet.ask(method, path, body, by=caller)
    if caller in allowed:
        assert answer.status_code in {200, 201, 404, 409, 428}, answer.text
        assert answer.is_success or not answer.json()["code"].startswith("access")
    else:
        assert (answer.status_code, answer.json()["code"]) == (403, "access.refused")


@pytest.mark.parametrize("name", ROUTES)
def test_nobody_calls_it_without_a_credential(role_hamlet: Hamlet, name):
    method, path, body, _ = ROUTES[name]
    for shown in (
        None,
        "Bearer x",
        "Bearer mdm_0123456789_" + "a" * 43,
        "Basic bGFuOmxhbg==",
        "Bearer a.b.c",
    ):
        given = {} if shown is None else {"Authorization": shown}
        role_hamlet.forget_limits()
        answer = role_hamlet.ask(method, path, body, by=None, **given)
        assert (answer.status_code, answer.json()["code"]) == (401, "access.unknown")
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("name", ROUTES)
def test_everybody_says_what_for(role_hamlet: Hamlet, name):
    method, path, body, allowed = ROUTES[name]
    for purpose in (None, "", "curiosity"):
        answer = role_hamlet.ask(method, path, body, by=min(allowed), purpose=purpose)
        if name in WITHOUT_PURPOSE:
            assert answer.status_code == 200
        else:
            assert (answer.status_code, answer.json()["code"]) == (400, "access.purpose")


@pytest.mark.parametrize("name", ROUTES)
def test_unknown_parameters_and_fields_are_refused(role_hamlet: Hamlet, name):
    method, path, body, allowed = ROUTES[name]
    mark = "&" if "?" in path else "?"
    answer = role_hamlet.ask(method, f"{path}{mark}force=true", body, by=min(allowed))
    assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")
    if "?" in path:
        query = path.split("?")[1]
        answer = role_hamlet.ask(method, f"{path}&{query}", body, by=min(allowed))
        assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")
    if isinstance(body, dict):
        answer = role_hamlet.ask(method, path, {**body, "force": True}, by=min(allowed))
        assert (answer.status_code, answer.json()["code"]) == (422, "request.invalid")
        assert "body/force" in {error["at"] for error in answer.json()["errors"]}


def test_routes_for_anybody(role_hamlet: Hamlet):
    for path in ("/healthz", "/readyz", "/openapi.json", "/docs", "/docs/start.js", "/docs/swagger-ui.css"):
        assert role_hamlet.get(path, by=None, purpose=None).status_code == 200, path
