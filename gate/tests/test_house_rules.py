"""Each house rule names what breaks it, and leaves alone what does not."""

import pytest

from .planting import ROOT, copy_house, plant, run_tool

# (module, source whose last line breaks the rule, what is said of it)
BROKEN = [
    ("deal_svc.domain", "def apply(self, fact):\n    raise ValueError", "apply only assigns"),
    ("deal_svc.domain", "def apply(self, fact):\n    assert fact", "apply only assigns"),
    ("approvals", "def apply(self, fact):\n    raise ValueError", "apply only assigns"),
    ("deal_svc.domain", "a = datetime.now(UTC)", "no clock"),
    ("deal_svc.domain", "a = datetime.datetime.utcnow()", "no clock"),
    ("deal_svc.domain", "today = date.today", "no clock"),
    ("deal_svc.domain", "import time", "no clock"),
    ("deal_svc.domain", "from time import monotonic", "no clock"),
    ("deal_svc.application", "a = datetime.now(UTC)", "no clock"),
    ("deal_svc.policies", "a = datetime.now(UTC)", "no clock"),
    ("approvals", "a = datetime.now(UTC)", "no clock"),
    ("deal_svc.domain", "from uuid import UUID, uuid4", "no random source"),
    ("deal_svc.domain", "a = uuid.uuid7()", "no random source"),
    ("deal_svc.domain", "import random", "no random source"),
    ("deal_svc.application", "from uuid import uuid1", "no random source"),
    ("deal_svc.queries", "import secrets", "no random source"),
    ("deal_svc.domain", "import socket", "no I/O in domain"),
    ("deal_svc.domain", "from pathlib import Path", "no I/O in domain"),
    ("deal_svc.domain", "async def approve(): ...", "no I/O in domain"),
    ("deal_svc.domain", "a = open('x')", "no I/O in domain"),
    ("deal_svc.domain", "a = uuid5(SPACE, fact.model_dump_json())", "uuid5 never over a dumped"),
    ("deal_svc.domain", "a = uuid5(SPACE, name=json.dumps(key))", "uuid5 never over a dumped"),
    ("deal_svc.domain", "a = uuid5(SPACE, f'{key.model_dump()}')", "uuid5 never over a dumped"),
    ("chassis.context", "a = uuid5(SPACE, repr(key))", "uuid5 never over a dumped"),
    (
        "deal_svc.application",
        "def f(key):\n    text = key.model_dump_json()\n    return uuid5(SPACE, text)",
        "uuid5 never over a dumped",
    ),
    ("deal_svc.main", "a = os.environ['A']", "only settings reads the environment"),
    ("deal_svc.api", "from os import getenv", "only settings reads the environment"),
    ("deal_svc.worker", "a = os.getenv('A')", "only settings reads the environment"),
    ("chassis.errors", "topic = 'prm.deals'", "chassis knows no topic and no fact"),
    ("chassis.errors", "a = 'prm.deal.DealApproved.v1'", "chassis knows no topic and no fact"),
    ("deal_svc.domain", "match fact:\n    case int(): a = 1", "a match over a fact ends"),
    ("deal_svc.projections", "match recorded.fact:\n    case _: a = 1", "a match over a fact ends"),
    ("deal_svc.domain", "class DealHelper: ...", "a name says what a thing does"),
    ("chassis.errors", "def process_data(): ...", "a name says what a thing does"),
]
FINE = [
    ("deal_svc.domain", "def apply(self, fact):\n    self.status = fact.status"),
    ("deal_svc.domain", "def approve(self):\n    raise ValueError"),
    ("deal_svc.domain", "from datetime import datetime, timedelta"),
    ("deal_svc.domain", "from uuid import UUID, uuid5"),
    ("deal_svc.domain", "a = uuid5(SPACE, f'{key.country}:{key.name}')"),
    ("deal_svc.domain", "match fact:\n    case int(): a = 1\n    case _: assert_never(fact)"),
    ("deal_svc.domain", "match self.status:\n    case 1: a = 1"),
    ("deal_svc.settings", "a = os.environ['A']"),
    ("deal_svc.api", "a = datetime.now(UTC)"),
    ("deal_svc.main", "import time"),
    ("chassis.errors", "topic = f'prm.{service}.dead-letters'"),
    ("deal_svc.domain", "class DatabaseNote: ..."),
]


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], str]:
    """What the checker says of the last line of each planted source; all are planted at once."""
    house = copy_house(tmp_path_factory.mktemp("rules") / "house")
    planted = [(case[0], case[1]) for case in (*BROKEN, *FINE)]
    lines = {case: plant(house, *case) for case in planted}
    printed = run_tool(house, "python", str(ROOT / "gate/house_rules.py"), ".").splitlines()
    assert len(printed) > 1, printed  # one line alone: a file that does not parse
    return {
        case: "\n".join(line for line in printed if line.startswith(f"{place}:"))
        for case, place in lines.items()
    }


@pytest.mark.parametrize(("module", "source", "said"), BROKEN)
def test_a_broken_house_rule_is_named_where_it_is_broken(
    report: dict[tuple[str, str], str], module: str, source: str, said: str
) -> None:
    assert said in report[module, source]


@pytest.mark.parametrize(("module", "source"), FINE)
def test_what_breaks_no_house_rule_is_left_alone(
    report: dict[tuple[str, str], str], module: str, source: str
) -> None:
    assert report[module, source] == ""


def test_tests_that_are_a_package_are_named(tmp_path_factory: pytest.TempPathFactory) -> None:
    house = copy_house(tmp_path_factory.mktemp("rules") / "house")
    package = house / "chassis/tests/__init__.py"
    package.parent.mkdir()
    package.touch()

    assert "chassis/tests/__init__.py:1: tests are no packages" in run_tool(
        house, "python", str(ROOT / "gate/house_rules.py"), "."
    )
