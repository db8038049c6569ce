"""How many addresses written with one kind of mistake come to the right administrative unit, and how many to a wrong one.

    python -m benchmarks.addresses [--addresses 2000] [--seed 1] [--examples 3]

The truth of an address is the commune of configs/reference/units.csv that it was made from; the mistakes are drawn with
a seed. Outcomes: `right`, the commune itself; `overlap`, a commune of the other vocabulary that shares ground with it;
`parent`, only its district or province; `none`, nothing; `wrong`, a unit in which the address is not. Vocabularies: L
before the reform of 1 July 2025, N since; late, old names on a paper of today; undated, on a paper without a day.
"""

from __future__ import annotations

import argparse
import random
import time
from collections import Counter
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, NamedTuple

from matching.standardise.addresses import ResolvedUnit, resolve
from matching.standardise.letters import ascii_letters
from matching.standardise.units import Unit, Units, default_units

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BEFORE, AFTER = date(2024, 3, 1), date(2026, 3, 1)
STREETS = ("Lê Lợi", "Nguyễn Trãi", "Trần Phú", "30/4", "Hai Bà Trưng", "Quốc lộ 1A", "Phan Chu Trinh")
SHORT = {
    "Phường": "P.", "Xã": "X.", "Thị trấn": "TT.", "Quận": "Q.", "Huyện": "H.", "Thị xã": "TX.", "Thành phố": "TP.", "Tỉnh": "T.",
    "Đặc khu": "ĐK.",
}  # fmt: skip
PROVINCES = {"Thành phố Hồ Chí Minh": ("TP.HCM", "TPHCM", "HCM"), "Thành phố Hà Nội": ("HN", "TP.HN")}
OUTCOMES = ("right", "overlap", "parent", "none", "wrong")


class Written(NamedTuple):
    """An address in parts; '' where the vocabulary has none (districts) or the writer left it out."""

    street: str
    commune: str
    district: str
    province: str

    @property
    def text(self) -> str:
        return ", ".join(filter(None, self))


@dataclass(frozen=True)
class Case:
    text: str
    unit: Unit
    as_of: date | None


Noise = "Callable[[Written, random.Random], str | None]"


def kind_and_name(text: str) -> tuple[str, str]:
    kind = next((kind for kind in SHORT if text.startswith(kind + " ")), "")
    return kind, text[len(kind) :].strip()


def misspelt(text: str, draw: random.Random) -> str | None:
    """One letter of the name left out, put in, replaced or exchanged with the next; None for names too short."""
    kind, name = kind_and_name(text)
    letters = [i for i, c in enumerate(name) if c.isalpha()]
    if len(letters) < 4:
        return None
    place, way = draw.choice(letters), draw.randrange(4)
    other = draw.choice([c for c in "abcdeghiklmnopqrstuvxy" if c != ascii_letters(name[place]).lower()])
    if way == 0:
        changed = name[:place] + name[place + 1 :]
    elif way == 1:
        changed = name[:place] + other + name[place:]
    elif way == 2:
        changed = name[:place] + other + name[place + 1 :]
    else:
        if place + 1 >= len(name) or name[place] == name[place + 1] or name[place + 1] == " ":
            return None
        changed = name[:place] + name[place + 1] + name[place] + name[place + 2 :]
    return f"{kind} {changed}".strip()


def misspelt_in(*parts: str) -> Callable[[Written, random.Random], str | None]:
    def noise(written: Written, draw: random.Random) -> str | None:
        changes = {}
        for part in parts:
            name = getattr(written, part)
            changed = misspelt(name, draw) if name else None
            if changed is None:
                return None
            changes[part] = changed
        return written._replace(**changes).text

    return noise


def without(*parts: str) -> Callable[[Written, random.Random], str | None]:
    def noise(written: Written, draw: random.Random) -> str | None:
        del draw
        return (
            written._replace(**dict.fromkeys(parts, "")).text
            if all(getattr(written, p) for p in parts)
            else None
        )

    return noise


def abbreviated(written: Written, draw: random.Random) -> str:
    def short(text: str) -> str:
        kind, name = kind_and_name(text)
        return f"{SHORT[kind]}{draw.choice(('', ' '))}{name}" if kind else text

    province = draw.choice(
        PROVINCES.get(written.province, (short(written.province), kind_and_name(written.province)[1]))
    )
    return Written(written.street, short(written.commune), short(written.district), province).text


