"""What can be imported: of each kind the columns of a row, and the commands that it becomes."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from chassis.web.openapi import without_null

INSTANT = {"type": "string", "format": "date-time"}
EXTERNAL_ID = {"$ref": "#/components/schemas/ExternalId"}
Document = Mapping[str, Any]


@dataclass(frozen=True)
class Told:
    """One command. `dated`: the column that says when it occurred. `four_eyes`: by the approver."""

    step: str
    path: str
    body: Document
    occurred_at: str
    dated: str = "occurred_at"
    four_eyes: bool = False


@dataclass(frozen=True)
class Reference:
    """A column that names another record; `names` of an item of the list are what it may say."""

    column: str
    schema: Document
    list_path: str
    shown: tuple[str, ...]  # members of an item that are needed: its id first
    names: Callable[[Document], list[str]]


@dataclass(frozen=True)
class Kind:
    """`creates`: the operation whose body a row holds, without `given`. `first` takes the row, its
    body and the id that its reference names; `then`: what follows, under the id that was created.
    """

    name: str
    service: str
    creates: str
    first: Callable[[Document, Document, str], Told]
    own: Document = field(default_factory=dict)
    given: tuple[str, ...] = ()
    needs: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    refers: Reference | None = None
    is_reference_needed: bool = False
    then: Callable[[Document, str], Told | None] = lambda _row, _id: None

    def schema(self, openapi: Document) -> dict[str, Any]:
        """JSON Schema of a row, with all that it refers to."""
        content = openapi["paths"][self.creates]["post"]["requestBody"]["content"]
        name = content["application/json"]["schema"]["$ref"].rpartition("/")[2]
        body = openapi["components"]["schemas"][name]
        columns = {
            name: without_null(of)
            for name, of in body["properties"].items()
            if name not in self.given
        }
        columns |= {"external_id": EXTERNAL_ID, "occurred_at": INSTANT, **self.own}
        required = [name for name in body["required"] if name not in self.given]
        if self.refers:
            columns[self.refers.column] = dict(self.refers.schema)
            required += [self.refers.column] if self.is_reference_needed else []
        return {
            "type": "object",
            "properties": columns,
            "required": [*required, "external_id", "occurred_at"],
            "dependentRequired": self.needs,
            "additionalProperties": False,
            "components": openapi["components"],
        }

    def body(self, row: Document) -> dict[str, Any]:
        """What the row says to the command, its own external id among the others."""
        own = {"external_id", "occurred_at", *self.own, self.refers and self.refers.column}
        said = {name: value for name, value in row.items() if name not in own}
        return said | {"external_ids": [row["external_id"], *row.get("external_ids", ())]}


def name_of(external_id: Document) -> str:
    return f"{external_id['system']} {external_id['id']}"


def names_by_other_systems(item: Document) -> list[str]:
    return [name_of(each) for each in item["external_ids"]]


def register(row: Document, body: Document, _: str) -> Told:
    return Told("register", "/v1/partners", body, row["occurred_at"])


def approve(row: Document, partner_id: str) -> Told | None:
    if "terms_version" not in row:
        return None
    path, body = f"/v1/partners/{partner_id}/approve", {"terms_version": row["terms_version"]}
    dated = "approved_at" if "approved_at" in row else "occurred_at"
    return Told("approve", path, body, row[dated], dated, four_eyes=True)


def invite(row: Document, body: Document, partner_id: str) -> Told:
    whose = {"partner_id": partner_id} if partner_id else {}
    return Told("invite", "/v1/contacts", {**body, **whose}, row["occurred_at"])


def accept(row: Document, contact_id: str) -> Told | None:
    if "accepted_at" not in row:
        return None
    path = f"/v1/contacts/{contact_id}/accept"
    return Told("accept", path, {}, row["accepted_at"], "accepted_at")


def list_product(row: Document, body: Document, price_book_id: str) -> Told:
    path = f"/v1/price-books/{price_book_id}/list-product"
    return Told("list", path, body, row["occurred_at"])


PARTNERS = Kind(
    name="partners",
    service="partner-svc",
    creates="/v1/partners",
    first=register,
    own={
        "terms_version": {"$ref": "#/components/schemas/ApprovePartner/properties/terms_version"},
        "approved_at": INSTANT,
    },
    needs={"approved_at": ("terms_version",)},
    then=approve,
)
CONTACTS = Kind(
    name="contacts",
    service="partner-svc",
    creates="/v1/contacts",
    first=invite,
    own={"accepted_at": INSTANT},
    given=("partner_id",),
    refers=Reference(
        column="partner",
        schema=EXTERNAL_ID,
        list_path="/v1/partners",
        shown=("partner_id", "external_ids"),
        names=names_by_other_systems,
    ),
    then=accept,
)
PRODUCTS = Kind(
    name="products",
    service="deal-svc",
    creates="/v1/price-books/{price_book_id}/list-product",
    first=list_product,
    refers=Reference(
        column="price_book",
        schema={"type": "string"},
        list_path="/v1/price-books",
        shown=("price_book_id", "code"),
        names=lambda item: [item["code"]],
    ),
    is_reference_needed=True,
)
KINDS = {kind.name: kind for kind in (PARTNERS, CONTACTS, PRODUCTS)}
