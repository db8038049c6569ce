"""Every command as a person and as a script would use it; a mistake ends with what, where and what to do."""

import csv
import json
import shutil

import pyarrow.parquet as pq
import pytest
from typer.testing import CliRunner

from mdm.cli import app
from mdm.pipeline.workspace import workspace
from mdm.registries.attributes import load_attributes
from mdm.settings import Settings
from tests.engines import change, environment

RUNNER = CliRunner()


def mdm(*arguments, status=0, **environment):
    result = RUNNER.invoke(app, [str(a) for a in arguments], env={"COLUMNS": "200", **environment})
    assert status is None or result.exit_code == status, result.output
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def store(engine, finished, tmp_path):
    """A copy of the finished store."""
    return engine.copy(finished, tmp_path)


def test_help_names_every_command():
    text = mdm("--help").output
    for command in (
        "init",
        "simulate",
        "ingest",
        "run",
        "evaluate",
        "model",
        "demo",
        "registry",
        "export",
        "verify",
        "quarantine",
        "entity",
        "backup",
        "restore",
        "openlineage",
        "log",
        "serve",
        "key",
        "user",
    ):
        assert command in text


def test_from_nothing_to_a_crosswalk(engine, tmp_path):
    mdm("simulate", "--people", 60, "--seed", 3, "--out", tmp_path / "files", "--profile", "mild")
    at = environment(engine.settings(tmp_path))
    mdm("init", **at)
    received = json.loads(mdm("ingest", tmp_path / "files" / "delivery-1", "--json", **at).stdout)
    assert received["failed"] == []
    assert received["registries"]["population"]["received"] > 60
    done = json.loads(mdm("run", "--json", **at).stdout)
    assert done["changed_anything"]
    assert "nothing to do" in mdm("run", **at).output
    found = json.loads(mdm("evaluate", "--truth", tmp_path / "files", "--json", **at).stdout)
    assert found["pairs"]["precision"] > 0.99
    assert "sound" in mdm("verify", **at).output
    mdm("export", "crosswalk", "--out", tmp_path / "crosswalk.csv", **at)
    with (tmp_path / "crosswalk.csv").open(encoding="utf-8") as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0]) == ["registry", "local_id", "entity_id", "ssn"]
    assert all(row["ssn"] for row in rows)


