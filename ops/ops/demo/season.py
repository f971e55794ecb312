"""A season of the market, played through the public APIs: who takes part, and how deals end."""

import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import date
from typing import Any, TypeVar

from ops import clock
from ops.client import Client
from ops.demo.market import FAMILIES, Firm, Market
from ops.demo.people import Person
from ops.demo.plans import Planned
from ops.failures import OpsError
from ops.show import table

Tell = Callable[[str], None]
T = TypeVar("T")
PARTNER, DEAL, TERRITORY, NOTIFY = "partner-svc", "deal-svc", "territory-svc", "notify-svc"
AT_ONCE = 12  # commands under way
TOLD_EVERY = 100  # things done between two lines of progress
LIST_PRICE = 1_000_00  # minor units
FOLLOWERS = ("promoted", "same tax id", "near-duplicate")  # name a customer after somebody else


class Season:
    """`number`: of the round; families and codes carry it, so that rounds stand side by side."""

    def __init__(
        self, client: Client, services: Sequence[str], market: Market, number: int, tell: Tell
    ) -> None:
        self.client, self.services, self.market, self.tell = client, list(services), market, tell
        self.number = number
        self.clara = Person.with_role(client, "channel-account-manager", "Clara")
        self.otto = Person.with_role(client, "channel-operations", "Otto")
        self.olga = Person.with_role(client, "channel-operations", "Olga")
        self.partners: dict[str, str] = {}
        self.sellers: dict[str, Person] = {}
        self.products: dict[str, str] = {}
        self.played: list[tuple[Planned, str]] = []

    def open(self) -> None:
        """Price book, partners with a seller each, and the map: one alignment."""
        self._list_products()
        self._take_in(self.market.firms)
        self._draw_the_map()

    def register(self, plans: Sequence[Planned], closes: date) -> None:
        """First who names a customer, then who follows; then people decide what waits for them."""
        for is_following in (False, True):
            batch = [plan for plan in plans if (plan.kind in FOLLOWERS) is is_following]
            deals = self._each("deals registered", batch, lambda it: self._registered(it, closes))
            self.played += zip(batch, deals, strict=True)
            self._settle()
        acting = [(plan, deal) for plan, deal in self.played if plan in plans and plan.act]
        self._each("decisions of people", acting, lambda it: self._acted(*it))
        self._settle()

    def show_verdicts(self) -> None:
        """Raises OpsError where a deal ended otherwise than planned, and names it."""
        statuses = self._statuses()
        rows, wrong = [], []
        by_kind: defaultdict[str, list[tuple[Planned, str]]] = defaultdict(list)
        for plan, deal in self.played:
            by_kind[plan.kind].append((plan, deal))
        for kind, of_kind in sorted(by_kind.items()):
            unexpected = unlike_planned(of_kind, statuses)
            wrong += [f"{kind}: deal {deal} is {statuses[deal]}" for deal in unexpected]
            ended = Counter(statuses[deal] for _, deal in of_kind)
            told = ", ".join(f"{count} {status}" for status, count in sorted(ended.items()))
            right = len(of_kind) - len(unexpected)
            rows.append((kind, str(len(of_kind)), told, f"{right} as expected"))
        for line in table(("kind", "deals", "ended", ""), rows).splitlines():
            self.tell(f"    {line}")
        if wrong:
            raise OpsError("\n".join(["These deals ended otherwise than planned:", *wrong]))

    # --- what happens ----------------------------------------------------------------------

    def _list_products(self) -> None:
        code = self._code("market")
        path = "/v1/price-books"
        book = self.otto.tell(DEAL, path, code=code, name="Market list", currency="EUR")
        for family, name in FAMILIES.items():
            families = {"family": self._code(family), "name": name}
            self.otto.tell(DEAL, f"{path}/{book}/define-family", **families)
            product = families | {"sku": self._code(f"mk-{family}"), "unit": "licence"}
            listing = f"{path}/{book}/list-product"
            self.otto.tell(DEAL, listing, **product, list_price_minor=LIST_PRICE)
        self._settle()
        for family in FAMILIES:
            [product] = self.otto.ask(DEAL, "/v1/products", family=self._code(family))["items"]
            self.products[family] = product["product_id"]

    def _take_in(self, firms: Sequence[Firm]) -> None:
        ids = self._each("partners registered", firms, self._applied)
        self.partners = dict(zip((firm.key for firm in firms), ids, strict=True))
        approve = "/v1/partners/{}/approve"
        self._each(
            "partners approved",
            ids,
            lambda it: self.otto.tell(PARTNER, approve.format(it), terms_version="2027-1"),
        )
        self._settle()
        people = self._each("sellers invited", firms, self._seller_of)
        self.sellers = dict(zip((firm.key for firm in firms), people, strict=True))
        self._settle()

    def _applied(self, firm: Firm) -> str:
        return self.clara.tell(
            PARTNER,
            "/v1/partners",
            legal_name=firm.legal_name if self.number == 1 else f"{firm.legal_name} {self.number}",
            country=firm.country,
            types=[firm.kind],
            currency="EUR",
            time_zone=firm.time_zone,
            tax_id=firm.tax_id,
            duns=firm.duns,
            external_ids=[{"system": "crm", "id": self._code(firm.key)}],
        )

    def _seller_of(self, firm: Firm) -> Person:
        name, partner = f"Seller of {firm.legal_name}", self.partners[firm.key]
        return Person.with_role(self.client, "partner-seller", name[:200], partner)

    def _draw_the_map(self) -> None:
        changes = [
            {
                "definition": {
                    "code": self._code(cell.code),
                    "name": f"{cell.subdivision}, {FAMILIES[cell.family]}",
                    "rule": {
                        "geographies": [cell.subdivision],
                        "families": [self._code(cell.family)],
                    },
                    "assignments": [
                        {
                            "partner_id": self.partners[firm.key],
                            "role": "exclusive" if cell.is_exclusive else "shared",
                        }
                        for firm in cell.sellers
                    ],
                }
            }
            for cell in self.market.cells
        ]
        name, path = f"Market map, round {self.number}", "/v1/alignments"
        alignment = self.clara.tell(TERRITORY, path, name=name, changes=changes)
        self.clara.tell(TERRITORY, f"{path}/{alignment}/validate")
        self._settle()
        read = self.otto.ask(TERRITORY, f"{path}/{alignment}")["version"]
        self.otto.tell(TERRITORY, f"{path}/{alignment}/approve", seen=read)
        self.olga.tell(TERRITORY, f"{path}/{alignment}/activate")
        self._settle()
        self.tell(f"    {len(changes)} territories on the map, by one alignment.")

    def _registered(self, plan: Planned, closes: date) -> str:
        told = {name: value for name, value in plan.customer.items() if value is not None}
        industry, city = told.pop("industry"), told.pop("city")
        price = plan.euros * 10  # a tenth, in minor units
        return self.sellers[plan.seller.key].tell(
            DEAL,
            "/v1/deals",
            customer=told,
            lines=[
                {
                    "product_id": self.products[plan.cell.family],
                    "quantity": 10,
                    "unit_price_minor": price,
                }
            ],
            currency="EUR",
            expected_close_on=closes.isoformat(),
            industry=industry,
            sales_activity=f"Two meetings in {city}, and a proof of concept.",
        )

    def _acted(self, plan: Planned, deal: str) -> None:
        path = f"/v1/deals/{deal}/{plan.act}"
        match plan.act:
            case "approve":
                self.clara.tell(DEAL, path)
            case "reject":
                self.clara.tell(DEAL, path, reason_code="incomplete", note="The evidence is thin.")
            case "withdraw":
                self.sellers[plan.seller.key].tell(DEAL, path)

    # --- how -------------------------------------------------------------------------------

    def _each(self, what: str, things: Iterable[Any], do: Callable[[Any], T]) -> list[T]:
        """Many at once; tells how far it is, and how fast it was."""
        begun, done = time.monotonic(), list[T]()
        with ThreadPoolExecutor(AT_ONCE) as pool:
            for result in pool.map(do, things):
                done.append(result)
                if len(done) % TOLD_EVERY == 0:
                    self.tell(f"    ... {len(done)} {what}")
        rate = len(done) / max(time.monotonic() - begun, 0.001)
        if done:
            self.tell(f"    {len(done)} {what}, {rate:,.0f} a second.")
        return done

    def _statuses(self) -> dict[str, str]:
        found: dict[str, str] = {}
        page: dict[str, Any] = {"next_cursor": ""}
        while page["next_cursor"] is not None:
            more = {"cursor": page["next_cursor"]} if page["next_cursor"] else {}
            page = self.clara.ask(DEAL, "/v1/deals", limit=200, fields="deal_id,status", **more)
            found |= {item["deal_id"]: item["status"] for item in page["items"]}
        return found

    def _settle(self) -> None:
        clock.settle(self.client, self.services)

    def _code(self, code: str) -> str:
        return code if self.number == 1 else f"{code}-{self.number}"


def unlike_planned(played: Sequence[tuple[Planned, str]], statuses: dict[str, str]) -> list[str]:
    """The deals that ended otherwise. Of a race, all of them, if together they do not fit."""
    races: defaultdict[int, list[tuple[Planned, str]]] = defaultdict(list)
    wrong = []
    for plan, deal in played:
        if plan.group is not None:
            races[plan.group].append((plan, deal))
        elif statuses[deal] not in plan.ends:
            wrong.append(deal)
    for racing in races.values():
        if sorted(statuses[deal] for _, deal in racing) != sorted(racing[0][0].ends):
            wrong += [deal for _, deal in racing]
    return wrong
