"""The page of all metrics, docs/metrics.md: `python -m chassis.telemetry.described` prints it."""

from collections.abc import Iterator

from chassis.telemetry.metrics import Metrics

HEAD = """\
# Metrics

What `GET /metrics` of every process shows to Prometheus, without a token. Counters and histograms
tell of this process since its start; gauges are read when they are asked for, by processes that
have a worker, and left out when they cannot be (`prm_scrape_failed`). No label holds an id or
anything that people wrote. Beside these there are Prometheus' own `process_*`.

This page is printed by `python -m chassis.telemetry.described`.

| metric | type | labels | tells |
|---|---|---|---|
"""


def described() -> str:
    return HEAD + "".join(f"{row}\n" for row in sorted(_rows(Metrics())))


def _rows(metrics: Metrics) -> Iterator[str]:
    for family in metrics.registry.collect():
        if family.name in metrics.labels:
            name = f"{family.name}_total" if family.type == "counter" else family.name
            labels = ", ".join(metrics.labels[family.name])
            yield f"| `{name}` | {family.type} | {labels} | {family.documentation} |"


if __name__ == "__main__":
    print(described(), end="")  # noqa: T201 - its purpose
