"""What a service shows of itself at /metrics."""

from dataclasses import dataclass

import httpx2
from prometheus_client.parser import text_string_to_metric_families

from ops.loopback import HTTP

Labels = frozenset[tuple[str, str]]


@dataclass(frozen=True)
class Vitals:
    samples: dict[tuple[str, Labels], float]

    @staticmethod
    def read(url: str) -> "Vitals | None":
        """None: it does not show any."""
        try:
            answer = HTTP.get(f"{url}/metrics", timeout=10)
            if not answer.is_success:
                return None
            return Vitals(
                {
                    (sample.name, frozenset(sample.labels.items())): sample.value
                    for family in text_string_to_metric_families(answer.text)
                    for sample in family.samples
                }
            )
        except (httpx2.HTTPError, ValueError):
            return None

    def get(self, name: str) -> float | None:
        """Of a metric without labels; None: it could not be read."""
        return self.samples.get((name, frozenset()))

    def by(self, name: str, label: str) -> dict[str, float]:
        """Summed by the values of one label."""
        found: dict[str, float] = {}
        for (sample, labels), value in self.samples.items():
            if sample == name:
                of = dict(labels)[label]
                found[of] = found.get(of, 0) + value
        return found
