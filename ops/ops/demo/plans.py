"""The deals of a market, of every kind, each with the end that is known before it is played."""

import re
from dataclasses import dataclass
from typing import Any, Literal

from ops.demo.market import Cell, Firm, Market, subdivisions

End = Literal["approved", "rejected", "in_review", "queued", "withdrawn", "expired"]
Act = Literal["approve", "reject", "withdraw"]
NO_OTHER_KEYS: dict[str, None] = {"domain": None, "duns": None}


@dataclass(frozen=True)
class Planned:
    """A deal before it is played. `act`: what a person does once it waits; `ends`: how it may end;
    `group`: deals that race for one customer: together they end as `ends` says. The customer's
    `industry` is told of the deal, its `city` in the story.
    """

    kind: str
    seller: Firm
    cell: Cell
    customer: dict[str, Any]
    euros: int
    ends: tuple[End, ...]
    act: Act | None = None
    group: int | None = None


@dataclass(frozen=True)
class Plans:
    """Of one market; to be made in the order in which they are played."""

    market: Market

    def early(self) -> tuple[Planned, ...]:
        """Before a quarter passes: exclusivities that expire, and who waits behind some of them."""
        count = self.market.deals // 17
        plans = []
        for group in range(count):
            cell, customer = self._shared(), self.market.customer
            holder, waiting, *_ = cell.sellers
            named = customer(cell)
            plans.append(Planned("expired", holder, cell, named, 20_000, ("expired",)))
            if group % 2 == 0:
                plans.append(Planned("promoted", waiting, cell, named, 15_000, ("approved",)))
        return tuple(plans)

    def late(self) -> tuple[Planned, ...]:
        """After it, in the order of `STEPS`: what follows another deal comes after it."""
        share = self.market.deals / 340
        plans: list[Planned] = []
        for make, count in (
            (self._clear, 110),
            (self._large, 60),
            (self._outside, 35),
            (self._unassigned, 10),
            (self._withdrawn, 10),
            (self._races, 20),
            (self._same_company, 15),
            (self._typos, 10),
        ):
            plans += make(max(1, round(count * share)), plans)
        return tuple(plans)

    def _clear(self, count: int, _: list[Planned]) -> list[Planned]:
        return [
            Planned(
                "clear",
                cell.sellers[0],
                cell,
                self.market.customer(cell),
                self._euros(),
                ("approved",),
            )
            for cell in self._some(count)
        ]

    def _large(self, count: int, _: list[Planned]) -> list[Planned]:
        """Of three one is approved by a person, one rejected, and one waits."""
        ways: list[tuple[str, Act | None, End]] = [
            ("large, approved", "approve", "approved"),
            ("large, rejected", "reject", "rejected"),
            ("large, waiting", None, "in_review"),
        ]
        plans = []
        for number, cell in enumerate(self._some(count)):
            kind, act, end = ways[number % 3]
            euros, customer = (
                self.market.chance.randrange(60_000, 190_000, 500),
                self.market.customer(cell),
            )
            plans.append(Planned(kind, cell.sellers[0], cell, customer, euros, (end,), act))
        return plans

    def _outside(self, count: int, _: list[Planned]) -> list[Planned]:
        plans = []
        for cell in self._some(count):
            stranger = self.market.chance.choice(
                [it for it in self.market.firms if it not in cell.sellers]
            )
            kind = "exclusive of another" if cell.is_exclusive else "out of territory"
            customer = self.market.customer(cell)
            plans.append(Planned(kind, stranger, cell, customer, self._euros(), ("rejected",)))
        return plans

    def _unassigned(self, count: int, _: list[Planned]) -> list[Planned]:
        """In a country of nobody: flagged, and no reason to reject."""
        liechtenstein = sorted(each.code for each in subdivisions("LI"))
        plans = []
        for _number in range(count):
            cell = Cell(self.market.chance.choice(liechtenstein), "storage", (), is_exclusive=False)
            firm = self.market.chance.choice(self.market.firms)
            customer = self.market.customer(cell, "AT")
            plans.append(Planned("unassigned", firm, cell, customer, self._euros(), ("approved",)))
        return plans

    def _withdrawn(self, count: int, _: list[Planned]) -> list[Planned]:
        return [
            Planned(
                "withdrawn",
                cell.sellers[0],
                cell,
                self.market.customer(cell),
                120_000,
                ("withdrawn",),
                "withdraw",
            )
            for cell in self._some(count)
        ]

    def _races(self, count: int, _: list[Planned]) -> list[Planned]:
        plans = []
        for group in range(count):
            cell = self._shared()
            customer = self.market.customer(cell)
            ends: tuple[End, ...] = ("approved", "queued")
            plans += [
                Planned("race", firm, cell, customer, 30_000, ends, group=group)
                for firm in cell.sellers[:2]
            ]
        return plans

    def _same_company(self, count: int, before: list[Planned]) -> list[Planned]:
        """Another name, the same tax id: it is the same customer, and stands in line."""
        return [
            Planned(
                "same tax id",
                plan.cell.sellers[1],
                plan.cell,
                self.market.customer(plan.cell)
                | {"tax_id": plan.customer["tax_id"]}
                | NO_OTHER_KEYS,
                self._euros(),
                ("queued",),
            )
            for plan in self._followed(before)[:count]
        ]

    def _typos(self, count: int, before: list[Planned]) -> list[Planned]:
        """A letter is gone: alike enough to be the same, or for a person to look."""
        ends: tuple[End, ...] = ("queued", "in_review")
        plans = []
        for plan in [it for it in self._followed(before) if _long_word(it)][-count:]:
            told = ("country", "subdivision", "industry", "city")
            word = _long_word(plan)
            name = plan.customer["name"].replace(word, word[:5] + word[6:])
            customer = {key: plan.customer[key] for key in told} | {"name": name}
            seller = plan.cell.sellers[1]
            plans.append(Planned("near-duplicate", seller, plan.cell, customer, 25_000, ends))
        return plans

    def _followed(self, before: list[Planned]) -> list[Planned]:
        """Clear deals in shared cells, whose customers others name too."""
        return [it for it in before if it.kind == "clear" and not it.cell.is_exclusive]

    def _some(self, count: int) -> list[Cell]:
        return self.market.chance.choices(self.market.cells, k=count)

    def _shared(self) -> Cell:
        return self.market.chance.choice(
            [cell for cell in self.market.cells if len(cell.sellers) > 1]
        )

    def _euros(self) -> int:
        return self.market.chance.randrange(2_000, 50_000, 100)


def _long_word(plan: Planned) -> str:
    """Of the customer's name, one that survives a lost letter; or nothing."""
    words = re.findall(r"\w{9,}", plan.customer["name"])
    return words[0] if words else ""
