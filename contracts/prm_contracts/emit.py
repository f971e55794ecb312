"""What integrators receive: `python -m prm_contracts.emit` writes it, `--check` says what differs.

A fact is released once its schema lies here. From then on its shape does not change: what has to
change is a new version of the fact, with an upcaster from the old one. Descriptions may.
"""

import json
import sys
from pathlib import Path
from typing import Any, Final

from prm_contracts.asyncapi import as_yaml, document, schema_id
from prm_contracts.catalogue import TOPICS
from prm_contracts.examples import EXAMPLES
from prm_contracts.facts import Fact, UnknownFact, current_type, encode

ROOT: Final = Path(__file__).parents[1]
FACTS: Final = {fact.fact_type: fact for topic in TOPICS for fact in topic.facts}
GENERATED_NOTE: Final = "# Written by `python -m prm_contracts.emit`; edits are lost.\n"
CATALOGUE_BEGINS: Final = "<!-- catalogue: written by `python -m prm_contracts.emit` -->"
CATALOGUE_ENDS: Final = "<!-- end of the catalogue -->"


def schema_of(fact: type[Fact]) -> dict[str, Any]:
    """JSON Schema of the fact as it is written: every field is there, also where it is null."""
    envelope = {"$schema": "https://json-schema.org/draft/2020-12/schema", "$id": schema_id(fact)}
    return envelope | fact.model_json_schema(mode="serialization")


def shape_of(schema: Any, is_named: bool = False) -> Any:
    """A schema without what only explains. `is_named`: its keys are names of fields or types."""
    if isinstance(schema, list):
        return [shape_of(each) for each in schema]
    if not isinstance(schema, dict):
        return schema
    return {
        key: shape_of(value, is_named=not is_named and key in ("properties", "$defs"))
        for key, value in schema.items()
        if is_named or key not in ("title", "description", "examples")
    }


def files(root: Path) -> dict[str, str]:
    """Everything that is written anew each time, by path below the root of the contracts."""
    written = {
        "asyncapi.yaml": GENERATED_NOTE + as_yaml(document(TOPICS)),
        "README.md": _with_catalogue((root / "README.md").read_text()),
    }
    for name, fact in FACTS.items():
        written[f"schemas/{name}.json"] = _pretty(schema_of(fact))
        written[f"examples/{name}.json"] = _pretty(EXAMPLES[name].model_dump(mode="json"))
    return written


def histories(root: Path) -> dict[str, str]:
    """The golden files that are still to be written: one a fact, byte for byte, never again."""
    return {
        f"history/{name}.json": encode(EXAMPLES[name]).decode() + "\n"
        for name in FACTS
        if not (root / f"history/{name}.json").exists()
    }


def broken_promises(root: Path) -> list[str]:
    """Released facts whose shape changed, or that can no longer be read."""
    flaws = []
    for path in sorted((root / "schemas").glob("*.json")):
        name = path.name.removesuffix(".json")
        if name in FACTS:
            if shape_of(json.loads(path.read_text())) != shape_of(schema_of(FACTS[name])):
                flaws.append(f"{name} is released and has changed: make the change a new version")
        elif not _is_read(name):
            flaws.append(f"{name} is released and nothing reads it: declare an upcaster")
    return flaws


def outdated(root: Path) -> list[str]:
    """Files that differ from what the facts say, or are not there yet."""
    wanted = files(root) | histories(root)
    return [
        path
        for path, text in wanted.items()
        if not (root / path).exists() or (root / path).read_text() != text
    ]


def emit(root: Path) -> None:
    for path, text in (files(root) | histories(root)).items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text)


def main(arguments: list[str], root: Path = ROOT) -> int:
    """0, or 1 with what is wrong on stderr; nothing is written then."""
    flaws = broken_promises(root)
    if arguments == ["--check"]:
        flaws += [f"{path} is out of date: run this without --check" for path in outdated(root)]
    elif not flaws:
        emit(root)
    sys.stderr.write("".join(f"contracts: {flaw}\n" for flaw in flaws))
    return 1 if flaws else 0


def _with_catalogue(readme: str) -> str:
    """The text with its table of topics and facts as they are now."""
    before, _, rest = readme.partition(CATALOGUE_BEGINS)
    _, _, after = rest.partition(CATALOGUE_ENDS)
    rows = ["| topic | written by | facts |", "|---|---|---|"]
    for topic in TOPICS:
        facts = ", ".join(
            f"[{fact.__name__}](schemas/{fact.fact_type}.json)" for fact in topic.facts
        )
        rows.append(f"| `{topic.name}` | {topic.owner} | {facts} |")
    table = "\n".join(rows)
    return f"{before}{CATALOGUE_BEGINS}\n{table}\n{CATALOGUE_ENDS}{after}"


def _is_read(name: str) -> bool:
    try:
        current_type(name)
    except UnknownFact:
        return False
    return True


def _pretty(value: Any) -> str:
    return json.dumps(value, indent=2, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
