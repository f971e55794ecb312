"""What the statements of all services' read models have in common."""

import json
from collections.abc import Callable
from typing import Any

from .database import Row, Transaction
from .statements import begins


def changes(
    statement: str, table: str, key: str, *, patch: dict[str, Callable[[Row, Any], Any]]
) -> None:
    """UPDATE ... WHERE key AND version < the fact's."""

    def update(tx: Transaction, values: Any) -> int:
        its_id = values[key]
        tx.lock((table, its_id))
        row = tx.get(table, its_id)
        if row is None or row["version"] >= values["version"]:
            return 0
        new = {name: changed(row, values) for name, changed in patch.items()}
        return tx.put(table, its_id, row | new | {"version": values["version"]})

    begins(statement)(update)


def given(name: str) -> Callable[[Row, Any], Any]:
    return lambda row, values: values[name]


def given_or_kept(name: str) -> Callable[[Row, Any], Any]:
    return lambda row, values: row[name] if values[name] is None else values[name]


def always(value: Any) -> Callable[[Row, Any], Any]:
    return lambda row, values: value


def patched(row: Row, values: Any) -> Any:
    return row["document"] | json.loads(values["patch"])
