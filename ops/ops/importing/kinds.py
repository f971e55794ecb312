"""What can be imported: of each kind the columns of a row, and the commands that it becomes."""

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from chassis.web.openapi import without_null

INSTANT = {"type": "string", "format": "date-time"}
EXTERNAL_ID = {"$ref": "#/components/schemas/ExternalId"}
Document = Mapping[str, Any]


@dataclass(frozen=True)
class Told:
    """One command. `dated`: the column that says when it occurred. `asked_by`: the column because
    of which a second person gives it. `sees`: it is about what the command before has answered.
    `over_if`: what it finds may be otherwise today, so it is given anew each time, until this
    problem says that all of it is over.
    """

    step: str
    path: str
    body: Document
    occurred_at: str
    dated: str = "occurred_at"
    asked_by: str = ""
    sees: bool = False
    over_if: str = ""
    within: str = ""  # where in the body the row's columns are


@dataclass(frozen=True)
class Reference:
    """A column that names other records. `said`: each name in it, and where; `names` of an item of
    the list are what it may say.
    """

    column: str
    schema: Document
    service: str
    list_path: str
    shown: tuple[str, ...]  # members of an item that are needed: its id first
    names: Callable[[Document], list[str]]
    said: Callable[[Any], list[tuple[str, str]]] = lambda said: [("", name_of(said))]


@dataclass(frozen=True)
class Kind:
    """`holds`: the schema whose members a row has, without `given`. `identity`: the column by which
    a row is known again. `first` takes the row, its body and the ids that it refers to; `then`:
    what follows, under the id that was created, which is one of `collection`.
    """

    name: str
    service: str
    collection: str
    holds: str
    first: Callable[[Document, Document, Sequence[str]], Told]
    identity: str = "external_id"
    own: Document = field(default_factory=dict)
    given: tuple[str, ...] = ()
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    refers: Reference | None = None
    is_reference_needed: bool = False
    then: Callable[[Document, str], Sequence[Told]] = lambda _row, _id: ()

    def schema(self, openapi: Document) -> dict[str, Any]:
        """JSON Schema of a row, with all that it refers to."""
        held = openapi["components"]["schemas"][self.holds]
        columns = {
            name: without_null(of)
            for name, of in held["properties"].items()
            if name not in self.given
        }
        columns |= {"occurred_at": INSTANT, **self.own}
        required = [name for name in held["required"] if name not in self.given]
        if self.refers:
            columns[self.refers.column] = dict(self.refers.schema)
            required += [self.refers.column] if self.is_reference_needed else []
        return {
            "type": "object",
            "properties": columns,
            "required": list(dict.fromkeys([*required, self.identity, "occurred_at"])),
            "dependentRequired": self.needs,
            "additionalProperties": False,
            "components": openapi["components"],
        }

    def known_as(self, row: Document) -> str:
        return name_of(row[self.identity])

    def body(self, row: Document) -> dict[str, Any]:
        """What the row says to the command, without what says it otherwise."""
        own = {"occurred_at", *self.own, self.refers and self.refers.column}
        return {name: value for name, value in row.items() if name not in own}


def name_of(said: Document | str) -> str:
    """Of an external id, or of what is a name already."""
    return said if isinstance(said, str) else f"{said['system']} {said['id']}"


def digest(row: Document) -> str:
    """SHA-256, hex, of all that it says."""
    return hashlib.sha256(json.dumps(row, sort_keys=True).encode()).hexdigest()


def names_by_other_systems(item: Document) -> list[str]:
    return [name_of(each) for each in item["external_ids"]]


def with_external_id(row: Document, body: Document) -> dict[str, Any]:
    return {**body, "external_ids": [row["external_id"], *row.get("external_ids", ())]}


def register(row: Document, body: Document, _: Sequence[str]) -> Told:
    return Told("register", "/v1/partners", with_external_id(row, body), row["occurred_at"])


def approve(row: Document, partner_id: str) -> Sequence[Told]:
    if "terms_version" not in row:
        return ()
    path, body = f"/v1/partners/{partner_id}/approve", {"terms_version": row["terms_version"]}
    dated = "approved_at" if "approved_at" in row else "occurred_at"
    return [Told("approve", path, body, row[dated], dated, asked_by="terms_version")]


