"""Which function answers a statement: the models beside this one say so as they are imported.

A statement that nobody answers fails the run with its text. Then: find the model of who sends it
(README.md), and write one function that does the same to the tables of a `Transaction`. `answers`
where the chassis names the statement, `begins` where it has a beginning that no other has.
`test_the_model_is_true.py` sends it to PostgreSQL and compares.
"""

from collections.abc import Callable, Sequence
from typing import Any

from .database import Answer, Event, Transaction

Handler = Callable[[Transaction, Any], Answer]
HANDLERS: dict[str, Handler] = {}
PREFIXES: dict[str, Handler] = {}
TRIGGERS: dict[str, Callable[[Transaction, Sequence[Event]], None]] = {}  # on append, by database


def answers(*statements: str) -> Callable[[Handler], Handler]:
    """The function that stands for these statements. Rows as dicts in the order of the columns."""

    def keep(handler: Handler) -> Handler:
        HANDLERS.update(dict.fromkeys(statements, handler))
        return handler

    return keep


def begins(*prefixes: str) -> Callable[[Handler], Handler]:
    """As `answers`, for statements that begin so."""

    def keep(handler: Handler) -> Handler:
        PREFIXES.update(dict.fromkeys(prefixes, handler))
        return handler

    return keep


def handler_of(statement: str) -> Handler:
    if statement not in HANDLERS:
        found = [each for prefix, each in PREFIXES.items() if statement.startswith(prefix)]
        if len(found) != 1:
            count = len(found) or "no"
            raise NotImplementedError(f"{count} model of this statement: {statement}")
        HANDLERS[statement] = found[0]
    return HANDLERS[statement]
