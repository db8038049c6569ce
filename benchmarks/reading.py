"""Speed and memory of reading and mapping a plain CSV: python -m benchmarks.reading --rows 1000000."""

from __future__ import annotations

import argparse
import cProfile
import pstats
import resource
import tempfile
import time
from contextlib import nullcontext
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv as arrow_csv

from matching.standardise.units import Units
from mdm.registries.attributes import load_attributes
from mdm.registries.declaration import RegistryDeclaration, parse_registry
from mdm.registries.delivery import delivery_file, file_rows, read_delivery

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
GIVEN = ["An", "Bình", "Cường", "Dũng", "Hà", "Hương", "Lan", "Mai", "Nam", "Phúc", "Quỳnh", "Sơn", "Trang", "Vy"]
COMMUNES = [("Phúc Xá", "Ba Đình", "Hà Nội"), ("Bến Nghé", "Quận 1", "Hồ Chí Minh"), ("Hòa Thuận Tây", "Hải Châu", "Đà Nẵng")]


def make_rows(rows: int, seed: int) -> pa.Table:
    draw = np.random.default_rng(seed)

    def digits(width: int, lead: str = "") -> list[str]:
        return [lead + str(n).zfill(width) for n in draw.integers(0, 10**width, rows)]

    names = zip(draw.choice(SURNAMES, rows), draw.choice(MIDDLE, rows), draw.choice(GIVEN, rows), strict=True)
    places = [COMMUNES[n] for n in draw.integers(0, len(COMMUNES), rows)]
    days = draw.integers(0, 25_000, rows).astype("datetime64[D]").astype("datetime64[D]").astype(str)
    written = ["/".join(reversed(day.split("-"))) for day in days]
    return pa.table(
        {
            "MaHoSo": [f"HS{n:09d}" for n in range(rows)],
            "HoTen": [" ".join(name) for name in names],
            "NgaySinh": written,
            "GioiTinh": [str(n) for n in draw.integers(1, 3, rows)],
            "SoDinhDanh": digits(9, "001"),
            "MaBHXH": digits(8, "01"),
            "SoThe": digits(10, "GD401"),
            "DienThoai": digits(8, "09"),
            "SoNha": [f"{n} Lê Lợi" for n in draw.integers(1, 500, rows)],
            "Xa": [place[0] for place in places],
            "Huyen": [place[1] for place in places],
            "Tinh": [place[2] for place in places],
            "NgayLap": ["01/03/2024"] * rows,
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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--profile", action="store_true")
    arguments = parser.parse_args()
    configs = Path(__file__).parent.parent / "configs"
    declaration = parse_registry(
        DECLARATION, name="benchmark.yaml", attributes=load_attributes(configs / "attributes.yaml")
    )
    units = Units.load()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "people.csv"
        arrow_csv.write_csv(make_rows(arguments.rows, arguments.seed), path)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        for name, job in (
            ("read", lambda: read_only(declaration, path)),
            ("read, map, standardise", lambda: land(declaration, path, units)),
        ):
            profile = cProfile.Profile() if arguments.profile else None
            start = time.perf_counter()
            with profile or nullcontext():
                rows = job()
            seconds = time.perf_counter() - start
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            print(
                f"{name}: {rows:,} rows in {seconds:.2f} s, {rows / seconds:,.0f} rows/s, "
                f"peak memory {peak / 1024:,.0f} MB (before reading {before / 1024:,.0f} MB)"
            )
            if profile is not None:
                pstats.Stats(profile).sort_stats("cumulative").print_stats(35)


if __name__ == "__main__":
    main()
