"""What integrators receive is complete, up to date and never breaks what was released."""

import json
import shutil
from pathlib import Path

import pytest

from prm_contracts.asyncapi import as_yaml
from prm_contracts.catalogue import TOPICS
from prm_contracts.emit import FACTS, ROOT, broken_promises, main, outdated, shape_of
from prm_contracts.examples import EXAMPLES
from prm_contracts.facts import Fact, current_type, decode, encode

GOLDEN = sorted((ROOT / "history").glob("*.json"))
STALE = "prm.alignment.AlignmentBecameStale.v1"


@pytest.fixture
def published(tmp_path: Path) -> Path:
    """A copy of all that is committed."""
    ignored = shutil.ignore_patterns("prm_contracts", "tests", "__pycache__")
    return Path(shutil.copytree(ROOT, tmp_path / "contracts", ignore=ignored))


def edited(root: Path, path: str, old: str, new: str) -> str:
    text = (root / path).read_text()
    assert old in text
    (root / path).write_text(text.replace(old, new))
    return (root / path).read_text()


def test_all_that_is_published_is_up_to_date() -> None:
    assert broken_promises(ROOT) == []
    assert outdated(ROOT) == []


@pytest.mark.parametrize("fact_type", sorted(FACTS))
def test_every_fact_has_a_schema_an_example_and_a_golden_file(fact_type: str) -> None:
    missing = [
        folder
        for folder in ("schemas", "examples", "history")
        if not (ROOT / folder / f"{fact_type}.json").exists()
    ]

    assert missing == []


@pytest.mark.parametrize("golden", GOLDEN, ids=lambda path: path.name.removesuffix(".json"))
def test_history_loads_for_ever(golden: Path) -> None:
    fact_type = golden.name.removesuffix(".json")
    stored = golden.read_bytes().removesuffix(b"\n")

    fact = decode(fact_type, stored)

    is_current = current_type(fact_type).fact_type == fact_type
    assert encode(fact) == stored or not is_current


@pytest.mark.parametrize("fact_type", sorted(EXAMPLES))
def test_an_example_has_the_fields_of_its_schema(fact_type: str) -> None:
    schema = json.loads((ROOT / f"schemas/{fact_type}.json").read_text())
    example = json.loads((ROOT / f"examples/{fact_type}.json").read_text())

    assert example.keys() == schema.get("properties", {}).keys()
    assert schema["$id"] == f"urn:prm:schema:{fact_type}"


def test_every_published_fact_lies_on_one_topic() -> None:
    on_topics = [fact.fact_type for topic in TOPICS for fact in topic.facts]
    ours = [fact for fact in Fact.named.values() if fact.__module__.startswith("prm_contracts.")]

    assert sorted(on_topics) == sorted(fact.fact_type for fact in ours)


def test_a_released_fact_does_not_change_its_shape(published: Path) -> None:
    schema = f"schemas/{STALE}.json"
    before = edited(published, schema, '"map_version"', '"of_map"')

    assert main([], published) == 1
    assert (published / schema).read_text() == before
    assert broken_promises(published) == [
        f"{STALE} is released and has changed: make the change a new version"
    ]


def test_a_released_fact_does_not_become_stricter(published: Path) -> None:
    edited(published, f"schemas/{STALE}.json", '"minimum": 0', '"minimum": -1')

    assert len(broken_promises(published)) == 1


def test_words_about_a_released_fact_may_change(published: Path) -> None:
    edited(published, f"schemas/{STALE}.json", "A territory", "Some territory")

    assert main(["--check"], published) == 1
    assert main([], published) == 0
    assert main(["--check"], published) == 0


def test_a_released_fact_stays_readable(
    published: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    gone = "prm.alignment.AlignmentForgotten.v1"
    shutil.copy(published / f"schemas/{STALE}.json", published / f"schemas/{gone}.json")

    assert main(["--check"], published) == 1
    assert f"{gone} is released and nothing reads it" in capsys.readouterr().err


def test_a_golden_file_is_written_once(published: Path) -> None:
    golden = published / f"history/{STALE}.json"
    golden.write_text('{"map_version":7}\n')

    assert main([], published) == 0
    assert golden.read_text() == '{"map_version":7}\n'


def test_a_file_that_is_missing_is_out_of_date(published: Path) -> None:
    (published / f"examples/{STALE}.json").unlink()

    assert outdated(published) == [f"examples/{STALE}.json"]


def test_a_shape_is_a_schema_without_its_words() -> None:
    schema = {"title": "T", "properties": {"title": {"type": "string", "title": "Title"}}}

    assert shape_of(schema) == {"properties": {"title": {"type": "string"}}}


def test_yaml_is_written_in_blocks() -> None:
    value: object = {"name": "a: b", "list": [{"deep": 1}, []], "$ref": None, "empty": {}}

    assert as_yaml(value) == (
        'name: "a: b"\nlist:\n  -\n    deep: 1\n  - []\n"$ref": null\nempty: {}\n'
    )
