"""Deals told to the API: as fast as so many writers can, or at a fixed rate whatever it takes."""

import asyncio
import time
from collections.abc import Iterable
from datetime import date, timedelta
from itertools import chain
from random import SystemRandom
from typing import Any, NamedTuple, Self
from uuid import uuid4

from aiohttp import ClientSession, TCPConnector

from ops import clock
from ops.demo.people import Person
from ops.platform import Platform

DEAL, PARTNER, TERRITORY = "deal-svc", "partner-svc", "territory-svc"
FAMILY = "bench"
PRICE = 1_000_00  # minor units: a rule approves a clear deal of this amount


def a_deal(product_id: str) -> dict[str, Any]:
    """Of a customer whom nobody has named before."""
    word = "".join(SystemRandom().choices("abcdefghijklmnopqrstuvwxyz", k=14))
    line = {"product_id": product_id, "quantity": 1, "unit_price_minor": PRICE}
    return {
        "customer": {"name": f"{word} GmbH", "country": "DE", "domain": f"{word}.example"},
        "lines": [line],
        "currency": "EUR",
        "expected_close_on": (date.today() + timedelta(days=60)).isoformat(),  # noqa: DTZ011
        "sales_activity": "Met the customer, who wants an offer.",
    }


class Sent(NamedTuple):
    """A registration that was accepted; instants of `time.perf_counter`."""

    deal_id: str
    position: str
    scheduled: float
    answered: float


class Deals:
    """A partner whose territory is all of Germany registers deals there, each for a new customer.

    To be used inside `async with`.
    """

    def __init__(self, platform: Platform) -> None:
        self._platform, client = platform, platform.client
        self._operations = Person.with_role(client, "channel-operations", "Otto")
        self._manager = Person.with_role(client, "channel-account-manager", "Clara")
        partner = self._partner()
        self._list_product()
        self._settle()
        [product] = self._operations.ask(DEAL, "/v1/products", family=FAMILY)["items"]
        self._product_id = product["product_id"]
        seller = Person.with_role(client, "partner-seller", "Seller", partner)
        self._draw_territory(partner)
        self._settle()
        self._url = f"{platform.url(DEAL)}/v1/deals"
        self._headers = {"Authorization": f"Bearer {seller.token}"}

    async def __aenter__(self) -> Self:
        self._http = ClientSession(connector=TCPConnector(limit=0))
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._http.close()

    async def register(self, scheduled: float) -> Sent:
        """Too many at once: asked again as the answer says, and its latency goes on counting."""
        headers = self._headers | {"Idempotency-Key": str(uuid4())}
        deal = a_deal(self._product_id)
        while True:
            async with self._http.post(self._url, json=deal, headers=headers) as answer:
                said = await answer.json()
            if answer.status == 201:
                break
            if answer.status != 429:
                raise RuntimeError(f"{answer.status} {said}")
            await asyncio.sleep(float(answer.headers["Retry-After"]))
        return Sent(said["id"], answer.headers["Prm-Position"], scheduled, time.perf_counter())

    async def read(self, sent: Sent) -> float:
        """When the read model has answered with what was told."""
        headers = self._headers | {"Prm-Position": sent.position}
        while True:
            asking = self._http.get(f"{self._url}/{sent.deal_id}", headers=headers)
            async with asking as answer:
                said = await answer.text()
            if answer.status == 200:
                break
            if answer.status != 503:  # not yet seen within its two seconds: asked again
                raise RuntimeError(f"{answer.status} {said}")
        return time.perf_counter()

    async def by_writers(self, writers: int, count: int) -> list[Sent]:
        """Each writer tells its next deal once the one before is answered."""
        left = iter(range(count))

        async def write(left: Iterable[int]) -> list[Sent]:
            return [await self.register(time.perf_counter()) for _ in left]

        return list(chain(*await asyncio.gather(*(write(left) for _ in range(writers)))))

    async def at_rate(self, a_second: float, seconds: float) -> list[Sent]:
        """By a schedule: what is late makes nobody wait, and its latency counts from when due."""
        begun, telling = time.perf_counter() + 0.1, []
        for number in range(round(a_second * seconds)):
            due = begun + number / a_second
            await asyncio.sleep(due - time.perf_counter())
            telling.append(asyncio.create_task(self.register(due)))
        return list(await asyncio.gather(*telling))

    def _partner(self) -> str:
        profile: dict[str, Any] = {"legal_name": "Bench Partner", "country": "DE"}
        profile |= {"types": ["reseller"], "currency": "EUR", "time_zone": "Europe/Berlin"}
        partner = self._manager.tell(PARTNER, "/v1/partners", **profile)
        approve = f"/v1/partners/{partner}/approve"
        self._operations.tell(PARTNER, approve, terms_version="2027-1")
        return partner

    def _list_product(self) -> None:
        path, family = "/v1/price-books", {"family": FAMILY, "name": "Bench"}
        book = self._operations.tell(DEAL, path, code=FAMILY, name="Bench", currency="EUR")
        self._operations.tell(DEAL, f"{path}/{book}/define-family", **family)
        product: dict[str, Any] = family | {"sku": "one", "unit": "piece"}
        product["list_price_minor"] = PRICE
        self._operations.tell(DEAL, f"{path}/{book}/list-product", **product)

    def _draw_territory(self, partner: str) -> None:
        definition = {
            "code": FAMILY,
            "name": "Germany",
            "rule": {"geographies": ["DE"], "families": [FAMILY]},
            "assignments": [{"partner_id": partner, "role": "exclusive"}],
        }
        path, changes = "/v1/alignments", [{"definition": definition}]
        alignment = self._manager.tell(TERRITORY, path, name=FAMILY, changes=changes)
        self._manager.tell(TERRITORY, f"{path}/{alignment}/validate")
        self._settle()
        read = self._operations.ask(TERRITORY, f"{path}/{alignment}")["version"]
        self._operations.tell(TERRITORY, f"{path}/{alignment}/approve", seen=read)
        self._operations.tell(TERRITORY, f"{path}/{alignment}/activate")

    def _settle(self) -> None:
        clock.settle(self._platform.client, list(self._platform.services))
