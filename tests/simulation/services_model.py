"""What PostgreSQL answers to the services' own statements: read models that decisions rest on."""

import json
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Any
from uuid import UUID

from .database import Event, Row, Transaction, begins
from .delivery_model import chosen
from .store_model import TRIGGERS


def _table(
    statement: str, table: str, key: str, *, patch: dict[str, Callable[[Row, Any], Any]]
) -> None:
    """UPDATE ... WHERE key AND version < the fact's."""

    def update(tx: Transaction, values: Any) -> int:
        its_id = values[key]
        tx.lock((table, its_id))
        row = tx.get(table, its_id)
        if row is None or row["version"] >= values["version"]:
            return 0
        changes = {name: changed(row, values) for name, changed in patch.items()}
        return tx.put(table, its_id, row | changes | {"version": values["version"]})

    begins(statement)(update)


def _given(name: str) -> Callable[[Row, Any], Any]:
    return lambda row, values: values[name]


def _given_or_kept(name: str) -> Callable[[Row, Any], Any]:
    return lambda row, values: row[name] if values[name] is None else values[name]


def _always(value: Any) -> Callable[[Row, Any], Any]:
    return lambda row, values: value


def _patched(row: Row, values: Any) -> Any:
    return row["document"] | json.loads(values["patch"])


# --- deal-svc: what it has read of others ------------------------------------------------------


@begins("INSERT INTO partners (partner_id, version, status, time_zone)")
def _deal_partner(tx: Transaction, values: Any) -> int:
    return tx.insert(
        "partners", values["partner_id"], **values, status="applied", terms_version=None
    )


_table(
    "UPDATE partners SET version = %(version)s, status = coalesce",
    "partners",
    "partner_id",
    patch={"status": _given_or_kept("status"), "terms_version": _given_or_kept("terms_version")},
)


@begins("SELECT partner_id, status, time_zone, terms_version, version FROM partners")
def _known_partner(tx: Transaction, values: Any) -> list[Row]:
    row = tx.get("partners", values["partner_id"])
    columns = ("partner_id", "status", "time_zone", "terms_version", "version")
    return [chosen(row, *columns)] if row else []


@begins("INSERT INTO approval_limits")
def _limit(tx: Transaction, values: Any) -> int:
    key = (values["contact_id"], values["currency"])
    tx.lock(("approval_limits", key))
    row = tx.get("approval_limits", key)
    is_newer = row is None or row["version"] < values["version"]
    return tx.put("approval_limits", key, dict(values)) if is_newer else 0


@begins("DELETE FROM approval_limits")
def _no_limit(tx: Transaction, values: Any) -> int:
    gone = [
        key
        for key, row in tx.rows("approval_limits").items()
        if row["contact_id"] == values["contact_id"] and row["version"] < values["version"]
    ]
    return sum(tx.delete("approval_limits", key) for key in gone)


@begins("SELECT amount_minor AS number FROM approval_limits")
def _limit_of(tx: Transaction, values: Any) -> list[Row]:
    row = tx.get("approval_limits", (values["contact_id"], values["currency"]))
    return [{"number": row["amount_minor"]}] if row else []


@begins("INSERT INTO alignments (alignment_id")
def _alignment(tx: Transaction, values: Any) -> int:
    return tx.insert("alignments", values["alignment_id"], **values)


@begins("SELECT coalesce(max(alignment_version), 0) AS number FROM alignments")
def _newest_alignment(tx: Transaction, values: Any) -> list[Row]:
    rows = tx.rows("alignments").values()
    return [{"number": max((row["alignment_version"] for row in rows), default=0)}]


@begins("INSERT INTO product_list")
def _product(tx: Transaction, values: Any) -> int:
    document = json.loads(values["document"])
    return tx.insert("product_list", values["product_id"], **values | {"document": document})


@begins("SELECT product_id, family FROM product_list")
def _families(tx: Transaction, values: Any) -> list[Row]:
    rows = [tx.get("product_list", its_id) for its_id in values["product_ids"]]
    return [chosen(row, "product_id", "family") for row in rows if row]


@begins("INSERT INTO deal_list")
def _listed(tx: Transaction, values: Any) -> int:
    document = json.loads(values["document"])
    return tx.insert("deal_list", values["deal_id"], **values | {"document": document})


_table("UPDATE deal_list SET version", "deal_list", "deal_id", patch={"document": _patched})


@begins("SELECT deal_id FROM deal_list WHERE partner_id")
def _undecided(tx: Transaction, values: Any) -> list[Row]:
    return [
        {"deal_id": its_id}
        for its_id, row in sorted(tx.rows("deal_list").items())
        if row["partner_id"] == values["partner_id"]
        and row["document"]["status"] in ("checking", "in_review")
    ]


@begins("SELECT aggregate_id, version, position FROM events")
def _positions(tx: Transaction, values: Any) -> list[Row]:
    asked = set(zip(values["ids"], values["versions"], strict=True))
    return [
        chosen(event._asdict(), "aggregate_id", "version", "position")
        for its_id in sorted(set(values["ids"]))
        for event in tx.database.streams.get(its_id, ())
        if (its_id, event.version) in asked
    ]


# --- deal-svc: customers' keys, kept with the append -------------------------------------------


def _keys_in(fact: Any) -> set[tuple[str, str]]:
    told = {
        "name": fact.get("normalised_name"),
        "domain": fact.get("domain"),
        "duns": fact.get("duns"),
        "tax-id": fact.get("tax_id"),
        "postal-code": fact.get("postal_code"),
    }
    words = (fact.get("normalised_name") or "").split(" ")
    return {(kind, key) for kind, key in told.items() if key is not None} | {
        ("beginning", word[:3]) for word in words if word
    }


