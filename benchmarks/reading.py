"""Speed and memory of reading and mapping a plain CSV: python -m benchmarks.reading --rows 1000000."""

from __future__ import annotations

import argparse
import resource
import tempfile
import time
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any
from unittest.mock import patch

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv

from matching.standardise.units import Units
from mdm.registries import mapping
from mdm.registries.attributes import load_attributes
from mdm.registries.declaration import parse_registry
from mdm.registries.delivery import delivery_file, file_rows, read_delivery

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from mdm.registries.declaration import RegistryDeclaration

MADE_AT_ONCE = 100_000
DECLARATION = """
code: benchmark
name: {vi: Thử tốc độ, en: Benchmark}
owner: {vi: Không, en: None}
holds: people
trust: {default: 0.5}
sources:
  - name: people
    files: ["*.csv"]
    format: csv
    records:
      - kind: person
        key: [MaHoSo]
        document_date: {column: NgayLap, formats: ["%d/%m/%Y"]}
        columns:
          full_name: HoTen
          birth_date: {column: NgaySinh, formats: ["%d/%m/%Y"]}
          sex: {column: GioiTinh, values: {1: male, 2: female}}
          personal_id: SoDinhDanh
          social_insurance_no: MaBHXH
          health_card_no: SoThe
          phone: DienThoai
          address: {street: SoNha, commune: Xa, district: Huyen, province: Tinh}
        required: [full_name]
"""
SURNAMES = ["Nguyễn", "Trần", "Lê", "Phạm", "Hoàng", "Phan", "Vũ", "Đặng", "Bùi", "Đỗ"]
MIDDLE = ["Văn", "Thị", "Hữu", "Minh", "Thanh", "Ngọc", "Đức", "Quang", "Thu", "Kim"]
GIVEN = [
    "An",
    "Bình",
    "Cường",
    "Dũng",
    "Hà",
    "Hương",
    "Lan",
    "Mai",
    "Nam",
    "Phúc",
    "Quỳnh",
    "Sơn",
    "Trang",
    "Vy",
]
COMMUNES = [
    ("Phúc Xá", "Ba Đình", "Hà Nội"),
    ("Bến Nghé", "Quận 1", "Hồ Chí Minh"),
    ("Hòa Thuận Tây", "Hải Châu", "Đà Nẵng"),
]


def write_rows(path: Path, rows: int, seed: int) -> None:
    """Made and written in parts, so that the file's maker does not hide how much memory its reader takes."""
    draw = np.random.default_rng(seed)
    with arrow_csv.CSVWriter(
        path, some_rows(draw, 0, 0).schema, write_options=arrow_csv.WriteOptions(quoting_style="needed")
    ) as writer:
        for first in range(0, rows, MADE_AT_ONCE):
            writer.write_table(some_rows(draw, first, min(rows, first + MADE_AT_ONCE)))


def some_rows(draw: np.random.Generator, first: int, end: int) -> pa.Table:
    rows = end - first

    def digits(width: int, lead: str = "") -> pa.Array:
        return pa.array([lead + str(n).zfill(width) for n in draw.integers(0, 10**width, rows)], pa.string())

    def texts(values: Iterable[str]) -> pa.Array:
        return pa.array(list(values), pa.string())

    names = zip(draw.choice(SURNAMES, rows), draw.choice(MIDDLE, rows), draw.choice(GIVEN, rows), strict=True)
    places = [COMMUNES[n] for n in draw.integers(0, len(COMMUNES), rows)]
    days = draw.integers(0, 18_000, rows).astype("datetime64[D]").astype(str)
    return pa.table(
        {
            "MaHoSo": texts(f"HS{n:09d}" for n in range(first, end)),
            "HoTen": texts(" ".join(name) for name in names),
            "NgaySinh": texts("/".join(reversed(day.split("-"))) for day in days),
            "GioiTinh": texts(str(n) for n in draw.integers(1, 3, rows)),
            "SoDinhDanh": digits(8, "0010"),
            "MaBHXH": digits(8, "01"),
            "SoThe": digits(10, "GD401"),
            "DienThoai": digits(8, "09"),
            "SoNha": texts(f"{n} Lê Lợi" for n in draw.integers(1, 500, rows)),
            "Xa": texts(place[0] for place in places),
            "Huyen": texts(place[1] for place in places),
            "Tinh": texts(place[2] for place in places),
            "NgayLap": texts(["01/03/2024"] * rows),
        }
    )


def read_only(declaration: RegistryDeclaration, path: Path) -> int:
    source = declaration.sources[0]
    return sum(chunk.columns.num_rows for chunk in file_rows(delivery_file(source, path), source))


def land(declaration: RegistryDeclaration, path: Path, units: Units) -> int:
    file = delivery_file(declaration.sources[0], path)
    return sum(
        chunk.accepted_rows for chunk in read_delivery(declaration, [file], delivered_on=None, units=units)
    )


@contextmanager
def standardising() -> Iterator[list[float]]:
    """Collects the processor seconds spent in the parsers and the address resolver while the block runs."""
    spent = [0.0]

    def timed(function: Callable[..., Any]) -> Callable[..., Any]:
        def call(*arguments: Any, **options: Any) -> Any:
            start = time.process_time()
            try:
                return function(*arguments, **options)
            finally:
                spent[0] += time.process_time() - start

        return call

    with ExitStack() as stack:
        for name in ("parse_column", "parse_many_column", "resolve_columns"):
            stack.enter_context(patch.object(mapping, name, timed(getattr(mapping, name))))
        yield spent


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    configs = Path(__file__).parent.parent / "configs"
    declaration = parse_registry(
        DECLARATION, name="benchmark.yaml", attributes=load_attributes(configs / "attributes.yaml")
    )
    units = Units.load(configs / "reference")
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "people.csv"
        write_rows(path, arguments.rows, arguments.seed)
        print(
            f"file of {path.stat().st_size / 1e6:,.0f} MB; memory before reading {peak_mb():,.0f} MB at peak"
        )
        start = time.process_time()
        rows = read_only(declaration, path)
        report("read", rows, time.process_time() - start)
        with standardising() as spent:
            start = time.process_time()
            rows = land(declaration, path, units)
            seconds = time.process_time() - start
        report("read and map, without the standardisers", rows, seconds - spent[0])
        report("read, map and standardise", rows, seconds)


def report(what: str, rows: int, seconds: float) -> None:
    print(
        f"{what}: {rows:,} rows in {seconds:.2f} processor seconds, {rows / seconds:,.0f} rows/s; peak memory {peak_mb():,.0f} MB"
    )


def peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


if __name__ == "__main__":
    main()
