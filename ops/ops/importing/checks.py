"""What can be said of a row before anything is sent: its shape, repeats, and what it refers to."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from jsonschema_rs import Draft202012Validator

from chassis.web.problems import pointer
from ops.importing.kinds import Kind
from ops.importing.rows import Row, RowError


class Checks:
    """Of one file, in its order. `known`: ids by what the kind's reference may say.

    `has_approver`: somebody was named who approves what another registers.
    """

    def __init__(
        self, kind: Kind, schema: Mapping[str, Any], known: Mapping[str, str], *, has_approver: bool
    ) -> None:
        self._kind, self._known, self._has_approver = kind, known, has_approver
        # The values of a row stay out of messages: they may be personal.
        self._shape = Draft202012Validator(dict(schema), validate_formats=True, mask="the value")
        self._lines: dict[str, int] = {}

    def wrong_with(self, row: Row) -> list[RowError]:
        wrong = [
            RowError(row.line, pointer(each.instance_path), each.message)
            for each in self._shape.iter_errors(row.document)
        ]
        if wrong:
            return wrong
        return [RowError(row.line, *told) for told in self._told(row)]

    def references(self, row: Mapping[str, Any]) -> list[str]:
        """The ids that the row's reference names, in its order; empty: one that nobody knows."""
        return [self._known.get(name, "") for _, name in self._said(row)]

    def _said(self, row: Mapping[str, Any]) -> list[tuple[str, str]]:
        refers = self._kind.refers
        return refers.said(row[refers.column]) if refers and refers.column in row else []

    def _told(self, row: Row) -> Iterator[tuple[str, str]]:
        kind, document = self._kind, row.document
        first = self._lines.setdefault(kind.known_as(document), row.line)
        if first != row.line:
            same = kind.identity.replace("_", " ")
            yield f"/{kind.identity}", f"Line {first} has the same {same}"
        for (where, _), found in zip(self._said(document), self.references(document), strict=True):
            if kind.refers and not found:
                at = f"/{kind.refers.column}{where}"
                yield at, f"There is none of that name: see {kind.refers.list_path}"
        for follows in kind.then(document, ""):
            if _instant(follows.occurred_at) < _instant(document["occurred_at"]):
                yield f"/{follows.dated}", "It lies before occurred_at"
            if follows.asked_by and not self._has_approver:
                yield (
                    f"/{follows.asked_by}",
                    "Another person approves: name who did with --approver NAME",
                )


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text.upper())
