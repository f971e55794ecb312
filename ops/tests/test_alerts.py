"""Alert rules and dashboard: each rule fires on its fault, and all name what is measured."""

import json
import re
import subprocess
from pathlib import Path
from typing import Any, Final

import pytest
import yaml

from chassis.telemetry.metrics import Metrics
from ops.registry import SERVICES
from ops.settings import CHECKOUT

from .promtool import promtool

RULES = CHECKOUT / "deploy/prometheus/alerts.yaml"
SCRAPED = CHECKOUT / "deploy/prometheus/prometheus.yml"
DASHBOARD = CHECKOUT / "deploy/grafana/platform.json"
MINUTES = 20  # of the series below

SERIES: Final = 'job="deal-svc", instance="a"'
PARKED: Final = f"prm_parked_facts{{{SERIES}, state="
# By alert: series of its fault, as promtool writes them.
FAULTS: Final = {
    "PrmDown": {f"up{{{SERIES}}}": "0x20"},
    "PrmNotReady": {f"prm_ready{{{SERIES}}}": "0x20"},
    "PrmScrapeIncomplete": {f'prm_scrape_failed{{{SERIES}, what="delivery"}}': "1x20"},
    "PrmRequestsFail": {
        f'prm_http_requests_total{{{SERIES}, status="200"}}': "0+98x20",
        f'prm_http_requests_total{{{SERIES}, status="503"}}': "0+2x20",
    },
    "PrmAnswersSlow": {
        f'prm_http_request_seconds_bucket{{{SERIES}, le="1.0"}}': "0+98x20",
        f'prm_http_request_seconds_bucket{{{SERIES}, le="5.0"}}': "0+100x20",
        f'prm_http_request_seconds_bucket{{{SERIES}, le="+Inf"}}': "0+100x20",
    },
    "PrmStoreSetBack": {f"prm_store_blocked{{{SERIES}}}": "1x20"},
    "PrmAppendsFail": {f"prm_append_failures_total{{{SERIES}}}": "0+1x20"},
    "PrmRelayBehind": {f"prm_relay_behind_seconds{{{SERIES}}}": "0+60x20"},
    "PrmNoRelay": {f"prm_relay_leader{{{SERIES}}}": "0x20"},
    "PrmDeliveryStands": {
        f'prm_delivery_lag{{{SERIES}, subscriber="policies", topic="prm.deals"}}': "3x20",
        f'prm_delivery_facts_total{{{SERIES}, subscriber="policies", topic="prm.deals"}}': "7x20",
    },
    "PrmDeliveryBehind": {
        f'prm_delivery_lag{{{SERIES}, subscriber="policies", topic="prm.deals"}}': "20000x20",
        f'prm_delivery_facts_total{{{SERIES}, subscriber="policies", topic="prm.deals"}}': "0+9x20",
    },
    "PrmPartitionStopped": {f"prm_delivery_stopped_partitions{{{SERIES}}}": "1x20"},
    "PrmFactsParked": {f'{PARKED}"waiting", kind="failed"}}': "1x20"},
    "PrmFactsHeld": {f'{PARKED}"waiting", kind="held"}}': "1x20"},
    "PrmFactsUnknown": {f'{PARKED}"waiting", kind="unknown"}}': "1x20"},
    "PrmDeadLetters": {f'{PARKED}"dead", kind="failed"}}': "1x20"},
    "PrmFork": {f'{PARKED}"dead", kind="forked"}}': "1x20"},
    "PrmDeadlinesLate": {f"prm_deadlines_oldest_late_seconds{{{SERIES}}}": "0+60x20"},
    "PrmErrandsInVain": {f'prm_errands_in_vain{{{SERIES}, rule="mail"}}': "1x20"},
}
# A platform that is well, and busy.
WELL: Final = {
    f"up{{{SERIES}}}": "1x20",
    f"prm_ready{{{SERIES}}}": "1x20",
    f'prm_scrape_failed{{{SERIES}, what="delivery"}}': "0x20",
    f'prm_http_requests_total{{{SERIES}, status="201"}}': "0+999x20",
    f'prm_http_requests_total{{{SERIES}, status="503"}}': "0+1x20",
    f'prm_http_request_seconds_bucket{{{SERIES}, le="1.0"}}': "0+1000x20",
    f'prm_http_request_seconds_bucket{{{SERIES}, le="+Inf"}}': "0+1000x20",
    f"prm_store_blocked{{{SERIES}}}": "0x20",
    f"prm_append_failures_total{{{SERIES}}}": "1x20",
    f"prm_relay_behind_seconds{{{SERIES}}}": "0.2x20",
    f"prm_relay_leader{{{SERIES}}}": "0x20",
    'prm_relay_leader{job="deal-svc", instance="b"}': "1x20",
    f'prm_delivery_lag{{{SERIES}, subscriber="policies", topic="prm.deals"}}': "40x20",
    f'prm_delivery_facts_total{{{SERIES}, subscriber="policies", topic="prm.deals"}}': "0+900x20",
    f"prm_delivery_stopped_partitions{{{SERIES}}}": "0x20",
    f'{PARKED}"waiting", kind="failed"}}': "0x8 1x5 0x7",
    f'{PARKED}"waiting", kind="held"}}': "2x9 0x11",
    f"prm_deadlines_oldest_late_seconds{{{SERIES}}}": "1x20",
    f'prm_errands_in_vain{{{SERIES}, rule="mail"}}': "3x5 0x15",
}


