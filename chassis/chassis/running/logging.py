"""Logs: one JSON object a line on standard output, without personal data, without floods."""

import json
import logging
import sys
import threading
import time
import traceback
from contextvars import Context
from dataclasses import dataclass
from datetime import UTC, datetime
from types import TracebackType
from typing import Any

from chassis.telemetry.at_work import told as at_work
from chassis.telemetry.tracing import trace_id
from chassis.web.problems import correlation

LONGEST = 500  # characters of a message
ALIKE = 5  # lines of one kind within WINDOW
WINDOW = 10.0  # seconds
QUIET = {"aiokafka": "WARNING", "faust": "WARNING", "mode": "WARNING", "httpx2": "WARNING"}


class AsJson(logging.Formatter):
    """`at`, `level`, `service`, `logger`, `message`; `correlation_id`, `trace_id`, `fault`, and
    what the process is at work on, where there are.
    """

    def __init__(self, service: str) -> None:
        super().__init__()
        self.service = service

    def format(self, record: logging.LogRecord) -> str:
        line: dict[str, object] = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self.service,
            "logger": record.name,
            "message": record.getMessage()[:LONGEST],
        }
        if served := correlation.get():
            line["correlation_id"] = served
        if traced := trace_id():
            line["trace_id"] = traced
        line |= at_work()
        if record.exc_info and record.exc_info[1]:
            line["fault"] = told(record.exc_info[1], record.exc_info[2])
        return json.dumps(line, ensure_ascii=False, default=str)


def told(fault: BaseException, trace: TracebackType | None) -> str:
    """Kind, first line and where it was raised. Later lines of messages quote values: left out."""
    where = [
        f"{frame.filename.rpartition('site-packages/')[2]}:{frame.lineno} {frame.name}"
        for frame in traceback.extract_tb(trace)[-12:]
    ]
    said = (str(fault).splitlines() or [""])[0][:LONGEST]
    return f"{type(fault).__name__}: {said} | {' > '.join(where)}"


@dataclass
class Flood:
    """Lines of one kind within WINDOW: how many were let through, and how many left out."""

    first: logging.LogRecord
    ends_at: float
    let_through: int = 0
    left_out: int = 0


class NoFloods(logging.Filter):
    """Of lines that differ in their arguments only, ALIKE in WINDOW. How many were left out stands
    in a line of its own: at the end of the window, and at the latest when the process ends.
    """

    def __init__(self, out: logging.Handler) -> None:
        super().__init__()
        self._out = out
        self._floods: dict[tuple[object, ...], Flood] = {}
        self._timer: threading.Timer | None = None
        self._lock = threading.RLock()

    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.name, record.msg, getattr(record, "kind", "")
        now = time.monotonic()
        with self._lock:
            self.tell(now)
            flood = self._floods.setdefault(kind, Flood(record, now + WINDOW))
            if flood.let_through < ALIKE:
                flood.let_through += 1
                return True
            flood.left_out += 1
            self._tell_later(flood.ends_at - now)
            return False

    def tell(self, until: float = float("inf")) -> None:
        """Of all windows that have ended by then, what was left out in them."""
        with self._lock:
            over = [kind for kind, flood in self._floods.items() if flood.ends_at <= until]
            for flood in map(self._floods.pop, over):
                if flood.left_out:  # it is about none of what is under way here
                    Context().run(self._out.emit, _summary(flood))

    def _tell_later(self, seconds: float) -> None:
        """Nobody may write a line by then. A thread of its own, for a log knows no event loop."""
        if self._timer is None or not self._timer.is_alive():
            self._timer = threading.Timer(seconds + 0.1, lambda: self.tell(time.monotonic()))
            self._timer.daemon = True
            self._timer.start()


def _summary(flood: Flood) -> logging.LogRecord:
    first = flood.first
    said = "%s lines like this were left out: %s", (flood.left_out, str(first.msg))
    return logging.LogRecord(first.name, first.levelno, first.pathname, first.lineno, *said, None)


class Lines(logging.StreamHandler[Any]):
    """On standard output."""

    def __init__(self, service: str) -> None:
        super().__init__(sys.stdout)
        self.setFormatter(AsJson(service))
        self.no_floods = NoFloods(self)
        self.addFilter(self.no_floods)

    def close(self) -> None:
        """Called at the end of the process."""
        self.no_floods.tell()
        super().close()


def log_as_json(service: str) -> None:
    """The whole process logs this way from here on."""
    root = logging.getLogger()
    root.handlers = [Lines(service)]
    root.setLevel(logging.INFO)
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
