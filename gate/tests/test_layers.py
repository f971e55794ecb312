"""Each import that the table of modules forbids is named by import-linter, under its contract."""

import re

import pytest

from .planting import ROOT, copy_house, plant, run_tool

# (contract, who imports, what is imported)
FORBIDDEN = [
    ("members", "prm_contracts.facts", "chassis.errors"),
    ("members", "prm_contracts.facts", "approvals"),
    ("members", "chassis.errors", "approvals"),
    ("members", "chassis.errors", "deal_svc.domain"),
    ("members", "approvals", "deal_svc.domain"),
    ("members", "deal_svc.application", "territory_svc.application"),
    ("members", "deal_svc.queries", "partner_svc.queries"),
    ("members", "notify_svc.worker", "deal_svc.worker"),
    ("members", "deal_svc.main", "ops"),
    ("chassis", "chassis.errors", "prm_contracts.deals"),
    ("inside the chassis", "chassis.storage.window", "chassis.consuming.worker"),
    ("inside the chassis", "chassis.consuming.parking", "chassis.publishing.relay"),
    ("inside the chassis", "chassis.web.pages", "chassis.running.process"),
    ("inside the chassis", "chassis.clock", "chassis.storage.postgres"),
    ("layers", "deal_svc.domain", "deal_svc.application"),
    ("layers", "deal_svc.application", "deal_svc.policies"),
    ("layers", "deal_svc.policies", "deal_svc.projections"),
    ("layers", "deal_svc.policies", "deal_svc.worker"),
    ("layers", "deal_svc.queries", "deal_svc.outbound"),
    ("layers", "deal_svc.api", "deal_svc.worker"),
    ("layers", "deal_svc.worker", "deal_svc.api"),
    ("layers", "deal_svc.api", "deal_svc.settings"),
    ("layers", "deal_svc.settings", "deal_svc.main"),
    ("layers: partner_svc", "partner_svc.api", "partner_svc.issuer"),
    ("layers: partner_svc", "partner_svc.domain", "partner_svc.application"),
    ("domain", "deal_svc.domain", "chassis.store"),
    ("domain", "approvals", "chassis.store"),
    ("approvals", "deal_svc.application", "approvals"),
    ("frameworks", "deal_svc.domain", "fastapi"),
    ("frameworks", "deal_svc.application", "psycopg"),
    ("frameworks", "deal_svc.policies", "aiokafka"),
    ("frameworks", "deal_svc.queries", "psycopg_pool"),
    ("frameworks", "prm_contracts.facts", "faust"),
    ("policies", "deal_svc.policies", "deal_svc.domain"),
    ("read side", "deal_svc.projections", "deal_svc.application"),
    ("read side", "deal_svc.queries", "deal_svc.domain"),
    ("read side", "deal_svc.outbound", "deal_svc.application"),
    ("api", "deal_svc.api", "deal_svc.policies"),
    ("api", "deal_svc.api", "deal_svc.projections"),
    ("api", "deal_svc.api", "deal_svc.outbound"),
    ("api", "partner_svc.issuer", "partner_svc.policies"),
    ("worker", "deal_svc.worker", "deal_svc.application"),
    ("worker", "deal_svc.worker", "deal_svc.queries"),
    ("worker", "deal_svc.worker", "deal_svc.domain"),
    ("settings", "deal_svc.settings", "deal_svc.domain"),
    ("settings", "deal_svc.settings", "deal_svc.worker"),
]
ALLOWED = [
    ("deal_svc.domain", "approvals"),
    ("deal_svc.domain", "chassis.aggregates"),
    ("deal_svc.api", "deal_svc.application"),
    ("deal_svc.api", "deal_svc.domain"),
    ("deal_svc.worker", "deal_svc.policies"),
    ("deal_svc.main", "deal_svc.settings"),
    ("chassis.errors", "prm_contracts.facts"),
]


def edge(importer: str, imported: str) -> str:
    return f"{importer} -> {imported} (l."


@pytest.fixture(scope="module")
def broken(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What import-linter says of each broken contract, all violations being planted at once."""
    house = copy_house(tmp_path_factory.mktemp("layers") / "house")
    for importer, imported in [*((a, b) for _, a, b in FORBIDDEN), *ALLOWED]:
        plant(house, importer, f"import {imported}")
    plant(house, "deal_svc.utils", "")
    printed = run_tool(house, "lint-imports", "--no-logo", "--no-cache")
    titles = re.split(r"\n(\S.*)\n-{3,}\n", printed)[1:]
    return dict(zip(titles[::2], titles[1::2], strict=True))


@pytest.mark.parametrize(("contract", "importer", "imported"), FORBIDDEN)
def test_a_forbidden_import_is_named_under_its_contract(
    broken: dict[str, str], contract: str, importer: str, imported: str
) -> None:
    reports = [text for title, text in broken.items() if title.startswith(contract)]

    assert any(edge(importer, imported) in report for report in reports), broken.keys()


@pytest.mark.parametrize(("importer", "imported"), ALLOWED)
def test_an_allowed_import_is_not_named(
    broken: dict[str, str], importer: str, imported: str
) -> None:
    # Through what is planted elsewhere, modules of the chassis reach each other by the oddest ways.
    reports = [text for title, text in broken.items() if not title.startswith("inside")]

    assert not any(edge(importer, imported) in report for report in reports)


def test_a_module_that_is_in_no_layer_is_named(broken: dict[str, str]) -> None:
    [report] = [text for title, text in broken.items() if title.startswith("layers: calls")]

    assert "deal_svc.utils" in report


def test_every_contract_of_the_configuration_is_planted_against(broken: dict[str, str]) -> None:
    names = re.findall(r"^name = (.*)$", (ROOT / ".importlinter").read_text(), re.MULTILINE)

    assert set(names) <= set(broken)
