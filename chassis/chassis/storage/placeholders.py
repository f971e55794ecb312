"""Statements in psycopg's style as the server takes them, for those who speak to libpq."""

import re
from collections.abc import Mapping, Sequence
from functools import lru_cache
from typing import Any, LiteralString, NamedTuple

from psycopg.adapt import PyFormat

PLACEHOLDER = re.compile(r"%(?:\((\w+)\))?([sbt%])")
FORMATS = {"s": PyFormat.AUTO, "b": PyFormat.BINARY, "t": PyFormat.TEXT}


class Numbered(NamedTuple):
    """With $1, $2 ... `names`: of the values in this order, where they have any."""

    sql: bytes
    names: tuple[str, ...]
    formats: tuple[PyFormat, ...]

    def given(self, values: Sequence[Any] | Mapping[str, Any]) -> Sequence[Any]:
        """In their order."""
        return [values[name] for name in self.names] if isinstance(values, Mapping) else values


@lru_cache(maxsize=1024)
def numbered(query: LiteralString) -> Numbered:
    """A name that comes again is one value."""
    names: list[str] = []
    formats: list[PyFormat] = []

    def number(found: re.Match[str]) -> str:
        name, letter = found.groups()
        if letter == "%":
            return "%"
        if name is not None and name in names:
            return f"${names.index(name) + 1}"
        formats.append(FORMATS[letter])
        if name is not None:
            names.append(name)
        return f"${len(formats)}"

    return Numbered(PLACEHOLDER.sub(number, query).encode(), tuple(names), tuple(formats))
