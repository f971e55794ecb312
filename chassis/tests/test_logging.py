"""What a line of log says, and what it leaves out."""

import json
import logging
from collections.abc import Iterator

import pytest
from pydantic import BaseModel, ValidationError

from chassis.running.logging import ALIKE, AsJson, NoFloods
from chassis.web.problems import correlation


class Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[dict[str, str]] = []
        self.setFormatter(AsJson("deal-svc"))
        self.addFilter(NoFloods())

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


def test_a_flood_of_one_kind_is_cut_and_counted_and_others_go_on(
    lines: Lines, monkeypatch: pytest.MonkeyPatch
) -> None:
    for number in range(100):
        LOG.warning("broker away, try %s", number)
    LOG.warning("something else")
    monkeypatch.setattr("chassis.running.logging.time.monotonic", lambda: 1e12)
    LOG.warning("broker away, try %s", 100)

    assert len(lines.lines) == ALIKE + 2
    assert lines.lines[-1]["left_out"] == f"{100 - ALIKE} lines of this kind before"
