"""What PostgreSQL answers to the statements of partner-svc."""

import json
from typing import Any
from uuid import UUID

from .database import Row, Transaction
from .read_models import changes, patched
from .statements import begins


@begins("INSERT INTO partner_list")
def _listed(tx: Transaction, values: Any) -> int:
    row = {
        "partner_id": values["id"],
        "version": values["version"],
        "sort_key": values["sort_key"],
        "document": json.loads(values["document"]),
    }
    return tx.insert("partner_list", values["id"], **row)


changes("UPDATE partner_list SET document", "partner_list", "id", patch={"document": patched})


@begins("SELECT partner_id, (document -> 'trading_names')")
def _similar_partners(tx: Transaction, values: Any) -> list[Row]:
    documents = [row["document"] for row in tx.rows("partner_list").values()]
    return [
        {"partner_id": UUID(it["partner_id"]), "names": [*it["trading_names"], it["legal_name"]]}
        for it in documents
        if it["country"] == values["country"] and it["status"] != "terminated"
    ]