def invite(row: Document, body: Document, partner: Sequence[str]) -> Told:
    told = with_external_id(row, body) | ({"partner_id": partner[0]} if partner else {})
    return Told("invite", "/v1/contacts", told, row["occurred_at"])


def accept(row: Document, contact_id: str) -> Sequence[Told]:
    if "accepted_at" not in row:
        return ()
    path = f"/v1/contacts/{contact_id}/accept"
    return [Told("accept", path, {}, row["accepted_at"], "accepted_at")]


def list_product(row: Document, body: Document, price_book: Sequence[str]) -> Told:
    path = f"/v1/price-books/{price_book[0]}/list-product"
    return Told("list", path, with_external_id(row, body), row["occurred_at"])


def draft(row: Document, body: Document, partners: Sequence[str]) -> Told:
    """An alignment of this territory alone: what is wrong with it stops no other."""
    roles = [each["role"] for each in row.get("assignments", ())]
    works = [
        {"partner_id": partner, "role": role} for partner, role in zip(partners, roles, strict=True)
    ]
    told = {"name": row["name"], "changes": [{"definition": {**body, "assignments": works}}]}
    # A draft cannot be corrected into another territory: what the row says today is a draft anew.
    return Told(
        f"draft {digest(row)}",
        "/v1/alignments",
        told,
        row["occurred_at"],
        within="/changes/0/definition",
    )


def activate(row: Document, alignment_id: str) -> Sequence[Told]:
    def told(verb: str, **how: Any) -> Told:
        path = f"/v1/alignments/{alignment_id}/{verb}"
        return Told(f"{verb} {digest(row)}", path, {}, row["occurred_at"], **how)

    validated = told("validate", over_if="urn:problem:alignment-not-open")
    return [validated, told("approve", asked_by="code", sees=True), told("activate")]


PARTNER_NAMED: dict[str, Any] = {
    "service": "partner-svc",
    "list_path": "/v1/partners",
    "shown": ("partner_id", "external_ids"),
    "names": names_by_other_systems,
}
PARTNERS = Kind(
    name="partners",
    service="partner-svc",
    collection="/v1/partners",
    holds="Profile",
    first=register,
    own={
        "external_id": EXTERNAL_ID,
        "terms_version": {"$ref": "#/components/schemas/ApprovePartner/properties/terms_version"},
        "approved_at": INSTANT,
    },
    needs={"approved_at": ("terms_version",)},
    then=approve,
)
CONTACTS = Kind(
    name="contacts",
    service="partner-svc",
    collection="/v1/contacts",
    holds="InviteContact",
    first=invite,
    own={"external_id": EXTERNAL_ID, "accepted_at": INSTANT},
    given=("partner_id",),
    refers=Reference(column="partner", schema=EXTERNAL_ID, **PARTNER_NAMED),
    then=accept,
)
PRODUCTS = Kind(
    name="products",
    service="deal-svc",
    collection="/v1/products",
    holds="NewProduct",
    first=list_product,
    own={"external_id": EXTERNAL_ID},
    refers=Reference(
        column="price_book",
        schema={"type": "string"},
        service="deal-svc",
        list_path="/v1/price-books",
        shown=("price_book_id", "code"),
        names=lambda item: [item["code"]],
    ),
    is_reference_needed=True,
)
# territory-svc's description has no external ids.
WORKED_BY = {
    "type": "object",
    "properties": {
        "partner": {
            "type": "object",
            "properties": {"system": {"type": "string"}, "id": {"type": "string"}},
            "required": ["system", "id"],
            "additionalProperties": False,
        },
        "role": {"$ref": "#/components/schemas/Assignment/properties/role"},
    },
    "required": ["partner", "role"],
    "additionalProperties": False,
}
TERRITORIES = Kind(
    name="territories",
    service="territory-svc",
    collection="/v1/alignments",
    holds="TerritoryDefinition",
    first=draft,
    identity="code",
    refers=Reference(
        column="assignments",
        schema={"type": "array", "items": WORKED_BY},
        said=lambda said: [
            (f"/{number}/partner", name_of(each["partner"])) for number, each in enumerate(said)
        ],
        **PARTNER_NAMED,
    ),
    then=activate,
)
KINDS = {kind.name: kind for kind in (PARTNERS, CONTACTS, PRODUCTS, TERRITORIES)}
