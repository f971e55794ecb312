"""Logs: one JSON object a line on standard output, without personal data, without floods."""

import json
import logging
import sys
import time
import traceback
from datetime import UTC, datetime
from types import TracebackType

from chassis.web.problems import correlation

LONGEST = 500  # characters of a message
ALIKE = 5  # lines of one kind within WINDOW
WINDOW = 10.0  # seconds
QUIET = {"aiokafka": "WARNING", "faust": "WARNING", "mode": "WARNING", "httpx2": "WARNING"}


class AsJson(logging.Formatter):
    """`at`, `level`, `service`, `logger`, `message`; `correlation_id`, `fault` where there are."""

    def __init__(self, service: str) -> None:
        super().__init__()
        self.service = service

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "at": datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "service": self.service,
            "logger": record.name,
            "message": record.getMessage()[:LONGEST],
        }
        if served := correlation.get():
            line["correlation_id"] = served
        if repeated := getattr(record, "repeated", 0):
            line["left_out"] = f"{repeated} lines of this kind before"
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


class NoFloods(logging.Filter):
    """Of lines that differ in their arguments only, a few in ten seconds; a later one counts."""

    def __init__(self) -> None:
        super().__init__()
        self._seen: dict[tuple[str, str], list[float]] = {}  # window's end, let through, left out

    def filter(self, record: logging.LogRecord) -> bool:
        kind = record.name, str(record.msg)
        now = time.monotonic()
        window = self._seen.get(kind)
        if window is None or now > window[0]:
            record.repeated = int(window[2]) if window else 0
            if len(self._seen) > 1000:  # noqa: PLR2004 - texts made by hand never end
                self._seen.clear()
            self._seen[kind] = window = [now + WINDOW, 0, 0]
        if window[1] >= ALIKE:
            window[2] += 1
            return False
        window[1] += 1
        return True


def log_as_json(service: str) -> None:
    """The whole process logs this way from here on."""
    out = logging.StreamHandler(sys.stdout)
    out.setFormatter(AsJson(service))
    out.addFilter(NoFloods())
    root = logging.getLogger()
    root.handlers = [out]
    root.setLevel(logging.INFO)
    for name, level in QUIET.items():
        logging.getLogger(name).setLevel(level)
