"""A few hundred people with records of the kind that offices hold, as comparison features in DuckDB."""

from __future__ import annotations

import random
from pathlib import Path

import duckdb
import pyarrow as pa

from matching.model import load_model
from matching.standardise.features import feature_columns
from mdm.pipeline.housemates import HOUSEMATES
from mdm.registries.attributes import load_attributes

CONFIGS = Path(__file__).parents[3] / "configs"
MODEL = load_model(CONFIGS / "matching" / "person.yaml")
_SURNAMES = ("Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Đỗ", "Bùi", "Vũ")
_MIDDLES = ("Văn", "Thị", "Minh", "Thu", "Ngọc", "Đức", "Hồng")
_GIVENS = ("An", "Bình", "Chi", "Dũng", "Hà", "Lan", "Mai", "Nam", "Phúc", "Quân", "Sơn", "Tú", "Vy", "Yến")


def people_records(people: int, *, seed: int) -> tuple[list[dict], list[int]]:
    """Records and, beside them, the person of each."""
    draw = random.Random(seed)
    records, truth = [], []
    for person in range(people):
        name = f"{draw.choice(_SURNAMES)} {draw.choice(_MIDDLES)} {draw.choice(_GIVENS)}"
        born = f"{draw.randint(1940, 2015)}-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}"
        sex = draw.choice(["male", "female"])
        number = f"0{draw.randrange(10**11):011d}"
        for _ in range(draw.randint(1, 4)):
            records.append(
                {
                    "full_name": name if draw.random() > 0.05 else name.replace("ễ", "ê").replace("ầ", "a"),
                    "birth_date": born if draw.random() > 0.08 else born[:4],
                    "sex": sex if draw.random() > 0.01 else None,
                    "personal_id": number if draw.random() > 0.2 else None,
                    "phone": [f"09{person:08d}"] if draw.random() < 0.4 else None,
                    "mother_name": f"Lê Thị {_GIVENS[person % 14]}" if draw.random() < 0.3 else None,
                }
            )
            truth.append(person)
    return records, truth


def family_records(families: int, *, seed: int) -> list[dict]:
    """Records of parents and children who share surname, address and phone, listed by several offices, with errors: marks
    lost, days unknown or wrong, digits mistyped, a relative's number given, values missing.
    """
    draw = random.Random(seed)
    records = []
    for family in range(families):
        home = {
            "address_unit": f"L{draw.choice([103, 166, 1324, 7561]):05d}",
            "address_street": f"số {draw.randint(1, 300)} đường {draw.choice(_GIVENS)}",
            "household_ref": f"HO{family}",
        }
        surname, phone = draw.choice(_SURNAMES), f"09{family:08d}"
        mother = f"{draw.choice(_SURNAMES)} Thị {draw.choice(_GIVENS)}"
        father = f"{surname} Văn {draw.choice(_GIVENS)}"
        children = [
            f"{surname} {draw.choice(_MIDDLES)} {draw.choice(_GIVENS)}" for _ in range(draw.randint(0, 3))
        ]
        numbers = [f"0{draw.randrange(10**11):011d}" for _ in range(2 + len(children))]
        for name, number in zip((mother, father, *children), numbers, strict=True):
            born = f"{draw.randint(1950, 2015)}-{draw.randint(1, 12):02d}-{draw.randint(1, 28):02d}"
            sex = draw.choice(["male", "female"])
            for office in range(draw.randint(1, 3)):
                given = draw.choice(numbers) if draw.random() < 0.05 else number
                records.append(
                    {
                        **(home if office == 0 else {**home, "household_ref": None}),
                        "full_name": _slip(name, draw),
                        "birth_date": draw.choice(
                            [born, born, born, born, born[:4], f"{born[:4]}-01-01", "1990-05-0" + born[-1]]
                        ),
                        "sex": sex if draw.random() > 0.05 else None,
                        "personal_id": _slip(given, draw) if draw.random() > 0.2 else None,
                        "cmnd": [number[:9]] if draw.random() < 0.3 else None,
                        "phone": [phone] if draw.random() < 0.5 else None,
                        "mother_name": mother if name in children and draw.random() < 0.5 else None,
                        "father_name": father if name in children and draw.random() < 0.5 else None,
                    }
                )
    return records


def _slip(text: str, draw: random.Random) -> str:
    kind = draw.random()
    place = draw.randrange(len(text) - 1)
    if kind < 0.05:
        return text[:place] + text[place + 1] + text[place] + text[place + 2 :]
    if kind < 0.1:
        return text.translate(str.maketrans("ễầêạăđĐ", "eaeaadD"))
    return text


def feature_table(records: list[dict]) -> pa.Table:
    """Of records beside which nobody stands on any list."""
    attributes = load_attributes(CONFIGS / "attributes.yaml").of("person")
    features = feature_columns("person", pa.Table.from_pylist(records), declaration=attributes)
    nobody = pa.nulls(len(records), pa.list_(pa.uint64()))
    features = features.append_column(HOUSEMATES, nobody)
    return features.append_column("record_id", pa.array(range(len(records)), pa.int64()))


def person_table(records: list[dict], *, name: str = "person") -> duckdb.DuckDBPyConnection:
    """A connection with a table of the model's feature columns."""
    connection = duckdb.connect()
    connection.register("features", feature_table(records))
    columns = ", ".join(["record_id", *MODEL.feature_columns])
    connection.execute(f"CREATE TABLE {name} AS SELECT {columns} FROM features")
    return connection
