"""What PostgreSQL answers to the statements of territory-svc."""

import json
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

from .database import Event, Row, Transaction, chosen
from .read_models import changes, given, given_or_kept, patched
from .statements import TRIGGERS, begins


def _lookup_keys(rule: Any) -> list[str]:
    narrowed = ("families", "industries", "size_bands", "channels")
    named = list(rule["included_customers"])
    if rule["geographies"]:
        return named + sorted({code[:2] for code in rule["geographies"]})
    if named and not any(rule[dimension] for dimension in narrowed):
        return named
    return [*named, "*"]


def _keep_map(tx: Transaction, appended: Sequence[Event]) -> None:
    facts = [(event, json.loads(event.data)) for event in appended]
    for event, fact in facts:
        if event.type == "prm.territory.TerritoryActivated.v1":
            definition = fact["definition"]
            row = {
                "territory_id": event.aggregate_id,
                "alignment_version": fact["alignment_version"],
                "is_active": True,
                "code": definition["code"],
                "lookup_keys": _lookup_keys(definition["rule"]),
                "rule": definition["rule"],
                "assignments": definition["assignments"],
            }
            tx.put("territory_cells", event.aggregate_id, row)
    for event, fact in facts:
        if event.type == "prm.territory.TerritoryRetired.v1":
            version = fact["alignment_version"]
            tx.patch(
                "territory_cells", event.aggregate_id, is_active=False, alignment_version=version
            )
        elif event.type == "prm.territory-map.MapSwitched.v1":
            if fact["alignment_version"] > _map_version(tx):
                row = {"alignment_version": fact["alignment_version"]}
                tx.put("territory_map", True, row)
        elif event.type == "prm.conflict-check.TerritoryConflictChecked.v1":
            _keep_check(tx, fact)


def _keep_check(tx: Transaction, fact: Any) -> None:
    subject = UUID(fact["subject"])
    new = {
        "subject": subject,
        "subject_version": fact["subject_version"],
        "alignment_version": fact["alignment_version"],
        "dimensions": fact["dimensions"],
    }
    tx.lock(("checked_subjects", subject))
    old = tx.get("checked_subjects", subject)
    versions = ("subject_version", "alignment_version")
    if old is None or [old[name] for name in versions] < [new[name] for name in versions]:
        tx.put("checked_subjects", subject, new)


TRIGGERS["territory-svc"] = _keep_map


def _map_version(tx: Transaction) -> int:
    return int((tx.get("territory_map", True) or {"alignment_version": 0})["alignment_version"])


def _extract(tx: Transaction, is_wanted: Callable[[Row], bool]) -> list[Row]:
    cells = [row for row in tx.rows("territory_cells").values() if row["is_active"]]
    told = [
        chosen(row, "territory_id", "rule", "assignments")
        | {"territory_id": str(row["territory_id"])}
        for row in cells
        if is_wanted(row)
    ]
    return [{"alignment_version": _map_version(tx), "territories": told}]


MAP = (
    "SELECT alignment_version, COALESCE((SELECT jsonb_agg(jsonb_build_object("
    "'territory_id', territory_id, 'rule', rule, 'assignments', assignments))"
    " FROM territory_cells WHERE is_active"
)


@begins(MAP + " AND lookup_keys && %(keys)s::text[] AND (")
def _map_of(tx: Transaction, values: Any) -> list[Row]:
    def is_wanted(row: Row) -> bool:
        rule, industry = row["rule"], values["industry"]
        if not set(row["lookup_keys"]) & set(values["keys"]):
            return False
        if values["customer"] in row["lookup_keys"]:
            return True
        is_of_family = not rule["families"] or bool(set(rule["families"]) & set(values["families"]))
        return is_of_family and (
            not rule["industries"]
            or industry is None
            or any(industry.startswith(it) or it.startswith(industry) for it in rule["industries"])
        )

    return _extract(tx, is_wanted)


@begins(MAP + "), '[]')")
def _whole_map(tx: Transaction, values: Any) -> list[Row]:
    return _extract(tx, lambda row: True)