@pytest.mark.parametrize("what", ["crosswalk", "golden", "households", "quarantine"])
def test_exports_are_the_same_rows_in_both_formats(store, tmp_path, what):
    for ending in ("csv", "parquet"):
        mdm("export", what, "--out", tmp_path / f"out.{ending}", "--store", store.store)
    table = pq.read_table(tmp_path / "out.parquet")
    with (tmp_path / "out.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows
    assert list(rows[0]) == table.column_names
    assert len(rows) == table.num_rows


def test_households_come_with_their_members(store, tmp_path):
    mdm("export", "households", "--out", tmp_path / "households.parquet", "--store", store.store)
    rows = pq.read_table(tmp_path / "households.parquet").to_pylist()
    assert all(row["records"] for row in rows)
    assert sum(row["member_records"] > 0 for row in rows) > 0.9 * len(rows)


def test_sealed_registries_are_left_out_of_exports_unless_asked_for(store, tmp_path):
    for name, extra in (("open", []), ("all", ["--include-sealed"])):
        mdm("export", "crosswalk", "--out", tmp_path / f"{name}.parquet", "--store", store.store, *extra)
    opened, everything = (
        set(pq.read_table(tmp_path / f"{n}.parquet")["registry"].to_pylist()) for n in ("open", "all")
    )
    assert everything - opened == {"social_evils"}


def test_an_export_does_not_overwrite_unless_told_to(store, tmp_path):
    path = tmp_path / "out.csv"
    path.write_text("mine")
    assert "--force" in mdm("export", "golden", "--out", path, "--store", store.store, status=4).output
    assert path.read_text() == "mine"
    mdm("export", "golden", "--out", path, "--store", store.store, "--force")


OFFICE = """
code: my_office
name: {vi: Phòng của tôi, en: My office}
owner: {vi: Xã A, en: Commune A}
holds: people
trust: {default: 0.4}
sources:
  - name: people
    files: ["*.csv"]
    format: csv
    delimiter: ";"
    records:
      - kind: person
        key: [Mã]
        columns:
          full_name: Họ tên
          birth_date: {column: Ngày sinh, formats: ["%d/%m/%Y"]}
          personal_id: CCCD
        required: [full_name]
"""
ROWS = "Mã;Họ tên;Ngày sinh;CCCD\n1;Lê Thị Nụ;05/06/1971;001171000001\n2;;07/08/1980;\n;Trần Văn Bơ;01/02/1999;\n"


@pytest.fixture
def office(engine, tmp_path):
    """Configuration with a registry that no code knows, an empty store, and a file of three rows, two of them unfit."""
    shutil.copytree(Settings().configs, tmp_path / "configs", ignore=shutil.ignore_patterns("__pycache__"))
    (tmp_path / "configs" / "registries" / "my_office.yaml").write_text(OFFICE, encoding="utf-8")
    (tmp_path / "people.csv").write_text(ROWS, encoding="utf-8")
    at = {**environment(engine.settings(tmp_path)), "MDM_CONFIGS": str(tmp_path / "configs")}
    mdm("init", **at)
    mdm("ingest", "--registry", "my_office", tmp_path / "people.csv", **at)
    return at


def test_rows_of_an_own_registry_are_repaired_and_replayed_or_dismissed(office, tmp_path):
    listed = json.loads(mdm("quarantine", "list", "--json", **office).stdout)
    assert [(row["row_number"], row["reason"]) for row in listed] == [
        (3, "required.missing:full_name"),
        (4, "key.missing"),
    ]
    mdm("export", "quarantine", "--out", tmp_path / "rows.csv", **office)
    text = (tmp_path / "rows.csv").read_text(encoding="utf-8")
    assert "Trần Văn Bơ" in text
    with (tmp_path / "rows.csv").open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    first = json.loads(rows[0]["raw"])
    rows[0]["raw"] = json.dumps(first | {"Họ tên": "Nguyễn Thị Sửa"}, ensure_ascii=False)
    with (tmp_path / "repaired.csv").open("w", encoding="utf-8", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)
    counts = json.loads(mdm("quarantine", "replay", tmp_path / "repaired.csv", "--json", **office).stdout)
    assert counts == {"repaired": 1, "refused": 1}
    (left,) = json.loads(mdm("quarantine", "list", "--json", **office).stdout)
    mdm("quarantine", "dismiss", left["quarantine_id"], **office)
    assert "not open" in mdm("quarantine", "dismiss", left["quarantine_id"], status=4, **office).output
    assert "empty" in mdm("quarantine", "list", **office).output
    assert "sound" in mdm("verify", **office).output


def test_a_file_that_is_cut_stops_itself_and_not_the_others(office, tmp_path):
    (tmp_path / "good.csv").write_text(ROWS.replace("1;Lê Thị Nụ", "7;Lê Thị Hoa"), encoding="utf-8")
    (tmp_path / "cut.csv").write_text(ROWS[: ROWS.index("1980")], encoding="utf-8")
    result = mdm(
        "ingest", "--registry", "my_office", tmp_path / "cut.csv", tmp_path / "good.csv", status=4, **office
    )
    assert "cut.csv" in result.output
    told = json.loads(
        mdm(
            "ingest",
            "--registry",
            "my_office",
            tmp_path / "cut.csv",
            tmp_path / "good.csv",
            "--json",
            status=4,
            **office,
        ).stdout
    )
    assert told["already_landed"] == ["good.csv"]
    assert [failed["file"] for failed in told["failed"]] == ["cut.csv"]
    assert "sound" in mdm("verify", **office).output


def test_a_list_of_re_established_numbers_joins_the_old_number_to_the_new(office, tmp_path):
    path = tmp_path / "configs" / "registries" / "my_office.yaml"
    path.write_text(
        OFFICE
        + """  - name: changed_numbers
    files: ["*.txt"]
    format: csv
    delimiter: ";"
    records:
      - kind: renumbering
        columns: {attribute: personal_id, old: Cũ, new: Mới, date: {column: Ngày, formats: ["%d/%m/%Y"]}}
""",
        encoding="utf-8",
    )
    given = "".join(
        f"{n};Phạm Thị {name} {n};0{n % 9 + 1}/0{n % 7 + 1}/19{60 + n % 30};\n"
        for n, name in enumerate(["Na", "Mơ"] * 30, 10)
    )
    given += "701;Đỗ Quang Trường;05/06/1971;001071000001\n702;Đỗ Trường;1971;001071999999\n"
    (tmp_path / "given.csv").write_text(ROWS.split("\n", maxsplit=1)[0] + "\n" + given, encoding="utf-8")
    (tmp_path / "changed.txt").write_text(
        "Cũ;Mới;Ngày\n001071000001;001071999999;01/02/2020\n", encoding="utf-8"
    )
    mdm("ingest", "--registry", "my_office", tmp_path / "given.csv", **office)
    settings = Settings(store=office["MDM_STORE"], configs=office["MDM_CONFIGS"], work=tmp_path / "mdm.work")

    def numbers_of(local_id):
        with workspace(settings, "look") as work:
            work.load_records("person", load_attributes(settings.attributes_file))
            work.make_features("person", ["personal_ids"], load_attributes(settings.attributes_file))
            sql = "SELECT personal_ids FROM person JOIN person_record ON record = record_id WHERE full_name LIKE ?"
            return work.connection.execute(sql, [local_id]).fetchall()[0][0]

    assert numbers_of("Đỗ Trường") == ["001071999999"]
    mdm("ingest", "--registry", "my_office", tmp_path / "changed.txt", **office)
    assert numbers_of("Đỗ Trường") == ["001071999999", "001071000001"]


def test_an_own_registry_runs_to_golden_records_and_temporary_numbers(office, tmp_path):
    mdm("run", **office, status=4)  # one record does not train a model
    more = "".join(
        f"{n};Lê Thị {name};0{n % 9 + 1}/0{n % 7 + 1}/19{60 + n % 30};\n"
        for n, name in enumerate(["Na", "Mơ", "Lý"] * 9, 10)
    )
    (tmp_path / "more.csv").write_text(ROWS.split("\n", maxsplit=1)[0] + "\n" + more, encoding="utf-8")
    mdm("ingest", "--registry", "my_office", tmp_path / "more.csv", **office)
    mdm("run", **office)
    mdm("export", "golden", "--out", tmp_path / "golden.csv", **office)
    with (tmp_path / "golden.csv").open(encoding="utf-8", newline="") as file:
        kinds = {row["number_kind"] for row in csv.DictReader(file)}
    assert kinds == {"temporary"}
    assert "sound" in mdm("verify", **office).output


def test_registries_are_listed_checked_and_proposed(country, tmp_path):
    codes = {row["code"] for row in json.loads(mdm("registry", "list", "--json").stdout)}
    assert {"population", "health_insurance", "social_evils"} <= codes
    assert "social_evils" in mdm("registry", "list").output
    file = next((country.files / "delivery-1" / "tax").iterdir())
    report = json.loads(mdm("registry", "check", "tax", file, "--json").stdout)
    assert report["received"] == report["accepted_rows"] + len(
        [r for r in report["reasons"] for _ in range(r["count"])]
    )
    proposed = tmp_path / "my_office.yaml"
    mdm("registry", "new", file, "--code", "my_office", "--out", proposed)
    assert "accepted" in mdm("registry", "check", proposed, file).output


@pytest.mark.parametrize(
    ("arguments", "status", "said"),
    [
        (("run", "--store", "NONE.db"), 5, "mdm init"),
        (("run", "--store", "ftp://somewhere"), 3, "postgresql://"),
        (("ingest", "NOWHERE", "--store", "STORE"), 4, "no such folder"),
        (("ingest", "--registry", "nobody", "x.csv", "--store", "STORE"), 4, "no registry `nobody`"),
        (("ingest", ".", "--date", "32/1", "--store", "STORE"), 4, "YYYY-MM-DD"),
        (("registry", "check", "tax", "NOWHERE.csv"), 4, "no such file"),
        (("evaluate", "--truth", "NOWHERE", "--store", "STORE"), 4, "no truth"),
        (("export", "golden", "--out", "x.xls", "--store", "STORE"), 4, ".parquet or .csv"),
        (("simulate", "--people", "10", "--out", "OUT", "--profile", "wild"), 3, "mild"),
        (("demo", "--people", "10", "--out", "FULL"), 4, "not made by a demo"),
        (("run", "--nonsense"), 2, "nonsense"),
    ],
)
def test_mistakes_end_with_their_own_status_and_what_to_do(arguments, status, said, store, tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").touch()
    places = {
        "NONE.db": str(tmp_path / "none.db"),
        "STORE": store.store,
        "NOWHERE": str(tmp_path / "nowhere"),
        "NOWHERE.csv": str(tmp_path / "nowhere.csv"),
        "OUT": str(tmp_path / "out"),
        "FULL": str(tmp_path / "full"),
    }
    result = mdm(*(places.get(a, a) for a in arguments), status=status)
    assert said in " ".join(result.output.split())


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("UPDATE event SET body = replace(body, 'a', 'b') WHERE seq = 5", "events"),
        ("DELETE FROM event WHERE seq = 7", "events"),
        ("UPDATE batch SET accepted = accepted + 1 WHERE batch_id = 2", "deliveries"),
        ("UPDATE record_version SET raw = raw || ' ' WHERE version_id = 9", "record versions"),
        ("UPDATE quarantine SET raw = raw || ' ' WHERE quarantine_id = 1", "record versions"),
        ("UPDATE membership SET entity_key = entity_key + 1 WHERE membership_id = 3", "membership"),
        (
            "UPDATE ssn SET number = substr(number, 1, 11) || ((CAST(substr(number, 12) AS INTEGER) + 1) % 10) WHERE sequence = 2",
            "numbers",
        ),
        (
            "UPDATE golden SET \"values\" = replace(\"values\", 'a', 'b') WHERE golden_id = 7",
            "golden records",
        ),
    ],
)
def test_what_was_changed_behind_its_back_is_found(store, sql, found):
    assert change(store, sql) >= 1
    result = mdm("verify", status=7, **environment(store))
    assert f"{found}:" in result.output.split("Error")[-1]
