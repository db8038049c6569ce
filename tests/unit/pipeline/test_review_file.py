"""The clerks' file: what was written comes back, and whatever was done to a row is named."""

import csv

import pytest

from mdm.errors import InputError
from mdm.pipeline.evaluation.review_file import ANSWER, Design, ReviewRow, read_reviews, write_reviews

DESIGN = Design(run="run-1", seed=3, sealed=False, linked=[True, False], pairs=[40, 7], drawn=[2, 1])


def row(number, stratum, name):
    one = {"registry": "tax", "local_id": "0012", "full_name": name, "personal_id": "001171000001"}
    other = {"registry": "school", "local_id": "7", "full_name": name, "phone": ["0912", "0934"]}
    return ReviewRow(number, stratum, (number, number + 50), (one, other))


ROWS = [row(1, 0, "Lê Thị Nụ"), row(2, 1, "=cmd()"), row(3, 0, "Trần  Văn\nBơ")]


@pytest.fixture(params=["reviews.csv", "reviews.xlsx"])
def file(request, tmp_path):
    path = tmp_path / request.param
    write_reviews(path, DESIGN, ROWS, attributes=["full_name", "sex", "personal_id", "phone"])
    return path


def edited(tmp_path, edit):
    """The CSV file after `edit` of its rows."""
    path = tmp_path / "reviews.csv"
    write_reviews(path, DESIGN, ROWS, attributes=["full_name", "sex", "personal_id", "phone"])
    with path.open(encoding="utf-8-sig", newline="") as opened:
        rows = list(csv.DictReader(opened))
    rows = edit(rows) or rows
    with path.open("w", encoding="utf-8", newline="") as opened:
        writer = csv.DictWriter(opened, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    return path


def test_what_was_written_is_read(file):
    reviews = read_reviews(file)
    assert reviews.design == DESIGN
    assert (reviews.answers, reviews.unanswered) == ([], [1, 2, 3])
    assert file.stat().st_mode & 0o077 == 0  # personal data: for its owner only


def test_a_row_shows_the_evidence_of_both_records_and_nothing_that_no_record_has(tmp_path):
    with edited(tmp_path, lambda _: None).open(encoding="utf-8", newline="") as opened:
        rows = list(csv.DictReader(opened))
    assert (rows[0]["full_name_1"], rows[0]["phone_2"], rows[2]["full_name_1"]) == (
        "Lê Thị Nụ",
        "0912; 0934",
        "Trần Văn Bơ",
    )
    assert rows[1]["full_name_1"] == "'=cmd()"
    assert "sex_1" not in rows[0]
    assert not any("weight" in name for name in rows[0])


def test_answers_and_rows_without_one(tmp_path):
    def answer(rows):
        rows[0][ANSWER], rows[1][ANSWER] = " Yes", "unsure"
        return rows[::-1]  # sorting is no change

    reviews = read_reviews(edited(tmp_path, answer))
    assert sorted(reviews.answers) == [(0, "yes"), (1, "unsure")]
    assert reviews.unanswered == [3]


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (lambda rows: rows[1].update(full_name_1="Lê Thị Na"), "row 2 was changed"),
        (lambda rows: rows[1].update(stratum_pairs="4000"), "row 2 was changed"),
        (lambda rows: rows[2].update(record_1="9"), "row 3 was changed"),
        (lambda rows: rows[2].update(sample="f00"), "row 3 belongs to another sample"),
        (lambda rows: rows[:1] + rows[2:], "row 2 is missing"),
        (lambda rows: rows[:1] + rows[2:][:0], "row 2, 3 is missing"),
        (lambda rows: [*rows, rows[0]], "row 1 is there twice"),
        (lambda rows: rows[0].update(same_person="perhaps"), "row 1 has no answer that is known"),
        (
            lambda rows: [{k: v for k, v in r.items() if k != "check"} for r in rows],
            "columns are missing: check",
        ),
    ],
)
def test_what_was_done_to_a_row_is_named(tmp_path, edit, said):
    with pytest.raises(InputError) as refused:
        read_reviews(edited(tmp_path, edit))
    assert said in str(refused.value)
    assert "Lê" not in str(refused.value)


def test_a_row_of_another_run_is_named(tmp_path):
    other = tmp_path / "other.csv"
    write_reviews(
        other,
        Design("run-2", 3, False, [True, False], [40, 7], [2, 1]),
        ROWS,
        attributes=["full_name", "personal_id", "phone"],
    )
    with other.open(encoding="utf-8-sig", newline="") as opened:
        strange = list(csv.DictReader(opened))
    with pytest.raises(InputError, match="row 3 belongs to another sample"):
        read_reviews(edited(tmp_path, lambda rows: [*rows[:2], strange[2]]))


@pytest.mark.parametrize("content", [b"", b"a,b\n1,2\n", b"\xff\xfe\x00", b"row,same_person\n"])
def test_other_files_are_refused(tmp_path, content):
    for ending in (".csv", ".xlsx"):
        path = tmp_path / f"other{ending}"
        path.write_bytes(content)
        with pytest.raises(InputError):
            read_reviews(path)
