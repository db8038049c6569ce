from __future__ import annotations

import unicodedata

import pytest

from matching.standardise.letters import fold
from matching.standardise.name_forms import name_forms
from matching.standardise.names import canonical_name, parse_name_part


@pytest.mark.parametrize(
    ("raw", "value"),
    [
        ("NGUYỄN VĂN AN", "Nguyễn Văn An"),
        ("  nguyễn \u00a0 văn\tan ", "Nguyễn Văn An"),
        (unicodedata.normalize("NFD", "Nguyễn Thị Hòa"), "Nguyễn Thị Hòa"),
        ("Nguyễn Thị Hoà", "Nguyễn Thị Hòa"),
        ("Trần Thuỷ Uý", "Trần Thủy Úy"),
        ("Lê Quý Giàu", "Lê Quý Giàu"),
        ("Ðặng Ðình Ðức", "Đặng Đình Đức"),  # U+00D0, the letter of another language
        ("Lý Thị Mĩ", "Lý Thị Mĩ"),  # a name keeps its own y or i
        ("Nguyễn-Văn-An", "Nguyễn Văn An"),
        ("H’ Hen Niê", "H'Hen Niê"),
        ("h'hen niê", "H'Hen Niê"),
        ("K' BRÔI", "K'Brôi"),
        ("Y Blok Êban", "Y Blok Êban"),
        ("Ka Hem", "Ka Hem"),
        ("Mary-Jane O'Brien", "Mary-Jane O'Brien"),
        ("Müller José", "Müller José"),
        ("Ông Cao Thắng", "Ông Cao Thắng"),  # Ông is a surname here
        ("Ông Hạ Gia Ngọc", "Ông Hạ Gia Ngọc"),
        ("Trần Bé Gái", "Trần Bé Gái"),
        ("Giàng A Páo", "Giàng A Páo"),
    ],
)
def test_a_name_is_written_in_its_standard_form(raw: str, value: str) -> None:
    assert canonical_name(raw) == (value, None)


@pytest.mark.parametrize(
    ("raw", "value", "issue"),
    [
        ("Nguyeenx Vawn An", "Nguyễn Văn An", "name.keystrokes"),
        ("NGUYEENX VAWN AN", "Nguyễn Văn An", "name.keystrokes"),
        ("Nguyenex Vanw An", "Nguyễn Văn An", "name.keystrokes"),
        ("Trần Thij Hoaf", "Trần Thị Hòa", "name.keystrokes"),
        ("Nguye6n4 Va8n An", "Nguyễn Văn An", "name.keystrokes"),
        ("D9a85ng Thi5 Ho6ng2", "Đặng Thị Hồng", "name.keystrokes"),
        ("NguyÔn V¨n An", "Nguyễn Văn An", "name.legacy_encoding"),
        ("D­¬ng Kh¸nh Hµ", "Dương Khánh Hà", "name.legacy_encoding"),
        ("TrÇn V¨n Hoaan", "Trçn V N Hoaan", "name.symbols_removed"),
        ("Nguyeãn Vaên An", "Nguyễn Văn An", "name.legacy_encoding"),
        ("Nguyá»…n VÄƒn An", "Nguyễn Văn An", "name.mojibake"),
        ("Ng. V. A", "Nguyễn V A", "name.abbreviated"),
        ("Ng.Văn.An", "Nguyễn Văn An", "name.abbreviated"),
        ("Bà Nguyễn Thị A", "Nguyễn Thị A", "name.honorific"),
        ("Cháu Lê Na Na", "Lê Na Na", "name.honorific"),
        ("Ông Nguyễn Văn Bé", "Nguyễn Văn Bé", "name.honorific"),
        ("Nguyễn Văn A (chết)", "Nguyễn Văn A", "name.note_removed"),
        ("Nguyễn Văn A (tức Tư", "Nguyễn Văn A", "name.note_removed"),
        ("Nguyễn Văn A - đã chết", "Nguyễn Văn A", "name.note_removed"),
        ("Nguyễn Văn A, con ông Nguyễn Văn B", "Nguyễn Văn A", "name.note_removed"),
        ("12. Lê Văn Tám", "Lê Văn Tám", "name.digits_removed"),
        ("Nguyễn V. An", "Nguyễn V An", "name.initials"),
        ("Trần Thị Hươngf", "Trần Thị Hường", "name.keystrokes"),
        ("Võ Thị Sáus", "Võ Thị Sáu", "name.keystrokes"),
        ("Nguyenx Văn An", "Nguyễn Văn An", "name.keystrokes"),
        ("TrÇn ThÞ H¬ng", "Trần Thị Hương", "name.legacy_encoding"),
        ("Nguy?n V?n An", "Nguyn Vn An", "name.letters_lost"),
        ("Nguy\ufffdn Thị An", "Nguyn Thị An", "name.letters_lost"),
    ],
)
def test_a_damaged_name_is_repaired_and_says_so(raw: str, value: str, issue: str) -> None:
    assert canonical_name(raw) == (value, issue)


@pytest.mark.parametrize(
    "raw",
    ["Lees Max", "Hans Zimmer", "Ross Andrew", "Vox Populi", "Luis Dix", "Thomas Jones", "Tess Moor", "Lees"],
)
def test_foreign_names_that_look_like_keystrokes_are_left_alone(raw: str) -> None:
    assert canonical_name(raw) == (raw, None)