@begins(MAP + " AND lookup_keys && %(keys)s::text[]), '[]')")
def _map_near(tx: Transaction, values: Any) -> list[Row]:
    return _extract(tx, lambda row: bool(set(row["lookup_keys"]) & set(values["keys"])))


@begins("SELECT territory_id AS id FROM territory_cells")
def _changed_since(tx: Transaction, values: Any) -> list[Row]:
    rows = [(its_id, tx.get("territory_cells", its_id)) for its_id in sorted(values["ids"])]
    base = values["base_version"]
    return [{"id": its_id} for its_id, row in rows if row and row["alignment_version"] > base]


@begins("SELECT code, territory_id FROM territory_cells")
def _holders_of(tx: Transaction, values: Any) -> list[Row]:
    rows = [
        chosen(row, "code", "territory_id")
        for row in tx.rows("territory_cells").values()
        if row["is_active"]
        and row["code"] in values["codes"]
        and row["territory_id"] not in values["but"]
    ]
    return sorted(rows, key=lambda row: str(row["code"]))[:1]


@begins("SELECT partner_id AS id FROM partners")
def _live_partners(tx: Transaction, values: Any) -> list[Row]:
    rows = [(its_id, tx.get("partners", its_id)) for its_id in values["ids"]]
    return [
        {"id": its_id} for its_id, row in rows if row and row["status"] in ("active", "suspended")
    ]


@begins("INSERT INTO partners (partner_id, version, legal_name, status)")
def _assignable(tx: Transaction, values: Any) -> int:
    row = {"version": values["version"], "legal_name": values["legal_name"], "status": "applied"}
    return tx.insert("partners", values["id"], partner_id=values["id"], **row)


changes("UPDATE partners SET status", "partners", "id", patch={"status": given("status")})


@begins("INSERT INTO alignment_list")
def _drafted(tx: Transaction, values: Any) -> int:
    row = {
        "alignment_id": values["id"],
        "version": values["version"],
        "status": "draft",
        "sort_key": values["sort_key"],
        "document": json.loads(values["document"]),
    }
    return tx.insert("alignment_list", values["id"], **row)


changes(
    "UPDATE alignment_list SET version",
    "alignment_list",
    "id",
    patch={"document": patched, "status": given_or_kept("status")},
)


@begins("SELECT alignment_id AS id FROM alignment_list")
def _undecided_alignments(tx: Transaction, values: Any) -> list[Row]:
    return [
        {"id": its_id}
        for its_id, row in sorted(tx.rows("alignment_list").items())
        if row["status"] in ("draft", "validated", "approved")
    ]


@begins("INSERT INTO open_deals")
def _open_deal(tx: Transaction, values: Any) -> int:
    tx.lock(("open_deals", values["id"]))
    row = tx.get("open_deals", values["id"])
    if row and row["version"] >= values["version"]:
        return 0
    new = {"version": values["version"], "is_open": values["is_open"]}
    return tx.put("open_deals", values["id"], {"deal_id": values["id"]} | new)


def _outdated(tx: Transaction, subjects: Iterable[UUID]) -> list[Row]:
    found = []
    for subject in subjects:
        row, deal = tx.get("checked_subjects", subject), tx.get("open_deals", subject)
        is_open = deal is None or deal["is_open"]
        if row and is_open and row["alignment_version"] < _map_version(tx):
            found.append(chosen(row, "subject", "subject_version", "dimensions"))
    return found


SUBJECTS = (
    "SELECT subject, subject_version, dimensions FROM checked_subjects"
    " LEFT JOIN open_deals ON deal_id = subject"
)


@begins(SUBJECTS + " WHERE subject = %(subject)s")
def _outdated_subject(tx: Transaction, values: Any) -> list[Row]:
    return _outdated(tx, [values["subject"]])


@begins(SUBJECTS + " WHERE (%(after)s::uuid IS NULL")
def _outdated_subjects(tx: Transaction, values: Any) -> list[Row]:
    after = values["after"]
    subjects = [
        its_id for its_id in sorted(tx.rows("checked_subjects")) if after is None or its_id > after
    ]
    return _outdated(tx, subjects)[: values["batch"]]
