"""What PostgreSQL answers to the statements of deal-svc."""

import json
from collections import Counter
from collections.abc import Sequence
from typing import Any

from .database import Event, Row, Transaction, chosen
from .read_models import changes, given_or_kept, patched
from .statements import TRIGGERS, begins


@begins("INSERT INTO partners (partner_id, version, status, time_zone)")
def _deal_partner(tx: Transaction, values: Any) -> int:
    return tx.insert(
        "partners", values["partner_id"], **values, status="applied", terms_version=None
    )


changes(
    "UPDATE partners SET version = %(version)s, status = coalesce",
    "partners",
    "partner_id",
    patch={"status": given_or_kept("status"), "terms_version": given_or_kept("terms_version")},
)


@begins("SELECT partner_id, status, time_zone, terms_version, version FROM partners")
def _known_partner(tx: Transaction, values: Any) -> list[Row]:
    row = tx.get("partners", values["partner_id"])
    columns = ("partner_id", "status", "time_zone", "terms_version", "version")
    return [chosen(row, *columns)] if row else []


@begins("SELECT status, (SELECT version FROM deal_list")
def _held_partner(tx: Transaction, values: Any) -> list[Row]:
    """The lock is stricter than FOR SHARE: two who only look wait for each other."""
    tx.lock(("partners", values["partner_id"]))
    row, deal = tx.get("partners", values["partner_id"]), tx.get("deal_list", values["deal_id"])
    return [{"status": row["status"], "listed": deal and deal["version"]}] if row else []


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


changes("UPDATE deal_list SET version", "deal_list", "deal_id", patch={"document": patched})


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
