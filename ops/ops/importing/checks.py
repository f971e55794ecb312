"""What can be said of a row before anything is sent: its shape, repeats, and what it refers to."""

from collections.abc import Iterator, Mapping
from datetime import datetime
from typing import Any

from jsonschema_rs import Draft202012Validator

from chassis.web.problems import pointer
from ops.importing.kinds import Kind, name_of
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

    def reference(self, row: Mapping[str, Any]) -> str:
        """The id that the row's reference names; empty: it names none."""
        refers = self._kind.refers
        if refers is None or refers.column not in row:
            return ""
        said = row[refers.column]
        return self._known.get(said if isinstance(said, str) else name_of(said), "")

    def _told(self, row: Row) -> Iterator[tuple[str, str]]:
        document, refers = row.document, self._kind.refers
        first = self._lines.setdefault(name_of(document["external_id"]), row.line)
        if first != row.line:
            yield "/external_id", f"Line {first} has the same external id"
        if refers and refers.column in document and not self.reference(document):
            yield f"/{refers.column}", f"There is none of that name: see {refers.list_path}"
        follows = self._kind.then(document, "")
        if follows and _instant(follows.occurred_at) < _instant(document["occurred_at"]):
            yield f"/{follows.dated}", "It lies before occurred_at"
        if follows and follows.four_eyes and not self._has_approver:
            yield "/terms_version", "Another person approves: name who did with --approver NAME"


def _instant(text: str) -> datetime:
    return datetime.fromisoformat(text.upper())