def rules() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


@pytest.fixture(scope="module")
def tool() -> Path:
    found = promtool()
    if found is None:
        pytest.skip("promtool is not here, and Debian's package prometheus cannot be had")
    return found


def judged(tool: Path, home: Path, tests: list[dict[str, Any]]) -> str:
    """What promtool finds wrong; empty: nothing."""
    told = home / "tests.yaml"
    told.write_text(yaml.safe_dump({"rule_files": [str(RULES)], "tests": tests}))
    done = subprocess.run(
        [tool, "test", "rules", told], capture_output=True, text=True, check=False
    )
    return done.stdout + done.stderr if done.returncode else ""


def expecting(series: dict[str, str], firing: list[str]) -> dict[str, Any]:
    """Which alerts fire at the end of these series, and no others do."""
    return {
        "interval": "1m",
        "input_series": [{"series": name, "values": values} for name, values in series.items()],
        "promql_expr_test": [
            {
                "expr": 'count by (alertname) (ALERTS{alertstate="firing"})',
                "eval_time": f"{MINUTES}m",
                "exp_samples": [
                    {"labels": f'{{alertname="{name}"}}', "value": 1} for name in firing
                ],
            }
        ],
    }


def test_the_rules_and_the_scraping_are_as_prometheus_reads_them(tool: Path) -> None:
    for kind, path in {"rules": RULES, "config": SCRAPED}.items():
        command = [str(tool), "check", kind, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stdout + done.stderr


def test_each_alert_fires_on_its_fault_and_no_other_one_does(tool: Path, tmp_path: Path) -> None:
    assert set(FAULTS) == set(rules())

    tests = [expecting(series, [name]) for name, series in FAULTS.items()]

    assert judged(tool, tmp_path, tests) == ""


def test_a_delivery_that_has_stood_since_its_process_began_fires(
    tool: Path, tmp_path: Path
) -> None:
    """Nothing was taken yet, so no counter of it is there."""
    lag = {f'prm_delivery_lag{{{SERIES}, subscriber="policies", topic="prm.deals"}}': "3x20"}

    assert judged(tool, tmp_path, [expecting(lag, ["PrmDeliveryStands"])]) == ""


def test_none_fires_while_all_is_well(tool: Path, tmp_path: Path) -> None:
    assert judged(tool, tmp_path, [expecting(WELL, [])]) == ""


def test_every_alert_says_how_urgent_it_is_and_what_to_do() -> None:
    for rule in rules().values():
        assert rule["labels"]["severity"] in ("page", "ticket")
        assert {"summary", "to_do"} == set(rule["annotations"])


def expressions() -> list[str]:
    panels = json.loads(DASHBOARD.read_text())["panels"]
    shown = [target["expr"] for panel in panels for target in panel.get("targets", ())]
    return [rule["expr"] for rule in rules().values()] + shown


def test_alerts_and_dashboard_ask_for_what_is_measured() -> None:
    labels = Metrics().labels
    beside = {"job", "instance", "le"}
    for expression in expressions():
        for name, matched in re.findall(r"\b(prm_\w+)(?:\{([^}]*)\})?", expression):
            measured = re.sub(r"_(total|bucket|sum|count)$", "", name)
            assert measured in labels, name
            assert set(re.findall(r"(\w+) *[!=]", matched)) <= {*labels[measured], *beside}, name


def test_every_service_is_scraped_where_it_listens() -> None:
    jobs = yaml.safe_load(SCRAPED.read_text())["scrape_configs"]

    scraped = {job["job_name"]: job["static_configs"][0]["targets"] for job in jobs}

    assert scraped == {service.name: [f"127.0.0.1:{service.port}"] for service in SERVICES}
