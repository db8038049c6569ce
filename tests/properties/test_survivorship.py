"""The two executors of survivorship are one: equal values and provenance, byte for byte, whatever policy and records."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime

import duckdb
import hypothesis.strategies as st
import numpy as np
import pyarrow as pa
from hypothesis import HealthCheck, Phase, given, settings

from golden_record.batch import survive_all
from golden_record.contribution import Contribution, Override, Trust
from golden_record.policy import Policy
from golden_record.provenance import Golden, golden_hash
from golden_record.rules import Setting
from golden_record.survivorship import survive

REGISTRIES = ("birth_events", "population", "tax", "Đất đai")
TEXTS = ("full_name", "sex", "birth_date", "personal_id", "size", "unlisted")
LISTS = ("phone", "other_name")
MEMBERS = ("unit", "street", "province")
ISSUES = ("date.day_missing", "personal_id.structure", "")
MOMENTS = tuple(
    map(datetime.fromisoformat, ("2024-01-01T00:00:00", "2024-01-01T07:00:00.000005", "2023-05-05T00:00:00"))
)
ENTITIES = 300

single_criteria = st.sampled_from(
    [
        "trust", "most_recent", "longest", "valid", "most_frequent", "minimum", "maximum",
        {"valid": ["date.day_missing"]}, {"precedence": ["birth_events", "nobody", "tax"]}, {"decaying_trust": 1},
        {"decaying_trust": {"half_life_days": 365, "undated_days": 10}}, {"decaying_trust": 1825},
        {"most_frequent": "registries"}, {"most_complete": "words"}, {"most_complete": "date"},
        {"most_complete": "marks"}, {"minimum": "number"}, {"maximum": "number"},
    ]
)  # fmt: skip
group_criteria = st.sampled_from(
    [
        "trust",
        "most_recent",
        "valid",
        "most_frequent",
        "most_members",
        {"decaying_trust": 700},
        {"precedence": ["tax"]},
    ]
)


def named(criterion):
    if isinstance(criterion, str):
        return criterion
    ((kind, parameter),) = criterion.items()
    return f"{kind}:{parameter}" if kind == "most_complete" else kind


def order(criteria):
    return st.lists(criteria, min_size=1, max_size=5, unique_by=named)


@st.composite
def policies(draw):
    facts = {"personal_number_agrees": {"sex": "sex", "birth_date": "birth_date"}}
    numbers = draw(order(single_criteria))
    numbers.insert(draw(st.integers(0, len(numbers))), facts)
    everything = {"order": draw(order(single_criteria)), "keep": "all"}
    limit = draw(st.none() | st.integers(1, 3))
    return Policy.model_validate(
        {
            "kind": "person",
            "runners_up": draw(st.integers(0, 4)),
            "rules": {
                "one": {"order": draw(order(single_criteria))},
                "other": {"order": draw(order(single_criteria))},
                "number": {"order": numbers},
                "every": everything | ({"limit": limit} if limit else {}),
                "place": {"order": draw(order(group_criteria))},
            },
            "default": "one",
            "attributes": {
                "full_name": draw(st.sampled_from(["one", "other", "every"])),
                "size": draw(st.sampled_from(["one", "other", "number"])),
                "birth_date": "other",
                "personal_id": "number",
                "phone": "every",
                "other_name": draw(st.sampled_from(["one", "every"])),
            },
            "groups": {"home": {"rule": "place", "members": list(MEMBERS)}},
        }
    )


words = st.text(st.characters(exclude_categories=["Cs"]), min_size=0, max_size=6)
vocabularies = st.fixed_dictionaries(
    {
        "full_name": st.lists(words | st.sampled_from(["Nguyễn Văn An", "Nguyen Van An", "An", 'A"\\u001f'])),
        "birth_date": st.just(["1980", "1980-05", "1980-05-17", "1979-05-17", "2001-01-01"]),
        "sex": st.just(["male", "female", "unknown"]),
        "personal_id": st.just(
            ["001080123456", "001180123456", "001179000001", "001201000001", "12", "01a", "١٢٣"]
        ),
        "size": st.just(["1", "10", "9", "-3", "00", "1.5", " 2", "x", "9" * 18, "9" * 19]),
        "other": st.lists(words, min_size=1),
    }
)


@st.composite
def entities(draw):
    """Hypothesis chooses what can be said; a seeded generator says it for hundreds of entities."""
    said = {name: [*values, "a", "b", ""] for name, values in draw(vocabularies).items()}
    generator = np.random.default_rng(draw(st.integers(0, 2**32)))
    missing = draw(st.sampled_from([0.1, 0.5, 0.9]))
    days = draw(st.sampled_from([1, 30, 60000]))
    first = draw(st.sampled_from([0, 2**43 - 3000]))

    def one(values):
        return None if generator.random() < missing else values[generator.integers(len(values))]

    def contribution(record):
        attributes = {name: one(said.get(name, said["other"])) for name in (*TEXTS, *MEMBERS)}
        for name in LISTS:
            chosen = [one(said["other"]) for _ in range(generator.integers(4))]
            attributes[name] = (
                None if generator.random() < missing else [value for value in chosen if value is not None]
            )
        return Contribution(
            record=record,
            version=int(generator.integers(1, 2**20)),
            registry=one(REGISTRIES) or "tax",
            observed_on=date.fromordinal(738_000 - int(generator.integers(days)))
            if generator.random() < 0.9
            else None,
            attributes={name: value for name, value in attributes.items() if value is not None},
            issues={name: issue for name in (*TEXTS, *LISTS, *MEMBERS) if (issue := one(ISSUES)) is not None},
        )

    records = iter(generator.permutation(ENTITIES * 8) + first)
    sizes = generator.integers(1, 7, size=ENTITIES)
    return {
        int(entity) * 7 - 900: [contribution(int(next(records))) for _ in range(size)]
        for entity, size in enumerate(sizes)
    }


@st.composite
def stewards(draw, policy, people):
    said = []
    for _ in range(draw(st.integers(0, 12))):
        name = draw(st.sampled_from(["full_name", "sex", "phone", "home", "never_delivered"]))
        if name == "home":
            value = st.dictionaries(st.sampled_from(MEMBERS), st.sampled_from(["a", 'Đ"']), min_size=1)
        elif policy.rule_of(name).keep == "all":
            value = st.lists(st.sampled_from(["a", "b", "Ễ\n"]), min_size=1)
        else:
            value = st.sampled_from(["a", "male", 'q"\\'])
        moment = draw(st.sampled_from(MOMENTS))
        by = draw(st.sampled_from(["lan", 'h"oa']))
        override = Override(attribute=name, value=draw(st.none() | value), by=by, at=moment)
        said.append((draw(st.sampled_from([*list(people)[:6], 10**9])), override))
    return said


trusts = st.dictionaries(
    st.tuples(
        st.sampled_from(REGISTRIES), st.sampled_from(["default", "full_name", "home", "unit", "phone"])
    ),
    st.sampled_from([0.0, 0.1, 0.5, 0.5004, 0.9, 1.0]),
)


def in_duckdb(policy, *, people, trust, as_of, overrides, records_at_once):
    kinds = {name: pa.string() for name in (*TEXTS, *MEMBERS)} | {
        name: pa.list_(pa.string()) for name in LISTS
    }
    rows = [
        {
            "entity": entity,
            "record": c.record,
            "version": c.version,
            "registry": c.registry,
            "observed_on": c.observed_on,
            "issues": json.dumps(c.issues) if c.issues else None,
            **{name: c.attributes.get(name) for name in kinds},
        }
        for entity, contributions in people.items()
        for c in contributions
    ]
    fixed = {"entity": pa.int64(), "record": pa.int64(), "version": pa.int32(), "registry": pa.string()}
    fixed |= {"observed_on": pa.date32(), "issues": pa.string()}
    spoken = [
        {
            "entity": entity,
            "attribute": word.attribute,
            "value": None if word.value is None else json.dumps(word.value),
            "decided_by": word.by,
            "decided_at": word.at,
        }
        for entity, word in overrides
    ]
    spoken_kinds = {
        "entity": pa.int64(),
        "attribute": pa.string(),
        "value": pa.string(),
        "decided_by": pa.string(),
    }
    trusted = [{"registry": r, "attribute": a, "trust": value} for (r, a), value in trust.items()]
    with duckdb.connect() as connection:
        connection.register(
            "contributions", pa.Table.from_pylist(rows, pa.schema(list((fixed | kinds).items())))
        )
        connection.register(
            "trust",
            pa.Table.from_pylist(
                trusted,
                pa.schema([("registry", pa.string()), ("attribute", pa.string()), ("trust", pa.float64())]),
            ),
        )
        connection.register(
            "overrides",
            pa.Table.from_pylist(
                spoken, pa.schema([*spoken_kinds.items(), ("decided_at", pa.timestamp("us"))])
            ),
        )
        survive_all(
            connection,
            policy=policy,
            contributions="contributions",
            trust="trust",
            overrides="overrides" if overrides else None,
            as_of=as_of,
            into="golden",
            records_at_once=records_at_once,
        )
        rows = connection.execute('SELECT entity, "values", provenance, hash FROM golden').fetchall()
    return {entity: told for entity, *told in rows}


# No shrinking: an example is hundreds of entities from one seed, and the first failing entity says enough.
@settings(
    max_examples=12,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(
    data=st.data(), policy=policies(), people=entities(), trust=trusts, at_once=st.sampled_from([100, 1000])
)
def test_duckdb_and_python_give_the_same_bytes(data, policy, people, trust, at_once):
    as_of = date(2021, 8, 1)
    overrides = data.draw(stewards(policy, people))
    found = in_duckdb(
        policy, people=people, trust=trust, as_of=as_of, overrides=overrides, records_at_once=at_once
    )
    assert found.keys() == people.keys()
    setting = Setting(as_of=as_of, trust=Trust(trust))
    for entity, contributions in people.items():
        said = [word for about, word in overrides if about == entity]
        golden = survive(policy, contributions=contributions, setting=setting, overrides=said)
        values, provenance, digest = found[entity]
        assert values == golden.values_json().decode()
        assert provenance == golden.provenance_json().decode()
        assert digest == golden_hash(golden)
        assert Golden.from_json(values=values, provenance=provenance) == golden


@settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
@given(policy=policies(), people=entities(), trust=trusts, seed=st.randoms(use_true_random=False))
def test_the_order_of_contributions_does_not_matter(policy, people, trust, seed):
    setting = Setting(as_of=date(2021, 8, 1), trust=Trust(trust))
    for contributions in list(people.values())[:40]:
        golden = survive(policy, contributions=contributions, setting=setting)
        seed.shuffle(contributions)
        assert survive(policy, contributions=contributions, setting=setting) == golden


def test_overrides_compare_in_utc():
    local = Override(
        attribute="sex", value="male", by="lan", at=datetime.fromisoformat("2024-01-01T07:00:00+07:00")
    )
    assert (
        local.stamp
        == Override(attribute="sex", value="male", by="lan", at=datetime(2024, 1, 1, tzinfo=UTC)).stamp
    )
