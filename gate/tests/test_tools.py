"""The other tools of the gate find what they are there for, and know every member."""

import re
import tomllib
from pathlib import Path

import pytest

from .planting import MEMBERS, ROOT, copy_house, plant, run_tool

PACKAGES = {path.parent.name for m in MEMBERS for path in ROOT.glob(f"{m}/*/__init__.py")}
SERVICES = {package for package in PACKAGES if package.endswith("_svc")}

HALF_AN_AGGREGATE = """
from typing import assert_never
from chassis.aggregates import Aggregate
from prm_contracts.partners import PartnerFact, PartnerRegistered

class HalfPartner(Aggregate[PartnerFact]):
    def apply(self, fact: PartnerFact) -> None:
        match fact:
            case PartnerRegistered():
                self.name = "known"
            case _:
                assert_never(fact)
"""
WRONG_POLICY = """
from chassis.context import Context
from chassis.delivery import whenever
from chassis.store import Recorded, Store
from prm_contracts.partners import PartnerRegistered, PartnerSuspended

async def hold_deals(store: Store, ctx: Context, suspended: Recorded[PartnerSuspended]) -> None: ...

POLICY = whenever(PartnerRegistered, hold_deals)
"""


@pytest.fixture
def house(tmp_path: Path) -> Path:
    return copy_house(tmp_path / "house")


def test_an_import_that_a_member_does_not_declare_is_named(house: Path) -> None:
    plant(house, "territory_svc.domain", "import rapidfuzz")

    printed = run_tool(house, "deptry", "--no-ansi", ".", cwd="services/territory-svc")

    assert re.search("domain.*: DEP00[13] 'rapidfuzz' imported but", printed), printed


def test_a_fact_that_an_aggregate_forgot_and_a_policy_on_another_fact_are_named(
    house: Path,
) -> None:
    forgotten = plant(house, "deal_svc.half", HALF_AN_AGGREGATE.rstrip())
    wrong = plant(house, "deal_svc.wrong", WRONG_POLICY.rstrip())

    printed = run_tool(
        house,
        "mypy",
        "--follow-imports=silent",
        *(place.partition(":")[0] for place in (forgotten, wrong)),
    )

    assert f'{forgotten}: error: Argument 1 to "assert_never"' in printed
    assert f"{wrong}: error:" in printed


@pytest.fixture
def half_tested_service(tmp_path: Path) -> Path:
    (tmp_path / "pyproject.toml").write_text((ROOT / "pyproject.toml").read_text())
    for service in SERVICES:
        (tmp_path / service).mkdir()
        (tmp_path / service / "__init__.py").touch()
    rule = (
        "def is_large(amount: int) -> int:\n    if amount > 50:\n        return 1\n    return 0\n"
    )
    for module in ("domain", "policies", "api"):
        (tmp_path / "deal_svc" / f"{module}.py").write_text(rule)
    (tmp_path / "test_deal.py").write_text(
        "from deal_svc import domain, policies\n"
        "def test_small() -> None:\n    assert not domain.is_large(1)\n"
        "def test_policy() -> None:\n    assert policies.is_large(99) != policies.is_large(9)\n"
    )
    return tmp_path


def test_a_branch_of_a_domain_that_no_test_takes_fails_the_run(half_tested_service: Path) -> None:
    arguments = ("-o", "pythonpath=.", "--cov", "--cov-fail-under=100", ".")

    printed = run_tool(half_tested_service, "pytest", *arguments)

    assert "deal_svc/domain.py" in printed
    assert "deal_svc/policies.py" not in printed  # fully covered
    assert "deal_svc/api.py" not in printed  # not counted
    assert "Required test coverage of 100% not reached" in printed


def test_every_tool_knows_every_member() -> None:
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]
    layers = (ROOT / ".importlinter").read_text().split("include_external_packages")[0].split()

    assert settings["uv"]["workspace"]["members"] == MEMBERS
    assert set(layers) >= PACKAGES
    assert set(settings["ruff"]["lint"]["isort"]["known-first-party"]) == PACKAGES
    assert set(settings["coverage"]["run"]["source_pkgs"]) == SERVICES
    assert settings["mypy"]["mypy_path"] == [f"$MYPY_CONFIG_FILE_DIR/{m}" for m in MEMBERS]
