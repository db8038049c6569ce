"""Rules of the house that no linter knows."""

import ast
import re
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
ALLOWED_AT_TOP = {
    "api",
    "benchmarks",
    "configs",
    "docs",
    "golden_record",
    "matching",
    "mdm",
    "tests",
    "Makefile",
    "pyproject.toml",
    "README.md",
}
PACKAGES = ("api", "golden_record", "matching", "mdm")


def tracked():
    listed = subprocess.run(
        ["git", "ls-files", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.splitlines() if (ROOT / name).is_file()]


def modules():
    """All but migrations, which Alembic writes."""
    found = [path for package in PACKAGES for path in sorted((ROOT / package).rglob("*.py"))]
    return [path for path in found if "migrations/versions" not in path.as_posix()]


def imports(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def test_the_top_level_is_the_one_agreed_on():
    names = {path.relative_to(ROOT).parts[0] for path in tracked()}
    assert {name for name in names if not name.startswith(".")} <= ALLOWED_AT_TOP


def test_lock_files_name_no_addresses():
    for lock in (ROOT / ".ci").glob("*.lock"):
        text = lock.read_text()
        assert "==" in text
        assert "://" not in text
        assert "--index" not in text


@pytest.mark.parametrize("path", modules(), ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_module_fits_in_one_head(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 410


def test_splink_is_known_only_inside_matching():
    for path in modules():
        if path.relative_to(ROOT).parts[0] != "matching":
            assert not any(name.split(".")[0] == "splink" for name in imports(path)), path


def test_pure_rooms_know_no_database_web_or_matcher():
    banned = {"sqlalchemy", "duckdb", "sqlite3", "fastapi", "splink", "adbc_driver_manager", "psycopg"}
    pure = [*(ROOT / "mdm" / "identity").glob("*.py")]
    pure += [
        ROOT / "golden_record" / name
        for name in ("policy.py", "rules.py", "survivorship.py", "provenance.py")
    ]
    for path in pure:
        assert banned.isdisjoint(name.split(".")[0] for name in imports(path)), path


def test_only_the_simulation_writes_the_truth_and_only_the_evaluation_reads_it():
    """The word and the constant of the truth's folder occur nowhere else in the product."""
    mentions = re.compile(
        r"TRUTH_FOLDER|simulation\.truth|records\.parquet|rejects\.parquet|[\"'/]truth[\"'/]"
    )
    found = {
        path.relative_to(ROOT).as_posix()
        for path in modules()
        if mentions.search(path.read_text(encoding="utf-8"))
    }
    writers = {"mdm/simulation/truth.py", "mdm/simulation/simulate.py"}
    assert found <= writers | {
        "mdm/pipeline/evaluation/truth.py",
        "mdm/pipeline/evaluation/households.py",
    } | {name for name in found if name.startswith("mdm/simulation/")}
    assert "mdm/pipeline/evaluation/truth.py" in found
