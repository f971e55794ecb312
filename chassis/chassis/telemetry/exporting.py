"""Spans that are recorded and sent to a collector. Imported only where one is named."""

import threading
from types import TracebackType

from opentelemetry import context, trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.sdk.trace.sampling import ParentBased, TraceIdRatioBased
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from chassis.telemetry.tracing import About, Kind, Span, Tracer

MOST_WAITING = 4096  # spans; what comes while the collector is away is left out
SENT_EVERY_MS = 1000
ANSWERED_WITHIN = 5.0  # seconds
STOPPED_WITHIN = 2.0
KINDS = {
    "internal": trace.SpanKind.INTERNAL,
    "server": trace.SpanKind.SERVER,
    "producer": trace.SpanKind.PRODUCER,
    "consumer": trace.SpanKind.CONSUMER,
}
PROPAGATION = TraceContextTextMapPropagator()


class Recorded(Span):
    """Ends when it is left; a fault is told by its kind only: messages quote values."""

    __slots__ = ("_span", "_tracer")

    def __init__(self, tracer: trace.Tracer, span: trace.Span) -> None:
        its = span.get_span_context()
        super().__init__(f"00-{its.trace_id:032x}-{its.span_id:016x}-{its.trace_flags:02x}")
        self._tracer, self._span = tracer, span

    def __exit__(
        self,
        kind: type[BaseException] | None,
        fault: BaseException | None,
        trace_: TracebackType | None,
    ) -> None:
        super().__exit__(kind, fault, trace_)
        if kind is not None:
            self._span.set_status(trace.Status(trace.StatusCode.ERROR, kind.__name__))
        self._span.end()

    def step(self, name: str, about: About) -> Span:
        inside = trace.set_span_in_context(self._span, context.Context())
        return Recorded(self._tracer, self._tracer.start_span(name, inside, attributes=dict(about)))

    def tell(self, name: str, about: About) -> None:
        self._span.update_name(name)
        self._span.set_attributes(dict(about))


class Exporting(Tracer):
    """A collector that is away disturbs nothing: a thread of its own waits for it."""

    is_recording = True

    def __init__(self, service: str, endpoint: str, ratio: float) -> None:
        address = f"{endpoint.rstrip('/')}/v1/traces"
        exporter = OTLPSpanExporter(address, timeout=ANSWERED_WITHIN)
        self._processor = BatchSpanProcessor(
            exporter, max_queue_size=MOST_WAITING, schedule_delay_millis=SENT_EVERY_MS
        )
        provider = TracerProvider(
            sampler=ParentBased(TraceIdRatioBased(ratio)),
            resource=Resource({"service.name": service}),
            shutdown_on_exit=False,
        )
        provider.add_span_processor(self._processor)
        self._tracer = provider.get_tracer("chassis")

    def begin(
        self, name: str, parent: str = "", kind: Kind = "internal", about: About | None = None
    ) -> Span:
        span = self._tracer.start_span(
            name, _inside(parent), KINDS[kind], attributes=dict(about or {})
        )
        recorded = Recorded(self._tracer, span)
        return recorded if span.is_recording() else Span(recorded.traceparent)

    def record(self, name: str, parent: str, began_at: int, about: About) -> None:
        span = self._tracer.start_span(
            name,
            _inside(parent),
            trace.SpanKind.PRODUCER,
            attributes=dict(about),
            start_time=began_at,
        )
        span.end()

    def close(self) -> None:
        """The library would wait for half a minute."""
        last = threading.Thread(target=self._processor.shutdown, daemon=True)
        last.start()
        last.join(STOPPED_WITHIN)


def _inside(traceparent: str) -> context.Context:
    return PROPAGATION.extract({"traceparent": traceparent}, context.Context())
