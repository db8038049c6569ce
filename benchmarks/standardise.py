"""Speed of the standardisers: parsing and features of typical person rows on one core.

python -m benchmarks.standardise --rows 200000
"""

from __future__ import annotations

import argparse
import random
import time
from contextlib import contextmanager
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from matching.standardise.addresses import resolve_columns
from matching.standardise.columns import parse_column, parse_many_column
from matching.standardise.features import feature_columns
from matching.standardise.units import LEGACY, Units, default_units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

SURNAMES = [
    "Nguyễn",
    "Nguyễn",
    "Nguyễn",
    "Trần",
    "Lê",
    "Phạm",
    "Hoàng",
    "Huỳnh",
    "Phan",
    "Vũ",
    "Võ",
    "Đặng",
    "Bùi",
    "Đỗ",
    "Hồ",
    "Ngô",
    "Dương",
    "Lý",
]
MIDDLE = [
    "Văn",
    "Thị",
    "Thị",
    "Hữu",
    "Đức",
    "Minh",
    "Ngọc",
    "Thanh",
    "Thu",
    "Quốc",
    "Xuân",
    "Hồng",
    "Kim",
    "Anh",
    "Bảo",
    "Gia",
    "Thùy",
    "Hoàng",
    "Mỹ",
    "Công",
    "Đình",
]
GIVEN = [
    "An",
    "Anh",
    "Bình",
    "Chi",
    "Cường",
    "Dung",
    "Dũng",
    "Giang",
    "Hà",
    "Hải",
    "Hằng",
    "Hạnh",
    "Hiền",
    "Hiếu",
    "Hòa",
    "Hoa",
    "Hùng",
    "Hương",
    "Huy",
    "Khánh",
    "Lan",
    "Linh",
    "Long",
    "Mai",
    "Minh",
    "Nam",
    "Nga",
    "Ngân",
    "Ngọc",
    "Nhung",
    "Oanh",
    "Phong",
    "Phúc",
    "Phương",
    "Quân",
    "Quang",
    "Sơn",
    "Tâm",
    "Thảo",
    "Thắng",
    "Thúy",
    "Thủy",
    "Tiến",
    "Trang",
    "Trung",
    "Tú",
    "Tuấn",
    "Tùng",
    "Vân",
    "Vy",
    "Yến",
]
TYPES = {
    "full_name": "name", "birth_date": "date", "sex": "sex", "personal_id": "personal_id",
    "social_insurance_no": "social_insurance_no", "health_card_no": "health_card_no", "phone": "phone",
    "address_street": "text", "address_unit": "unit",
}  # fmt: skip
DECLARATION = {name: SimpleNamespace(type=type_, many=name == "phone") for name, type_ in TYPES.items()}


def rows(count: int, *, seed: int, units: Units) -> Iterator[dict[str, str]]:
    """Raw rows with the usual untidiness: capitals, lost marks and zeros, several forms of dates, phones and addresses."""
    draw = random.Random(seed)  # not for secrets
    communes = [
        unit for unit in units.by_code.values() if unit.level == "commune" and unit.code.startswith(LEGACY)
    ]
    for _ in range(count):
        name = " ".join(
            [draw.choice(SURNAMES), *draw.choices(MIDDLE, k=draw.choice((1, 1, 2))), draw.choice(GIVEN)]
        )
        year, month, day = draw.randint(1930, 2020), draw.randint(1, 12), draw.randint(1, 28)
        sex = draw.randint(0, 1)
        serial = draw.randint(0, 999_999)
        insurance = f"{draw.randint(1, 96):02d}{draw.randint(0, 99_999_999):08d}"
        pid = f"{draw.choice(('001', '038', '079', '048'))}{sex + 2 * (year >= 2000)}{year % 100:02d}{serial:06d}"
        unit = draw.choice(communes)
        commune = draw.choice((unit.name, unit.name, unit.name.upper(), unit.name.replace("Xã ", "")))
        yield {
            "full_name": draw.choice((name, name, name.upper(), name.lower())),
            "birth_date": draw.choice(
                (
                    f"{day:02d}/{month:02d}/{year}",
                    f"{day}/{month}/{year}",
                    f"{year}-{month:02d}-{day:02d}",
                    str(year),
                )
            ),
            "sex": ("Nam", "Nữ")[sex],
            "personal_id": pid if draw.random() < 0.95 else pid.lstrip("0"),
            "social_insurance_no": insurance,
            "health_card_no": f"GD4{insurance[:2]}{insurance}",
            "phone": draw.choice(("09", "09", "+849", "016"))[:5]
            + f"{draw.randint(20_000_000, 99_999_999):08d}",
            "street": f"Số {draw.randint(1, 300)} thôn {draw.randint(1, 12)}",
            "commune": commune if draw.random() < 0.97 else commune[:-1],
            "district": units.by_code[unit.parent].name,
            "province": units.by_code[unit.province].name,
        }


def standardise(table: pa.Table, *, units: Units, timed: Callable[[str], Any]) -> pa.Table:
    columns: dict[str, pa.Array] = {}
    for name, type_ in TYPES.items():
        if name not in table.column_names:
            continue
        with timed(name):
            parse = parse_many_column if DECLARATION[name].many else parse_column
            columns[name] = parse(type_, table.column(name)).values
    with timed("address"):
        places = resolve_columns(table.select(["street", "commune", "district", "province"]), units=units)
        columns |= {"address_street": places.column("street"), "address_unit": places.column("unit")}
    with timed("features"):
        return feature_columns("person", pa.table(columns), declaration=DECLARATION, units=units)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--rows", type=int, default=200_000)
    arguments.add_argument("--seed", type=int, default=1)
    given = arguments.parse_args()
    units = default_units()
    table = pa.Table.from_pylist(list(rows(given.rows, seed=given.seed, units=units)))
    spent: dict[str, float] = {}

    @contextmanager
    def timed(part: str) -> Iterator[None]:
        start = time.process_time()
        yield
        spent[part] = time.process_time() - start

    result = standardise(table, units=units, timed=timed)
    for part, seconds in spent.items():
        print(f"{part:<22}{seconds:8.2f} s{given.rows / seconds:14,.0f} rows/s")
    total = sum(spent.values())
    print(
        f"{'all':<22}{total:8.2f} s{given.rows / total:14,.0f} rows/s   ({result.num_columns} features of {result.num_rows:,} rows)"
    )


if __name__ == "__main__":
    main()
