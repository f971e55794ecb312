"""What is counted and measured in a process, under the names that Prometheus shows."""

from collections.abc import Iterable, Mapping, Sequence
from functools import cache

from prometheus_client import (
    CollectorRegistry,
    Counter,
    Histogram,
    Metric,
    ProcessCollector,
    disable_created_metrics,
    generate_latest,
)
from prometheus_client.core import GaugeMetricFamily
from prometheus_client.registry import Collector

disable_created_metrics()  # type: ignore[no-untyped-call] # a second series that nobody asks for

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512)

# What a process knows only when it is asked: help, and labels.
STATE: Mapping[str, tuple[str, tuple[str, ...]]] = {
    "prm_scrape_failed": ("1: this could not be read now, and its gauges are left out.", ("what",)),
    "prm_build_info": ("1, with what runs here.", ("service", "role", "version")),
    "prm_ready": ("1: ready, 0: /readyz says why not.", ()),
    "prm_store_position": ("Last position of the store.", ()),
    "prm_store_blocked": ("1: commands are refused, the store was set back.", ()),
    "prm_relay_leader": ("1: this process publishes the facts of its service.", ()),
    "prm_relay_position": ("Last position that lies on its topic, confirmed.", ()),
    "prm_relay_behind": ("Facts of the store that are not published yet.", ()),
    "prm_relay_behind_seconds": ("Age of the oldest fact that is not published yet.", ()),
    "prm_delivery_lag": (
        "Facts at the end of a topic without effect yet: end less tracked offset.",
        ("subscriber", "topic"),
    ),
    "prm_delivery_stopped_partitions": ("Partitions that nobody takes facts from.", ()),
    "prm_parked_facts": (
        "Facts that wait (failed, held, unknown, forked, behind) or are dead.",
        ("state", "kind"),
    ),
    "prm_parked_aggregates": ("Aggregates that wait behind a parked fact.", ("subscriber",)),
    "prm_deadlines_pending": ("Deadlines that have not fired.", ()),
    "prm_deadlines_late": ("Of these, those whose instant has passed.", ()),
    "prm_deadlines_oldest_late_seconds": ("How long the oldest of these has been late.", ()),
    "prm_errands_waiting": ("Work in the outside world that is not done yet.", ("rule",)),
    "prm_errands_in_vain": ("Of this, what was tried in vain so far.", ("rule",)),
}

State = Mapping[str, Iterable[tuple[Sequence[str], float]]]  # samples: values of labels, value


class Metrics(Collector):
    """One registry a process; `labels` by name. No label holds an id or what people wrote."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.labels = {name: labels for name, (_, labels) in STATE.items()}
        self._of_http()
        self._of_the_store()
        self._of_the_delivery()
        self._state: State = {}
        self.registry.register(self)
        ProcessCollector(registry=self.registry)

    def _of_http(self) -> None:
        requests = self._counter(
            "prm_http_requests", "Requests answered.", "method", "route", "status"
        )
        request_seconds = self._seconds(
            "prm_http_request_seconds",
            "Time until an answer begins, by template of the path.",
            "method",
            "route",
        )
        refusals = self._counter(
            "prm_refusals", "Problem documents answered, by their type.", "type"
        )
        # Every request asks for these; their labels are few, and finding them takes half the time.
        self.request, self.request_seconds = cache(requests.labels), cache(request_seconds.labels)
        self.refusal = cache(refusals.labels)

    def _of_the_store(self) -> None:
        commands = self._counter(
            "prm_commands",
            "Commands, by outcome: accepted, repeated, refused, unavailable or failed.",
            "operation",
            "outcome",
        )
        self.command = cache(commands.labels)
        self.clashes = self._counter(
            "prm_command_clashes", "Commands decided again, for others were faster."
        )
        self.batch_commands = self._histogram(
            "prm_append_batch_commands", "Commands appended at once.", COUNTS[:9]
        )
        self.append_seconds = self._seconds(
            "prm_append_seconds", "From the call to the durable append of a batch."
        )
        self.append_failures = self._counter(
            "prm_append_failures", "Batches that the database did not take at once."
        )
        self.sent = self._counter(
            "prm_relay_sent", "Facts published and acknowledged, repeats among them.", "topic"
        )
        self.send_failures = self._counter(
            "prm_relay_send_failures", "Batches of facts that the broker did not take."
        )

    def _of_the_delivery(self) -> None:
        self.window_facts = self._histogram(
            "prm_delivery_window_facts",
            "Records in a window that was committed, repeats among them.",
            COUNTS,
        )
        self.window_seconds = self._seconds(
            "prm_delivery_window_seconds", "From a window's first statement to its commit."
        )
        self.window_failures = self._counter(
            "prm_delivery_window_failures",
            "Windows rolled back and run again, by what was in the way.",
            "reason",
        )
        self.delivered = self._counter(
            "prm_delivery_facts", "Facts that took effect, once each.", "subscriber", "topic"
        )
        self.parkings = self._counter(
            "prm_delivery_parked", "Facts that were parked.", "subscriber", "kind"
        )
        self.retries = self._counter("prm_delivery_retries", "Parked facts that were tried again.")
        self.holes = self._counter(
            "prm_delivery_holes", "Times that facts were not handed over and read again."
        )
        self.fired = self._counter("prm_deadlines_fired", "Deadlines that fired.", "rule")

    def collect(self) -> Iterable[Metric]:
        for name, (told, labels) in STATE.items():
            family = GaugeMetricFamily(name, told, labels=labels)
            for values, value in self._state.get(name, ()):
                family.add_metric(values, value)
            yield family

    def shown(self, state: State) -> bytes:
        """As Prometheus reads it, with what was found out just now."""
        self._state = state
        return generate_latest(self.registry)

    def _counter(self, name: str, told: str, *labels: str) -> Counter:
        self.labels[name] = labels
        return Counter(name, told, labels, registry=self.registry)

    def _seconds(self, name: str, told: str, *labels: str) -> Histogram:
        return self._histogram(name, told, SECONDS, labels)

    def _histogram(
        self, name: str, told: str, buckets: Sequence[float], labels: tuple[str, ...] = ()
    ) -> Histogram:
        self.labels[name] = labels
        return Histogram(name, told, labels, registry=self.registry, buckets=buckets)
