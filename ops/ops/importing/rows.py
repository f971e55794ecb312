"""A file as rows: JSON Lines or CSV, each row with its line, or with what is wrong with it."""

import csv
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ops.failures import OpsError

JSON_LINES = (".jsonl", ".ndjson")
BETWEEN = ";"  # the values of a list in one cell


class FileUnreadable(OpsError):
    """The file as a whole is none that could be imported."""


@dataclass(frozen=True)
class RowError:
    """`pointer`: a JSON pointer into the row; empty: all of it. `type`: of the API's problem."""

    line: int
    pointer: str
    message: str
    type: str | None = None


@dataclass(frozen=True)
class Row:
    """`line`: of the file, from 1, where it begins. `document`: without members that are null."""

    line: int
    document: Mapping[str, Any]


def rows_of(file: Path, schema: Mapping[str, Any]) -> Iterator[Row | RowError]:
    """`schema`: JSON Schema of a row: it says what a cell of CSV holds.

    Raises FileUnreadable.
    """
    if file.suffix in JSON_LINES:
        return _json_lines(file)
    if file.suffix == ".csv":
        return _csv(file, schema)
    raise FileUnreadable(f"{file.name} is neither .csv nor {' nor '.join(JSON_LINES)}.")


def about_how_many(file: Path) -> int:
    """Lines; rows of CSV may have several, and its first one names the columns."""
    with file.open("rb") as lines:
        return sum(1 for line in lines if line.strip())


def _json_lines(file: Path) -> Iterator[Row | RowError]:
    with file.open("rb") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                document = json.loads(
                    line, object_pairs_hook=_members, parse_constant=_refuse_constant
                )
            except (ValueError, RecursionError) as fault:
                yield RowError(number, "", f"This line is no JSON: {fault}")
                continue
            if isinstance(document, dict):
                yield Row(number, document)
            else:
                yield RowError(number, "", "A line is one object")


def _members(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(pairs)) < len(pairs):
        raise ValueError("a member is given more than once")
    return {name: value for name, value in pairs if value is not None}


def _refuse_constant(text: str) -> Any:
    raise ValueError(f"{text} is no number of JSON")


def _csv(file: Path, schema: Mapping[str, Any]) -> Iterator[Row | RowError]:
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            reader = csv.reader(lines, strict=True)
            columns = next(reader, [])
            wholes = {column.partition(".")[0] for column in columns if "." in column}
            if len({*columns, *wholes}) < len(columns) + len(wholes) or not all(columns):
                raise FileUnreadable(f"{file.name}: its first line names each column, once.")
            line = reader.line_num + 1
            for cells in reader:
                if len(cells) == len(columns):
                    named = zip(columns, cells, strict=True)
                    yield Row(line, _nested({name: cell for name, cell in named if cell}, schema))
                elif cells:
                    yield RowError(line, "", f"{len(cells)} cells for {len(columns)} columns")
                line = reader.line_num + 1
    except (UnicodeDecodeError, csv.Error) as fault:
        raise FileUnreadable(f"{file.name} is no CSV in UTF-8: {fault}") from fault


def _nested(cells: Mapping[str, str], schema: Mapping[str, Any]) -> dict[str, Any]:
    """A column named `partner.id` is the member `id` of `partner`."""
    document: dict[str, Any] = {}
    for column, cell in cells.items():
        name, _, member = column.partition(".")
        holds = _member(schema, name, schema)
        if member:
            of_it = _member(holds, member, schema).get("type")
            document.setdefault(name, {})[member] = _value(cell, of_it)
        else:
            document[name] = _value(cell, holds.get("type"))
    return document


def _member(of: Mapping[str, Any], name: str, schema: Mapping[str, Any]) -> Mapping[str, Any]:
    """Its schema, wherever it stands."""
    found: Mapping[str, Any] = of.get("properties", {}).get(name, {})
    if "$ref" in found:
        _, *path = found["$ref"].split("/")
        for each in path:
            schema = schema[each]
        return schema
    return found


def _value(cell: str, type: str | None) -> Any:
    """What is not what its column takes stays text: the schema says so with the row's line."""
    if type == "array":
        return [each.strip() for each in cell.split(BETWEEN)]
    if type == "integer" and cell.removeprefix("-").isdecimal() and cell.isascii():
        return int(cell)
    return cell
