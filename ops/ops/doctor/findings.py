"""What the doctor finds: one area after another, and what is wrong there."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any, Literal

Severity = Literal["broken", "hampered", "unknown"]


@dataclass(frozen=True)
class Finding:
    """`broken`: it does not do its work; `hampered`: some of it; `unknown`: it cannot be told.

    `since`: an instant, or how long, where that is known.
    """

    severity: Severity
    what: str
    to_do: str
    since: str = ""

    def lines(self) -> list[str]:
        since = f" (since {self.since})" if self.since else ""
        return [f"  {self.severity}: {self.what}{since}", f"      to do: {self.to_do}"]


@dataclass(frozen=True)
class Area:
    """`well`: what is said of it when nothing was found."""

    name: str
    well: str
    findings: tuple[Finding, ...] = ()

    def lines(self) -> list[str]:
        if not self.findings:
            return [f"{self.name}: {self.well}"]
        return [f"{self.name}:", *(line for each in self.findings for line in each.lines())]


def exit_code(areas: Iterable[Area]) -> int:
    """0: healthy, 1: something is wrong, 2: that cannot be told."""
    found = {finding.severity for area in areas for finding in area.findings}
    return 1 if found - {"unknown"} else 2 if found else 0


def as_document(areas: Iterable[Area]) -> dict[str, Any]:
    areas = tuple(areas)
    return {"healthy": exit_code(areas) == 0, "areas": [asdict(area) for area in areas]}
