"""Write units.csv and unit_changes.csv beside this file, from the data of the package vietnamadminunits (see SOURCES.md).

Run once after installing that package: `python configs/reference/extract_units.py`. Only its data files are read; its
functions are never called, since the converting one asks a web service. The output is sorted, so a second run with the
same package version changes nothing.
"""

from __future__ import annotations

import csv
import json
import sqlite3
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

PACKAGE = "vietnamadminunits"
PACKAGE_VERSION = "1.0.4"
LEGACY_UNTIL = "2025-06-30"
NOW_FROM = "2025-07-01"
UNIT_COLUMNS = (
    "code",
    "level",
    "name",
    "short_name",
    "kind",
    "parent_code",
    "province_code",
    "valid_from",
    "valid_to",
)
CHANGE_COLUMNS = ("old_code", "new_code", "effective")
KINDS = ("tỉnh", "thành phố", "quận", "huyện", "thị xã", "thị trấn", "phường", "xã", "đặc khu")
TARGET = Path(__file__).parent

Unit = dict[str, str]
Keys = dict[str, str]  # the package's spelling key of a unit -> our code


def data_folder() -> Path:
    if version(PACKAGE) != PACKAGE_VERSION:
        raise SystemExit(f"{PACKAGE} {PACKAGE_VERSION} is needed; {version(PACKAGE)} is installed.")
    spec = find_spec(PACKAGE)
    if spec is None or spec.origin is None:
        raise SystemExit(f"{PACKAGE} is not installed.")
    return Path(spec.origin).parent / "data"


def unit(code: str, *, level: str, name: str, parent: str, province: str) -> Unit:
    legacy = code.startswith("L")
    kind = next(kind for kind in KINDS if name.lower().startswith(f"{kind} "))
    proper = name[len(kind) + 1 :]
    return {
        "code": code,
        "level": level,
        "name": name,
        "short_name": name if proper.isdigit() else proper,  # nobody says "1" for "Phường 1"
        "kind": kind,
        "parent_code": parent,
        "province_code": province,
        "valid_from": "" if legacy else NOW_FROM,
        "valid_to": LEGACY_UNTIL if legacy else "",
    }


def legacy_units(database: sqlite3.Connection) -> tuple[dict[str, Unit], Keys, Keys]:
    units: dict[str, Unit] = {}
    province_keys: Keys = {}
    commune_keys: Keys = {}
    rows = database.execute(
        "SELECT province, provinceCode, provinceKey, district, districtCode, districtKey, ward, wardCode, wardKey"
        " FROM admin_units_legacy"
    )
    for (
        province,
        province_code,
        province_key,
        district,
        district_code,
        district_key,
        ward,
        ward_code,
        ward_key,
    ) in rows:
        province_id, district_id = f"L{province_code}", f"L{district_code}"
        # Five island districts never had communes. Addresses need a lowest level there, so the district stands in
        # under a number of our own (90 + district code) that no official commune code reaches.
        commune_id = f"L{ward_code}" if ward_code else f"L90{district_code}"
        if commune_id in units:
            raise SystemExit(f"Commune code {commune_id} occurs twice in the package's legacy table.")
        units[province_id] = unit(
            province_id, level="province", name=province, parent="", province=province_id
        )
        units[district_id] = unit(
            district_id, level="district", name=district, parent=province_id, province=province_id
        )
        units[commune_id] = unit(
            commune_id, level="commune", name=ward or district, parent=district_id, province=province_id
        )
        province_keys[province_key] = province_id
        commune_keys[f"{province_key}_{district_key}_{ward_key or ''}"] = commune_id
    return units, province_keys, commune_keys


def units_now(database: sqlite3.Connection) -> tuple[dict[str, Unit], Keys, Keys]:
    units: dict[str, Unit] = {}
    province_keys: Keys = {}
    commune_keys: Keys = {}
    rows = database.execute(
        "SELECT province, provinceCode, provinceKey, ward, wardCode, wardKey FROM admin_units"
    )
    for province, province_code, province_key, ward, ward_code, ward_key in rows:
        province_id, commune_id = f"N{province_code}", f"N{ward_code}"
        if f"{province_key}_{ward_key}" in commune_keys:
            raise SystemExit(f"Commune {commune_id} shares its name with another of its province.")
        units[province_id] = unit(
            province_id, level="province", name=province, parent="", province=province_id
        )
        units[commune_id] = unit(
            commune_id, level="commune", name=ward, parent=province_id, province=province_id
        )
        province_keys[province_key] = province_id
        commune_keys[f"{province_key}_{ward_key}"] = commune_id
    return units, province_keys, commune_keys


def changes(
    converter: dict[str, Any], old: tuple[Keys, Keys], new: tuple[Keys, Keys]
) -> Iterator[tuple[str, str]]:
    old_provinces, old_communes = old
    new_provinces, new_communes = new
    for new_key, old_keys in converter["DICT_PROVINCE"].items():
        for old_key in old_keys:
            yield old_provinces[old_key], new_provinces[new_key]
    for province_key, whole in converter["DICT_PROVINCE_WARD_NO_DIVIDED"].items():
        for new_key, old_keys in whole.items():
            for old_key in old_keys:
                yield old_communes[old_key], new_communes[f"{province_key}_{new_key}"]
    for province_key, divided in converter["DICT_PROVINCE_WARD_DIVIDED"].items():
        for old_key, parts in divided.items():
            for part in parts:
                yield old_communes[old_key], new_communes[f"{province_key}_{part['newWardKey']}"]


def write(path: Path, columns: tuple[str, ...], rows: Iterable[Iterable[str]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows(rows)


def main() -> None:
    folder = data_folder()
    database = sqlite3.connect(folder / "dataset.db")
    old_units, *old_keys = legacy_units(database)
    new_units, *new_keys = units_now(database)
    converter = json.loads((folder / "converter_2025.json").read_text(encoding="utf-8"))
    units = old_units | new_units
    pairs = sorted(set(changes(converter, (old_keys[0], old_keys[1]), (new_keys[0], new_keys[1]))))
    level = {"province": 0, "district": 1, "commune": 2}
    ordered = sorted(units.values(), key=lambda u: (u["code"][0], level[u["level"]], u["code"]))
    write(TARGET / "units.csv", UNIT_COLUMNS, ([u[column] for column in UNIT_COLUMNS] for u in ordered))
    write(TARGET / "unit_changes.csv", CHANGE_COLUMNS, ((a, b, NOW_FROM) for a, b in pairs))
    print(f"{len(units)} units, {len(pairs)} changes")


if __name__ == "__main__":
    main()