def bare(written: Written, draw: random.Random) -> str:
    """Names without their kinds; numbers keep theirs, as nobody would understand them."""
    del draw
    names = (kind_and_name(text)[1] for text in written[1:])
    return Written(
        written.street, *(n if not n.isdecimal() else t for n, t in zip(names, written[1:], strict=True))
    ).text


def plain(written: Written, draw: random.Random) -> str:
    del draw
    return ascii_letters(written.text.lower()) if written.text else ""


def other_order(written: Written, draw: random.Random) -> str:
    del draw
    return ", ".join(filter(None, reversed(written)))


def unseparated(written: Written, draw: random.Random) -> str:
    del draw
    return " ".join(filter(None, written))


KINDS: dict[str, Callable[[Written, random.Random], str | None]] = {
    "clean": lambda written, _: written.text,
    "one error in the commune": misspelt_in("commune"),
    "one error in the district": misspelt_in("district"),
    "one error in the province": misspelt_in("province"),
    "errors in commune and district": misspelt_in("commune", "district"),
    "errors in all three": misspelt_in("commune", "district", "province"),
    "no district": without("district"),
    "no district, error in commune": lambda w, d: None if not w.district else misspelt_in("commune")(w._replace(district=""), d),
    "no province": without("province"),
    "no province, error in commune": lambda w, d: misspelt_in("commune")(w._replace(province=""), d),
    "abbreviated": abbreviated,
    "no kind words": bare,
    "no marks, small letters": plain,
    "no marks, error in commune": lambda w, d: (t := misspelt_in("commune")(w, d)) and ascii_letters(t.lower()),
    "largest part first": other_order,
    "no separators": unseparated,
    "capitals": lambda written, _: written.text.upper(),
}  # fmt: skip


def written(unit: Unit, units: Units, draw: random.Random) -> Written:
    parent = units.by_code[unit.parent]
    street = f"{draw.randint(1, 400)} {draw.choice(STREETS)}"
    district = parent.name if parent.level == "district" else ""
    return Written(street, unit.name, district, units.by_code[unit.province].name)


def cases(kind: str, era: str, *, units: Units, count: int, seed: int) -> Iterator[Case]:
    noise = KINDS[kind]
    draw = random.Random(f"{seed} {kind} {era}")  # not for secrets
    communes = [u for u in units.by_code.values() if u.level == "commune" and u.code.startswith(era[0])]
    as_of = {"L": BEFORE, "N": AFTER, "L late": AFTER, "L undated": None, "N undated": None}[era]
    made = 0
    for _ in range(count * 4):
        unit = draw.choice(communes)
        text = noise(written(unit, units, draw), draw)
        if text is not None:
            made += 1
            yield Case(text, unit, as_of)
        if made == count:
            return


def outcome(found: ResolvedUnit, unit: Unit, units: Units) -> str:
    if found.code is None:
        return "none"
    if found.code == unit.code:
        return "right"
    if found.code in (unit.parent, unit.province):
        return "parent"
    if found.level == "commune":
        return "overlap" if units.same_place(found.code, unit.code) else "wrong"
    if found.level == "district":
        return "parent" if unit.code in units.successors(found.code) else "wrong"
    holds_it = found.code in units.successors(unit.province) or units.same_place(found.code, unit.province)
    return "parent" if holds_it else "wrong"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--addresses", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--examples", type=int, default=0, help="wrong ones shown for each kind")
    arguments = parser.parse_args()
    units = default_units()
    print(
        f"{'vocabulary':<11}{'written':<34}"
        + "".join(f"{name:>9}" for name in OUTCOMES)
        + f"{'per second':>12}"
    )
    for era in ("L", "N", "L late", "L undated", "N undated"):
        for kind in KINDS:
            drawn = list(cases(kind, era, units=units, count=arguments.addresses, seed=arguments.seed))
            if not drawn:
                continue
            start = time.process_time()
            found = [resolve(units, text=case.text, as_of=case.as_of) for case in drawn]
            spent = time.process_time() - start
            told = [outcome(result, case.unit, units) for result, case in zip(found, drawn, strict=True)]
            counts = Counter(told)
            shares = "".join(f"{counts[name] / len(drawn):>9.3f}" for name in OUTCOMES)
            print(f"{era:<11}{kind:<34}{shares}{len(drawn) / spent:>12,.0f}")
            wrong = [i for i, name in enumerate(told) if name == "wrong"][: arguments.examples]
            for i in wrong:
                print(f"    {drawn[i].text}  ->  {units.by_code[found[i].code or ''].name}, {found[i]}")


if __name__ == "__main__":
    main()
