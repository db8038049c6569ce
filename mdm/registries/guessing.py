"""Which canonical attribute a column of an unknown file holds, from its header and from what is in it."""

from __future__ import annotations

import re
import unicodedata
from dataclasses import dataclass
from typing import TYPE_CHECKING

from matching.standardise.types import VALUE_TYPES

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from mdm.registries.attributes import Attributes, RecordKind
    from mdm.registries.sniffing import Sniffed

# Headers as offices write them, folded: no marks, no spaces, no case. The first attribute whose pattern is found wins.
PERSON_HEADERS: tuple[tuple[str, str], ...] = (
    ("mother_personal_id", r"^(sdd|sodinhdanh|cccd)(cua)?me$"),
    ("father_personal_id", r"^(sdd|sodinhdanh|cccd)(cua)?(cha|bo)$"),
    ("mother_name", r"(hoten|hovaten|ten)(cua)?me$|mothername"),
    ("father_name", r"(hoten|hovaten|ten)(cua)?(cha|bo)$|fathername"),
    ("spouse_name", r"(hoten|hovaten|ten)(vo|chong)|spousename"),
    ("other_name", r"tengoikhac|tenkhac|bidanh|alias|othername"),
    ("employer_tax_code", r"mst(donvi|congty)|masothue(donvi|congty)|employertax"),
    ("head_relation", r"quanhe|qhchuho|relation"),
    ("household_ref", r"^(ma|so)ho(giadinh|dan)?$|sohokhau|household(id|no|ref)"),
    ("former_personal_id", r"(sodinhdanh|cccd)cu$"),
    ("personal_id", r"sodinhdanh|madinhdanh|cccd|cancuoc|^sdd(cn)?$|personalid|^pid$|nationalid"),
    ("cmnd", r"cmnd|cmt|chungminh"),
    ("health_card_no", r"bhyt|thebaohiemyte|healthcard"),
    ("social_insurance_no", r"bhxh|sobaohiemxahoi|socialinsurance"),
    ("tax_code", r"masothue|^mst$|taxcode|^tin$"),
    ("passport_no", r"hochieu|passport"),
    ("birth_certificate_no", r"giaykhaisinh|sogks|birthcertificate"),
    ("student_code", r"mahocsinh|masinhvien|studentcode"),
    ("account_no", r"sotaikhoan|sotk|accountno"),
    ("file_no", r"sohoso|^mahoso$|^mahs$|fileno"),
    ("phone", r"dienthoai|^sdt$|didong|phone|mobile"),
    ("death_date", r"ngay(mat|chet|tuvong)|dateofdeath|deathdate"),
    ("birth_date", r"ngaysinh|^namsinh$|ngaythangnamsinh|^ns$|dateofbirth|birthdate|^dob$"),
    ("birth_place", r"noisinh|birthplace"),
    ("native_place", r"quequan|nguyenquan|nativeplace"),
    ("sex", r"gioitinh|^gt$|^phai$|^sex$|gender"),
    ("ethnicity", r"dantoc|ethnic"),
    ("nationality", r"quoctich|nationality"),
    ("marital_status", r"honnhan|marital"),
    (
        "full_name",
        r"^(ho(va)?(chudem(va)?)?ten|hotenkhaisinh|ten|ten(doituong|nguoi)\w*|fullname|name)$|hovaten|^hoten|^ten(nnt|ncc)|chutaikhoan",
    ),
)
HOUSEHOLD_HEADERS: tuple[tuple[str, str], ...] = (
    ("head_personal_id", r"(sodinhdanh|cccd)(cua)?chuho"),
    ("head_name", r"chuho|headname|headofhousehold"),
    ("household_size", r"sonhankhau|sothanhvien|sokhau|householdsize"),
    ("poverty_class", r"phanloai(ho|ngheo)?|hongheo|povertyclass"),
    ("household_kind", r"loaiho|householdkind"),
    ("reference_year", r"^nam(ra?soat)?$|^year$"),
    ("phone", r"dienthoai|^sdt$|phone"),
)
ADDRESS_HEADERS: tuple[tuple[str, str], ...] = (
    ("commune_code", r"^ma(phuong)?xa|communecode|madvhc"),
    ("text", r"^diachi|noio|hokhauthuongtru|thuongtru|tamtru|^address$"),
    ("street", r"sonha|^duong|^thon|^ap$|tothon|street|khupho|todanpho"),
    ("commune", r"^(xa|phuong|xaphuong\w*|phuongxa\w*|commune|ward)$"),
    ("district", r"^(huyen|quan|quanhuyen\w*|huyenquan|district)$"),
    ("province", r"^(tinh|thanhpho|tinhthanhpho|tinhthanh|province)$"),
)
NAME_PARTS = (
    r"^ho$|surname|lastname",
    r"^(dem|tendem|chudem|hodem)$|middlename",
    r"^ten$|givenname|firstname",
)
DATE_PARTS = (("day", r"^ngay(sinh)?$"), ("month", r"^thang(sinh)?$"), ("year", r"^nam(sinh)?$"))
MARKS = (("male", r"(^|gioitinh)nam$"), ("female", r"(^|gioitinh)nu$"))
SEX_CODES = ({"1": "male", "0": "female"}, {"1": "male", "2": "female"}, {"0": "male", "1": "female"})
DATE_FORMATS = ("%d/%m/%Y", "%Y%m%d", "%d%m%Y", "%m/%d/%Y", "%d/%m/%y", "%m/%Y", "%Y-%m", "%Y", "excel")
MOSTLY = 0.8


