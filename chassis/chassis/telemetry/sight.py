"""What the parts of one process share, so that others see it."""

from dataclasses import dataclass, field

from chassis.telemetry.metrics import Metrics
from chassis.telemetry.tracing import Tracer


@dataclass(frozen=True)
class Sight:
    """Without arguments: counted, but shown to nobody; traces go on, but are not recorded."""

    metrics: Metrics = field(default_factory=Metrics)
    tracer: Tracer = field(default_factory=Tracer)
