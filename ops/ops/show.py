"""How the command line shows things: a plain table, or JSON."""

import json
import re
from collections.abc import Sequence
from typing import Any


def table(head: Sequence[str], rows: Sequence[Sequence[Any]]) -> str:
    """Columns as wide as their widest cell but the last; None is shown as a dash."""
    cells = [head, *(["-" if cell is None else str(cell) for cell in row] for row in rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    lines = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in cells)
    return "\n".join(lines)


def as_json(document: Any) -> str:
    return json.dumps(document, indent=2, ensure_ascii=False)


def without_password(dsn: str) -> str:
    return re.sub(r"(?<=:)[^:@/]+(?=@)|(?<=password=)\S+", "***", dsn)