@dataclass(frozen=True, slots=True)
class Guess:
    """`columns`: canonical attribute -> its mapping as YAML text. `named_by`: the columns of the name. `unknown`: columns
    that hold nothing known.
    """

    kind: RecordKind
    key: str
    key_is_sure: bool
    columns: Mapping[str, str]
    named_by: Sequence[str]
    unknown: Sequence[str]


def guess(sniffed: Sniffed, attributes: Attributes) -> Guess:
    headers = {name: folded(name) for name in sniffed.names}
    values = {name: [row[name] for row in sniffed.rows if row.get(name)] for name in sniffed.names}
    used: set[str] = set()
    columns: dict[str, str] = {}
    named_by = _name_in_parts(headers, columns)
    used |= set(named_by)
    _composed(headers, values, columns, used)
    kind = _kind(headers, columns)
    for attribute, pattern in PERSON_HEADERS if kind == "person" else HOUSEHOLD_HEADERS:
        found = (
            name
            for name in headers
            if name not in used and values[name] and re.search(pattern, headers[name])
        )
        name = next(found, None)
        if attribute in columns or name is None:
            continue
        columns[attribute] = _mapping(name, values[name], attributes.of(kind)[attribute].type)
        used.add(name)
        if attribute in {"full_name", "head_name"}:
            named_by = [name]
    _address(headers, columns, used)
    if kind == "person":
        _by_content(headers, values, columns, used)
    key, sure = _key(headers, values, len(sniffed.rows))
    unknown = [name for name in sniffed.names if name not in used and name != key]
    if not columns:
        columns["file_no"] = quoted(key)
    return Guess(kind, key, sure, columns, named_by, unknown)


def folded(header: str) -> str:
    """`Họ và tên` -> `hovaten`; of a nested field, its own name."""
    last = header.rsplit(" / ", maxsplit=1)[-1] if not re.search(r"nam|nữ|nu", header.casefold()) else header
    own = last.rpartition(".")[2]
    plain = unicodedata.normalize("NFD", own.casefold().replace("đ", "d"))
    return "".join(letter for letter in plain if letter.isascii() and letter.isalnum())


def quoted(text: str) -> str:
    """A column name as a YAML scalar: plain where that is safe."""
    if re.fullmatch(r"[^\W\d][\w ]*\w|[^\W\d]", text) and text.lower() not in {
        "null",
        "true",
        "false",
        "yes",
        "no",
    }:
        return text
    return "'" + text.replace("'", "''") + "'"


def _name_in_parts(headers: Mapping[str, str], columns: dict[str, str]) -> list[str]:
    parts = [
        next((name for name, header in headers.items() if re.search(pattern, header)), "")
        for pattern in NAME_PARTS
    ]
    if not (parts[0] and parts[2]):
        return []
    given = [part for part in parts if part]
    columns["full_name"] = f"{{join: [{', '.join(map(quoted, given))}]}}"
    return given


def _composed(
    headers: Mapping[str, str], values: Mapping[str, Sequence[str]], columns: dict[str, str], used: set[str]
) -> None:
    """Sex as a mark in one of two columns, a date in three."""
    marks = {
        value: next((n for n, h in headers.items() if re.search(pattern, h)), "") for value, pattern in MARKS
    }
    if all(marks.values()) and all(_is_mark(values[name]) for name in marks.values()):
        columns["sex"] = (
            "{marked: {" + ", ".join(f"{value}: {quoted(name)}" for value, name in marks.items()) + "}}"
        )
        used |= set(marks.values())
    dated = {
        part: next((n for n, h in headers.items() if re.search(pattern, h) and n not in used), "")
        for part, pattern in DATE_PARTS
    }
    if all(dated.values()) and all(len(value) <= 4 for name in dated.values() for value in values[name]):
        columns["birth_date"] = (
            "{" + ", ".join(f"{part}: {quoted(name)}" for part, name in dated.items()) + "}"
        )
        used |= set(dated.values())