def _keep_customer_keys(tx: Transaction, appended: Sequence[Event]) -> None:
    countries = {row["customer_id"]: row["country"] for row in tx.rows("customer_keys").values()}
    for kind in ("prm.customer.CustomerResolved.v1", "prm.customer.CustomerKeysAdded.v1"):
        for event in appended:
            if event.type == kind:
                fact = json.loads(event.data)
                country = fact.get("country") or countries[event.aggregate_id]
                countries[event.aggregate_id] = country
                for of, key in sorted(_keys_in(fact)):
                    row = {
                        "country": country,
                        "kind": of,
                        "key": key,
                        "customer_id": event.aggregate_id,
                    }
                    tx.insert("customer_keys", tuple(row.values()), **row)


TRIGGERS["deal-svc"] = _keep_customer_keys


@begins("SELECT customer_id, kind, key FROM customer_keys")
def _profiles(tx: Transaction, values: Any) -> list[Row]:
    rows = list(tx.rows("customer_keys").values())
    shared = Counter(
        row["customer_id"]
        for row in rows
        if row["country"] == values["country"]
        and row["kind"] == "beginning"
        and row["key"] in values["beginnings"]
    )
    likest = sorted(shared, key=lambda its_id: (-shared[its_id], its_id))[: values["limit"]]
    wanted = {*values["holders"], *likest}
    return [
        chosen(row, "customer_id", "kind", "key") for row in rows if row["customer_id"] in wanted
    ]


# --- territory-svc -----------------------------------------------------------------------------


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


_table("UPDATE partners SET status", "partners", "id", patch={"status": _given("status")})


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


_table(
    "UPDATE alignment_list SET version",
    "alignment_list",
    "id",
    patch={"document": _patched, "status": _given_or_kept("status")},
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


# --- notify-svc --------------------------------------------------------------------------------


@begins("INSERT INTO contacts")
def _contact(tx: Transaction, values: Any) -> int:
    row = dict(values) | {name: json.loads(values[name]) for name in ("roles", "name", "email")}
    row |= {"contact_id": row.pop("id"), "is_active": False, "muted": []}
    return tx.insert("contacts", values["id"], **row)


_table("UPDATE contacts SET is_active = true", "contacts", "id", patch={"is_active": _always(True)})
_table(
    "UPDATE contacts SET is_active = false", "contacts", "id", patch={"is_active": _always(False)}
)
_table(
    "UPDATE contacts SET roles = (roles - %(role)s) ||",
    "contacts",
    "id",
    patch={
        "roles": lambda row, values: [
            *(role for role in row["roles"] if role != values["role"]),
            values["role"],
        ]
    },
)


@begins("SELECT contact_id, partner_id FROM contacts WHERE contact_id")
def _one_contact(tx: Transaction, values: Any) -> list[Row]:
    row = tx.get("contacts", values["contact_id"])
    return [chosen(row, "contact_id", "partner_id")] if row else []


@begins("SELECT contact_id, partner_id FROM contacts WHERE partner_id")
def _people(tx: Transaction, values: Any) -> list[Row]:
    return [
        chosen(row, "contact_id", "partner_id")
        for _, row in sorted(tx.rows("contacts").items())
        if row["partner_id"] == values["partner_id"] and row["is_active"]
    ]


@begins("SELECT contact_id, NULL AS partner_id FROM contacts JOIN partners")
def _manager_of(tx: Transaction, values: Any) -> list[Row]:
    partner = tx.get("partners", values["partner_id"])
    row = partner and tx.get("contacts", partner["channel_manager_id"])
    is_one = row and row["is_active"] and values["role"] in row["roles"]
    return [{"contact_id": row["contact_id"], "partner_id": None}] if row and is_one else []


@begins("SELECT contact_id, NULL AS partner_id FROM contacts WHERE side")
def _vendors(tx: Transaction, values: Any) -> list[Row]:
    return [
        {"contact_id": its_id, "partner_id": None}
        for its_id, row in sorted(tx.rows("contacts").items())
        if row["side"] == "vendor" and row["is_active"] and values["role"] in row["roles"]
    ]


@begins("INSERT INTO partners (partner_id, version, time_zone)")
def _partner_zone(tx: Transaction, values: Any) -> int:
    row = {"version": values["version"], "time_zone": values["time_zone"]}
    its_id = values["id"]
    return tx.insert("partners", its_id, partner_id=its_id, **row, channel_manager_id=None)


@begins("INSERT INTO partners (partner_id, version, channel_manager_id)")
def _assigned(tx: Transaction, values: Any) -> int:
    tx.lock(("partners", values["id"]))
    row = tx.get("partners", values["id"]) or {"partner_id": values["id"], "time_zone": None}
    if row.get("version", 0) >= values["version"]:
        return 0
    new = {"version": values["version"], "channel_manager_id": values["manager"]}
    return tx.put("partners", values["id"], row | new)


@begins("INSERT INTO deals (deal_id")
def _deal(tx: Transaction, values: Any) -> int:
    row = {name: values[name] for name in ("partner_id", "seller_id", "customer")}
    return tx.insert("deals", values["id"], deal_id=values["id"], **row)


@begins("SELECT seller_id, partner_id, customer FROM deals")
def _deal_known_as(tx: Transaction, values: Any) -> list[Row]:
    row = tx.get("deals", values["deal_id"])
    return [chosen(row, "seller_id", "partner_id", "customer")] if row else []


# --- partner-svc -------------------------------------------------------------------------------


@begins("SELECT partner_id, (document -> 'trading_names')")
def _similar_partners(tx: Transaction, values: Any) -> list[Row]:
    """Its list is not kept here: it gives a hint to people, and no decision rests on it."""
    return []
