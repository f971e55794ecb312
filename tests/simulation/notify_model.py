"""What PostgreSQL answers to the statements of notify-svc."""

import json
from typing import Any

from .database import Row, Transaction, chosen
from .read_models import always, changes
from .statements import begins


@begins("INSERT INTO contacts")
def _contact(tx: Transaction, values: Any) -> int:
    row = dict(values) | {name: json.loads(values[name]) for name in ("roles", "name", "email")}
    row |= {"contact_id": row.pop("id"), "is_active": False, "muted": []}
    return tx.insert("contacts", values["id"], **row)


changes("UPDATE contacts SET is_active = true", "contacts", "id", patch={"is_active": always(True)})
changes(
    "UPDATE contacts SET is_active = false", "contacts", "id", patch={"is_active": always(False)}
)
changes(
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
