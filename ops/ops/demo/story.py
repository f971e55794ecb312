"""The story: a dozen deals told one by one, and around them a whole market that is played."""

import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import date, datetime, timedelta
from typing import Any

from ops import clock
from ops.client import Client
from ops.demo.cast import FAMILIES, LIST_PRICES, PARTNERS, TERRITORIES, Round
from ops.demo.market import Market
from ops.demo.people import Person, Refused
from ops.demo.plans import Plans
from ops.demo.season import Season
from ops.failures import OpsError

Tell = Callable[[str], None]
PARTNER, DEAL, TERRITORY, NOTIFY = "partner-svc", "deal-svc", "territory-svc", "notify-svc"
EURO = 100  # minor units


class Story:
    """Plays one round on the platform that the client reaches.

    `market`: from a seed, the partners, territories and deals of the round besides those told.
    """

    def __init__(
        self, client: Client, services: list[str], market: Callable[[int], Market], tell: Tell
    ) -> None:
        self.begun = time.monotonic()
        self.client, self.services, self.say = client, services, tell
        self.step_number = 0
        self.partners: dict[str, str] = {}
        self.sellers: dict[str, Person] = {}
        self.products: dict[str, str] = {}
        self.deals: dict[str, str] = {}
        self.line: tuple[str, ...] = ()  # who raced for one customer, first to last
        self.told: dict[str, str] = {}  # how the table at the end names each deal
        self.clara = Person.with_role(client, "channel-account-manager", "Clara")
        self.otto = Person.with_role(client, "channel-operations", "Otto")
        self.olga = Person.with_role(client, "channel-operations", "Olga")
        self.settle()
        books = self.otto.ask(DEAL, "/v1/price-books", limit=200, fields="code")["items"]
        told = [book for book in books if book["code"].startswith("meridian")]
        self.round = Round(len(told) + 1)
        self.market = market(self.round.number)
        self.plans = Plans(self.market)
        self.season = Season(client, services, self.market, self.round.number, self.note)

    # --- telling -------------------------------------------------------------------------

    def step(self, title: str) -> None:
        self.step_number += 1
        self.say(f"\n{self.step_number:2}. {title}")

    def note(self, text: str) -> None:
        self.say(f"    {text}")

    def settle(self) -> dict[str, clock.View]:
        """Until every fact told so far is published, read and reacted to everywhere."""
        return clock.settle(self.client, self.services)

    def now(self) -> datetime:
        return max(view.now for view in self.settle().values())

    def closing_date(self) -> date:
        return (self.now() + timedelta(days=60)).date()

    # --- the steps -----------------------------------------------------------------------

    def play(self) -> None:
        if self.round.number > 1:
            self.say(f"A story was played here before: this is round {self.round.number}.")
        self.list_products()
        self.take_in_partners()
        self.divide_territories()
        self.clear_deals()
        self.decide_a_large_deal()
        self.race()
        self.near_duplicate()
        self.out_of_territory()
        self.refusals()
        self.withdraw()
        self.open_the_market()
        self.expire_and_promote()
        self.play_a_season()
        self.show_verdicts()

    def list_products(self) -> None:
        self.step("Operations open a price book with three families")
        code, name = self.round.code("meridian"), "Meridian Cloud list"
        book = self.otto.tell(DEAL, "/v1/price-books", code=code, name=name, currency="EUR")
        for family, name in FAMILIES.items():
            self.otto.tell(
                DEAL,
                f"/v1/price-books/{book}/define-family",
                family=self.round.code(family),
                name=name,
            )
            self.otto.tell(
                DEAL,
                f"/v1/price-books/{book}/list-product",
                sku=self.round.code(f"mc-{family}"),
                name=f"{name}, one year",
                family=self.round.code(family),
                unit="licence",
                list_price_minor=LIST_PRICES[family],
            )
        self.settle()
        listed = self.otto.ask(DEAL, "/v1/products", limit=200)["items"]
        for family in FAMILIES:
            mine = [it for it in listed if it["family"] == self.round.code(family)]
            self.products[family] = mine[0]["product_id"]
        self.note(f"Families: {', '.join(FAMILIES)}.")

    def take_in_partners(self) -> None:
        self.step("Twelve partners apply; another person of the vendor approves them")
        for partner in PARTNERS:
            profile = self.round.profile(partner)
            self.partners[partner.key] = self.clara.tell(PARTNER, "/v1/partners", **profile)
        for partner_id in self.partners.values():
            self.otto.tell(PARTNER, f"/v1/partners/{partner_id}/approve", terms_version="2027-1")
        self.settle()
        for key, partner_id in self.partners.items():
            name = f"Seller of {key}"
            seller = Person.with_role(self.client, "partner-seller", name, partner_id)
            self.sellers[key] = seller
        self.settle()
        contacts = self.otto.ask(PARTNER, "/v1/contacts", partner_id=self.partners["alpha"])
        choose = f"/v1/contacts/{contacts['items'][0]['contact_id']}/set-notification-preferences"
        self.sellers["alpha"].tell(PARTNER, choose, language="de", muted=[])
        active = self.otto.ask(PARTNER, "/v1/partners", status="active", limit=200)["items"]
        self.note(f"{len(active)} active partners; each has a seller who may log on.")
        self.note("Alpha's seller wants e-mails in German.")

    def divide_territories(self) -> None:
        self.step("An alignment divides the map into twelve territories")
        wanted = [self.round.territory(cell, self.partners) for cell in TERRITORIES]
        alignment = self.clara.tell(
            TERRITORY,
            "/v1/alignments",
            name=f"First alignment, round {self.round.number}",
            changes=[{"definition": definition} for definition in wanted],
        )
        self.clara.tell(TERRITORY, f"/v1/alignments/{alignment}/validate")
        self.settle()
        read = self.otto.ask(TERRITORY, f"/v1/alignments/{alignment}")["version"]
        self.otto.tell(TERRITORY, f"/v1/alignments/{alignment}/approve", seen=read)
        self.olga.tell(TERRITORY, f"/v1/alignments/{alignment}/activate")
        self.settle()
        self.note("Drafted by Clara, approved by Otto, activated by Olga. No exclusives overlap.")

    def clear_deals(self) -> None:
        self.step("Clear deals up to 50,000.00 are approved by rule")
        told = [
            ("granit", "Limmat Kantonalbau", "AG", "CH", "backup", 42_000),
            ("estrella", "Marisol Conservas", "SA", "ES", "security", 12_600),
            ("fjord", "Nordlys Havbruk", "AS", "NO", "network", 27_500),
            ("dune", "Verrerie Lavoisier", "SARL", "FR", "backup", 19_200),
        ]
        for partner, name, trade, country, family, euros in told:
            customer = self.round.customer(name, trade)
            self.register(partner, customer, country, family, euros)
        self.settle()
        for partner, *_ in told:
            self.expect(partner, "approved")

    def decide_a_large_deal(self) -> None:
        self.step("A large deal waits for a person with the limit")
        deal = self.register("alpha", self.hoffmann(), "DE", "backup", 180_000)
        self.settle()
        self.expect("alpha", "in_review")
        asked = self.clara.ask(NOTIFY, "/v1/notifications", limit=1)["items"][0]
        self.note(f"Clara's inbox: {asked['text']}")
        self.clara.tell(DEAL, f"/v1/deals/{deal}/approve")
        self.settle()
        self.note("Clara approves:")
        self.expect("alpha", "approved")

    def race(self) -> None:
        self.step("Two partners register the same customer at the same moment; a third follows")
        customer = self.round.customer("Nordwind", "Energie AG")
        with ThreadPoolExecutor(2) as both:
            racing = [
                both.submit(self.register, partner, customer, "DE", "backup", 48_000, tag="race")
                for partner in ("alpha", "isar")
            ]
            for registered in racing:
                registered.result()
        self.register("cobalt", customer, "DE", "backup", 36_000, tag="race")
        self.settle()
        first, second = sorted(("alpha race", "isar race"), key=self.status_of)
        for tag, status in ((first, "approved"), (second, "queued"), ("cobalt race", "queued")):
            self.expect(tag, status)
        self.line = (first, second, "cobalt race")

    def near_duplicate(self) -> None:
        self.step("A near-duplicate of Alpha's customer comes to a person, with evidence")
        root = self.hoffmann().split()[0]
        close = f"{root[:3]}{root[4:]} Logistics"  # in the first round: Hofmann Logistics
        deal = self.register("isar", close, "DE", "backup", 95_000, tag="alike")
        self.settle()
        self.expect("isar alike", "in_review")
        found = self.clara.ask(DEAL, f"/v1/deals/{deal}")["conflicts"]
        for conflict in found:
            self.note(f"{conflict['kind']}: {conflict['evidence']}")
        self.clara.tell(
            DEAL, f"/v1/deals/{deal}/reject", reason_code="duplicate", note="It is the same site."
        )
        self.settle()
        self.note("Clara rejects:")
        self.expect("isar alike", "rejected")

    def out_of_territory(self) -> None:
        self.step("Deals outside the partner's territory are rejected by rule")
        outside = self.round.customer("Rheinische Kugellager", "KG")
        self.register("borealis", outside, "DE", "backup", 40_000)
        others = self.round.customer("Donau Textil", "GmbH")
        self.register("isar", others, "AT", "network", 30_000, tag="foreign")
        self.settle()
        self.expect("borealis", "rejected")
        self.expect("isar foreign", "rejected")
        inbox = self.sellers["borealis"].ask(NOTIFY, "/v1/notifications", limit=1)["items"][0]
        self.note(f"Borealis' inbox: {inbox['text']}")

    def refusals(self) -> None:
        self.step("What is not allowed is refused, and says why")
        laguna = self.partners["laguna"]
        self.otto.tell(PARTNER, f"/v1/partners/{laguna}/suspend", reason_code="terms-not-accepted")
        self.settle()
        body = self.deal_body(self.round.customer("Officine Vela", "SRL"), "IT", "network", 15_000)
        refused = self.sellers["laguna"].try_to_tell(DEAL, "/v1/deals", **body)
        self.note(f"A suspended partner registers: {self.refusal(refused)}")
        self.otto.tell(PARTNER, f"/v1/partners/{laguna}/reinstate")
        foreign = f"/v1/deals/{self.deals['alpha']}/withdraw"
        refused = self.sellers["isar"].try_to_tell(DEAL, foreign)
        self.note(f"Another partner's deal is withdrawn: {self.refusal(refused)}")
        self.settle()

    def withdraw(self) -> None:
        self.step("A partner withdraws; the customer is free again")
        customer = self.round.customer("Ateliers Mistral", "SA")
        deal = self.register("cobalt", customer, "FR", "network", 75_000)
        self.settle()
        self.expect("cobalt", "in_review")
        self.sellers["cobalt"].tell(DEAL, f"/v1/deals/{deal}/withdraw")
        self.settle()
        self.expect("cobalt", "withdrawn")

    def expire_and_promote(self) -> None:
        self.step("91 days pass: exclusivity expires, the next in line is checked and approved")
        clock.advance(self.client, self.services, timedelta(days=91), self.note)
        for tag, status in zip(self.line, ("expired", "approved", "queued"), strict=True):
            self.expect(tag, status)

    def open_the_market(self) -> None:
        self.step(f"A market opens (seed {self.market.seed}), and its first deals are registered")
        self.season.open()
        self.season.register(self.plans.early(), self.closing_date())

    def play_a_season(self) -> None:
        self.step("A season: clear and large deals, races, near-duplicates, deals of others")
        self.season.register(self.plans.late(), self.closing_date())

    def show_verdicts(self) -> None:
        self.step("All verdicts")
        for tag in self.deals:
            self.note(self.verdict_of(tag))
        self.say("")
        self.season.show_verdicts()
        deals = len(self.deals) + len(self.season.played)
        took = time.monotonic() - self.begun
        self.say(f"\nThe story is told: {deals} deals, each verdict as expected, in {took:.0f} s.")

    # --- deals ---------------------------------------------------------------------------

    def hoffmann(self) -> str:
        return self.round.customer("Hoffmann", "Logistik GmbH")

    def register(
        self, partner: str, customer: str, country: str, family: str, euros: int, *, tag: str = ""
    ) -> str:
        """Registers a deal of one line; `tag` tells apart two deals of one partner."""
        body = self.deal_body(customer, country, family, euros)
        deal = self.sellers[partner].tell(DEAL, "/v1/deals", **body)
        self.deals[f"{partner} {tag}".strip()] = deal
        self.told[deal] = f"{partner.capitalize():9} {customer:28} {country} {family:8}"
        return deal

    def deal_body(self, customer: str, country: str, family: str, euros: int) -> dict[str, Any]:
        return {
            "deal_type": "new",
            "customer": {"name": customer, "country": country},
            "lines": [
                {
                    "product_id": self.products[family],
                    "quantity": 10,
                    "unit_price_minor": euros * EURO // 10,
                }
            ],
            "currency": "EUR",
            "expected_close_on": self.closing_date().isoformat(),
            "sales_activity": "Two meetings and a proof of concept.",
        }

    def expect(self, tag: str, status: str) -> None:
        """Tells how a deal stands. Raises OpsError if the story goes otherwise."""
        self.note(self.verdict_of(tag))
        if (found := self.status_of(tag)) != status:
            raise OpsError(f"The deal of {tag} is {found}; in the story it is {status} here.")

    def status_of(self, tag: str) -> str:
        return str(self.clara.ask(DEAL, f"/v1/deals/{self.deals[tag]}")["status"])

    def verdict_of(self, tag: str) -> str:
        """One line: the deal and how it stands, as the vendor sees it."""
        deal = self.clara.ask(DEAL, f"/v1/deals/{self.deals[tag]}")
        why = deal["decision"]["reason_code"] if deal["decision"] else ""
        kinds = ", ".join(conflict["kind"] for conflict in deal["conflicts"])
        place = f"at place {deal['place']}" if deal["status"] == "queued" else ""
        told = self.told[self.deals[tag]]
        amount = f"{deal['amount_minor'] // EURO:>8,}.00 {deal['currency']}"
        return f"{told} {amount}  {deal['status']:9} {why:12} {place or kinds}".rstrip()

    def refusal(self, answer: str | Refused) -> str:
        if isinstance(answer, str):
            raise OpsError(f"The story expected a refusal, but {answer} was accepted.")
        return f"{answer.status} {answer.rule}: {answer.problem.get('title', '')}"
