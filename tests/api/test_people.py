"""Persons, households, crosswalk."""


def test_smoke(shared_hamlet):
    answer = shared_hamlet.get("/v1/xref?registry=tax&local_id=an")
    print(answer.status_code, answer.json(), answer.headers)
    for path in ["", "/history", "/members", "/lineage", "/prov"]:
        found = shared_hamlet.get(f"/v1/persons/{answer.json()['matches'][0]['id']}{path}")
        print(path, found.status_code, found.text[:1500])
    print(shared_hamlet.get("/readyz", by=None).text)
    print(shared_hamlet.get("/metrics", by="admin").text[:300])
    print(shared_hamlet.get("/v1/reviews").text)
    print(shared_hamlet.get("/v1/nothing").text)
    print(shared_hamlet.get("/docs").text)
    print(shared_hamlet.get("/docs/swagger-ui.css").status_code)
    assert 0
