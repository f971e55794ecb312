"""What a line of log says, and what it leaves out."""

import json
import logging
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import pytest
from pydantic import BaseModel, ValidationError

from chassis.running.logging import ALIKE, AsJson, NoFloods
from chassis.running.logging import Lines as Written
from chassis.telemetry.at_work import at_work_on
from chassis.telemetry.tracing import Tracer
from chassis.web.problems import correlation


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, Any]] = []
        self.setFormatter(AsJson("deal-svc"))
        self.no_floods = NoFloods(self)
        self.addFilter(self.no_floods)

    def emit(self, record: logging.LogRecord) -> None:
        self.lines.append(json.loads(self.format(record)))


@pytest.fixture
def lines() -> Iterator[Lines]:
    lines, log = Lines(), logging.getLogger("chassis.sample")
    log.propagate = False
    log.addHandler(lines)
    yield lines
    log.removeHandler(lines)
    log.propagate = True


LOG = logging.getLogger("chassis.sample")
AWAY = "broker away, try %s"


def test_a_line_is_one_json_object_with_service_and_correlation(lines: Lines) -> None:
    token = correlation.set("c-1")

    LOG.warning("two\nlines of %s", "text")
    correlation.reset(token)

    [line] = lines.lines
    assert line["message"] == "two\nlines of text"
    assert (line["service"], line["correlation_id"], line["level"]) == (
        "deal-svc",
        "c-1",
        "WARNING",
    )


def test_a_fault_is_told_without_the_values_that_it_quotes(lines: Lines) -> None:
    class Person(BaseModel):
        age: int

    try:
        Person.model_validate({"age": "ben@alpha.example"})
    except ValidationError:
        LOG.exception("fault")

    [line] = lines.lines
    assert "ValidationError: 1 validation error for Person" in line["fault"]
    assert "test_logging.py" in line["fault"]
    assert "ben@" not in json.dumps(line)


def flood(count: int) -> None:
    for number in range(count):
        LOG.warning("broker away, try %s", number)


def messages(lines: Lines) -> list[str]:
    return [line["message"] for line in lines.lines]


def test_a_flood_of_one_kind_is_cut_and_others_go_on(lines: Lines) -> None:
    flood(100)
    LOG.warning("something else")

    assert messages(lines) == [*(f"broker away, try {n}" for n in range(ALIKE)), "something else"]


def test_what_was_left_out_is_told_when_the_flood_has_ended(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    flood(100)
    monkeypatch.setattr("chassis.running.logging.time.monotonic", lambda: 1e12)
    with at_work_on(lambda: {"event_id": "e-1"}):
        LOG.warning("something else")

    assert messages(lines)[ALIKE:] == [
        f"95 lines like this were left out: {AWAY}",
        "something else",
    ]
    assert ["event_id" in line for line in lines.lines[ALIKE:]] == [False, True]


def test_what_was_left_out_is_told_though_nothing_more_is_written(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("chassis.running.logging.WINDOW", 0.05)
    flood(100)

    assert lines.no_floods._timer
    lines.no_floods._timer.join(5)
    assert messages(lines)[ALIKE:] == [f"95 lines like this were left out: {AWAY}"]


def test_what_was_left_out_is_told_at_the_latest_when_the_process_ends(
    capsys: pytest.CaptureFixture[str],
) -> None:
    out = Written("deal-svc")
    for _ in range(7):
        out.handle(logging.LogRecord("chassis", logging.INFO, "", 1, "again", (), None))

    out.close()

    told = [json.loads(line)["message"] for line in capsys.readouterr().out.splitlines()]
    assert told == ["again"] * ALIKE + ["2 lines like this were left out: again"]


def test_a_line_tells_what_the_process_is_at_work_on(lines: Lines) -> None:
    traceparent = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    with Tracer().begin("", traceparent), at_work_on(lambda: {"topic": "t", "offset": 3}):
        with at_work_on(lambda: {"command_id": UUID(int=7)}):
            LOG.warning("inside")
        LOG.warning("outside")

    inside, outside = lines.lines
    assert inside["trace_id"] == outside["trace_id"] == "0af7651916cd43dd8448eb211c80319c"
    assert (inside["topic"], inside["offset"], inside["command_id"]) == ("t", 3, str(UUID(int=7)))
    assert "command_id" not in outside