@pytest.mark.parametrize(
    "raw",
    [
        "Chưa đặt tên",
        "con bà Lan",
        "Con chị Nguyễn Thị Hà",
        "bé gái",
        "Bé trai con bà Lan",
        "CB Nguyễn Thị Lan",
    ],
)
def test_an_unnamed_child_has_no_name(raw: str) -> None:
    assert canonical_name(raw) == (None, "name.unnamed")


@pytest.mark.parametrize("raw", ["không có", "N/A", "---", "...", "xxx", "NULL", "?", "12345"])
def test_a_placeholder_is_no_name(raw: str) -> None:
    assert canonical_name(raw) == (None, "name.placeholder")


@pytest.mark.parametrize("raw", ["", "   ", "\u200b", "\x00"])
def test_an_empty_cell_is_missing_without_issue(raw: str) -> None:
    assert canonical_name(raw) == (None, None)


def test_the_three_forms_of_a_name() -> None:
    forms = name_forms("Đặng Thị Hồng Ngọc")
    assert forms.canonical_key == "đặng thị hồng ngọc"
    assert forms.toneless == "D@ng thi hOng ngoc"
    assert forms.folded == "dang thi hong ngoc"
    assert (forms.surname, forms.middle, forms.given) == ("dang", "thi hong", "ngoc")
    assert forms.sorted_words == "dang hong ngoc thi"
    assert forms.initials == "dthn"


def test_toneless_forms_keep_the_quality_of_letters_apart() -> None:
    names = ["Tan", "Tăn", "Tân", "Ten", "Tên", "Ton", "Tôn", "Tơn", "Tun", "Tưn", "Dan", "Đan"]
    assert len({name_forms(name).toneless for name in names}) == len(names)
    assert name_forms("Tấn").toneless == name_forms("Tân").toneless


def test_a_name_of_one_word_is_the_given_name() -> None:
    forms = name_forms("Lan")
    assert (forms.surname, forms.middle, forms.given) == (None, None, "lan")


@pytest.mark.parametrize(
    ("one", "other"),
    [("Lê Thị Mỹ", "Lê Thị Mĩ"), ("Lý An", "Lí An"), ("Trần Quý", "Trần Quí"), ("Võ Vy", "Võ Vi")],
)
def test_y_and_i_agree_in_folded_forms_only(one: str, other: str) -> None:
    assert name_forms(one).folded == name_forms(other).folded
    assert name_forms(one).canonical_key != name_forms(other).canonical_key


def test_ui_and_uy_stay_apart() -> None:
    assert name_forms("Thủy").folded != name_forms("Thủi").folded


@pytest.mark.parametrize("raw", ["H'Hen Niê", "H’ Hen Niê", "H Hen Niê", "HHen Niê", "h hen niê"])
def test_spellings_of_a_minority_prefix_agree_when_folded(raw: str) -> None:
    value = canonical_name(raw).value
    assert value is not None
    assert name_forms(value).folded == "hhen nie"


def test_word_order_does_not_matter_to_sorted_words() -> None:
    assert name_forms("H'Hen Niê").sorted_words == name_forms("Niê H Hen").sorted_words


def test_an_initial_is_not_taken_for_a_minority_prefix() -> None:
    assert name_forms("Nguyễn H An").folded == "nguyen h an"


def test_names_in_other_scripts_stay_different() -> None:
    one, other = name_forms("李明"), name_forms("王明")
    assert one.folded.isascii()
    assert one.folded != other.folded


@pytest.mark.parametrize("raw", ["Rơ Chăm Phí", "Ro-Chăm Phí", "RơChăm Phí", "Ro Cham Phi"])
def test_spellings_of_a_clan_of_two_words_agree_when_folded(raw: str) -> None:
    assert name_forms(canonical_name(raw).value or "").folded == "rocham phi"


@pytest.mark.parametrize(
    ("raw", "folded"),
    [
        ("Иванов Пётр", "ivanov petr"),
        ("Ivanov Petr", "ivanov petr"),
        ("王小明", "wangxiaoming"),
        ("محمد علي", "mhmd li"),
        ("김철수", "gimcheolsu"),
        ("ខ្មែរ", "khmaer"),
        ("Müller-Lüdenscheidt", "muller ludenscheidt"),
    ],
)
def test_names_of_any_script_have_an_ascii_form_of_their_own(raw: str, folded: str) -> None:
    assert name_forms(canonical_name(raw).value or "").folded == folded
    assert fold(raw) == folded


@pytest.mark.parametrize(
    ("raw", "value", "issue"),
    [
        ("SMITH", "Smith", None),
        ("o’brien", "O'Brien", None),
        ("McDonald", "McDonald", None),
        ("  van  der   berg ", "Van Der Berg", None),
        ("MÃ¼ller", "Müller", "name.mojibake"),
        ("Иванов", "Иванов", None),
        ("vawn", "Vawn", None),
        ("bà", "Bà", None),
        ("n/a", None, "name.placeholder"),
        ("12", None, "name.placeholder"),
        (" ", None, None),
    ],
)
def test_a_part_of_a_name_is_not_repaired_by_vietnamese_rules(
    raw: str, value: str | None, issue: str | None
) -> None:
    assert parse_name_part(raw) == (value, issue)
