"""A model's declaration is checked with a message that names file and key."""

import pytest

from matching.model import ModelError, load_model
from tests.unit.matching.scenario import CONFIGS, MODEL


def edited(tmp_path, change):
    text = (CONFIGS / "matching" / "person.yaml").read_text(encoding="utf-8")
    path = tmp_path / "person.yaml"
    path.write_text(change(text), encoding="utf-8")
    return path


def test_the_hash_depends_on_content_and_not_on_layout(tmp_path):
    same = load_model(edited(tmp_path, lambda text: "# a remark\n" + text))
    other = load_model(edited(tmp_path, lambda text: text.replace("link: 10", "link: 11")))
    assert same.hash == MODEL.hash != other.hash


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda text: text.replace("link: 10", "link: 1"), "keep <= review <= link"),
        (lambda text: text.replace("largest_block", "largest_blok"), "largest_blok"),
        (lambda text: text.replace("disagree: [full_name,", "disagree: [fullname,"), "fullname"),
        (lambda text: text.replace("      - {otherwise: true}", "", 1), "otherwise"),
        (lambda text: text + "\n  - [", "not valid YAML"),
    ],
)
def test_a_wrong_declaration_is_refused(tmp_path, change, said):
    with pytest.raises(ModelError, match=said) as error:
        load_model(edited(tmp_path, change))
    assert "person.yaml" in str(error.value)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(ModelError, match="no such model"):
        load_model(tmp_path / "none.yaml")
