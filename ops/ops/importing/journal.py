"""What lies beside a file that is imported: what of it was done, and what was refused."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TextIO

from ops.importing.kinds import Kind, digest, name_of


class Lines:
    """JSON Lines, each on its way to the disk as soon as it is added; no file before the first."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._out: TextIO | None = None

    def add(self, document: Mapping[str, Any]) -> None:
        self._out = self._out or self.path.open("a", encoding="utf-8")
        self._out.write(json.dumps(document, ensure_ascii=False) + "\n")
        self._out.flush()

    def close(self) -> None:
        if self._out:
            self._out.close()


@dataclass(frozen=True)
class Done:
    """`digest`: SHA-256, hex, of the row as it was done."""

    id: str
    digest: str


class Journal(Lines):
    """`FILE.done.jsonl`: an import that was killed goes on behind it."""

    def __init__(self, file: Path, kind: Kind) -> None:
        super().__init__(file.with_name(f"{file.name}.done.jsonl"))
        self._identity = kind.identity
        self.done: dict[str, Done] = {}
        if self.path.exists():
            self._read()

    def _read(self) -> None:
        whole, end, torn = self.path.read_bytes().rpartition(b"\n")
        if torn:  # it was killed within a line: that row is sent again, to no effect
            self.path.write_bytes(whole + end)
        for line in whole.splitlines():
            row = json.loads(line)
            self.done[name_of(row[self._identity])] = Done(row["id"], row["digest"])

    def tell(self, row: Mapping[str, Any], id: str) -> None:
        self.add({self._identity: row[self._identity], "id": id, "digest": digest(row)})