def _is_mark(values: Sequence[str]) -> bool:
    return bool(values) and len(set(values)) <= 2 and all(len(value) <= 2 for value in values)


def _kind(headers: Mapping[str, str], columns: Mapping[str, str]) -> RecordKind:
    person = dict(PERSON_HEADERS)
    names_people = "full_name" in columns or any(re.search(person["full_name"], h) for h in headers.values())
    heads = any(re.search(r"chuho|headname", header) for header in headers.values())
    return "household" if heads and not names_people else "person"


def _mapping(name: str, values: Sequence[str], type_name: str) -> str:
    if type_name == "sex":
        return _sex(name, values)
    if type_name == "date":
        formats = _date_formats(values)
        listed = ", ".join(f'"{found}"' for found in formats)
        return f"{{column: {quoted(name)}, formats: [{listed}]}}" if formats else quoted(name)
    if type_name == "phone":
        return f'{{column: {quoted(name)}, split: "[;,/]"}}'
    return quoted(name)


def _sex(name: str, values: Sequence[str]) -> str:
    present = set(values)
    if all(VALUE_TYPES["sex"].parse(value).value for value in present) and not present <= {"0", "1", "2"}:
        return quoted(name)
    codes = next((codes for codes in SEX_CODES if present <= set(codes)), SEX_CODES[0])
    listed = ", ".join(f'"{code}": {value}' for code, value in codes.items())
    return f"{{column: {quoted(name)}, values: {{{listed}}}, else: keep}}"


def _date_formats(values: Sequence[str]) -> list[str]:
    """The fewest formats, most frequent first, that read what can be read."""
    left = list(dict.fromkeys(values))
    chosen: list[str] = []
    while left:
        read = {form: [v for v in left if _reads(v, form)] for form in DATE_FORMATS if form not in chosen}
        best = max(read, key=lambda form: len(read[form]), default=None)
        if best is None or not read[best]:
            break
        chosen.append(best)
        left = [value for value in left if value not in set(read[best])]
    return chosen


def _reads(value: str, form: str) -> bool:
    parsed = VALUE_TYPES["date"].parse(value, options={"formats": [form]})
    return parsed.value is not None and parsed.issue in {
        None,
        "date.day_missing",
        "date.month_missing",
        "date.two_digit_year",
    }


def _address(headers: Mapping[str, str], columns: dict[str, str], used: set[str]) -> None:
    parts: dict[str, str] = {}
    for part, pattern in ADDRESS_HEADERS:
        name = next((n for n, h in headers.items() if n not in used and re.search(pattern, h)), None)
        if name is not None:
            parts[part] = name
            used.add(name)
    if parts:
        columns["address"] = "{" + ", ".join(f"{part}: {quoted(name)}" for part, name in parts.items()) + "}"


def _by_content(
    headers: Mapping[str, str], values: Mapping[str, Sequence[str]], columns: dict[str, str], used: set[str]
) -> None:
    """Columns whose header says nothing: twelve digits that make a personal number, phones."""
    for attribute, pattern in (("personal_id", r"\d{12}"), ("phone", r"(\+84|0)[35789]\d{8}")):
        if attribute in columns:
            continue
        for name in headers:
            texts = values[name]
            if name in used or not texts:
                continue
            shaped = sum(bool(re.fullmatch(pattern, text)) for text in texts)
            parsed = sum(VALUE_TYPES[attribute].parse(text).value is not None for text in texts)
            if min(shaped, parsed) >= MOSTLY * len(texts):
                columns[attribute] = quoted(name)
                used.add(name)
                break


def _key(headers: Mapping[str, str], values: Mapping[str, Sequence[str]], rows: int) -> tuple[str, bool]:
    """The first column that is always filled and never repeated, by preference one called a number or code."""
    unique = [name for name in headers if len(values[name]) == rows == len(set(values[name]))]
    named = [
        name
        for name in unique
        if re.search(r"^(ma|so)(hs|hoso|dt|doituong|the|ho)?|id$|code|no$", headers[name])
    ]
    numbered = [name for name in unique if headers[name] in {"stt", "tt", "no"}]
    for group, sure in ((named, True), ([n for n in unique if n not in numbered], False), (numbered, False)):
        if group:
            return group[0], sure
    return next(iter(headers)), False
