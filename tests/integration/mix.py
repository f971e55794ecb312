"""All that people do on a platform at once: callers of every kind, and followers of live lists."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Event as Flag
from threading import Thread
from typing import Any

import httpx2

from .load import AGAIN_AFTER, Writer
from .story import BY_HAND, Partner, Person, Story, eventually, random_word

KEPT = 8  # open deals of a writer, and partners of its own: then it ends one before the next
CAUGHT_UP_WITHIN = 60.0  # seconds after all has settled


class Everybody(Writer):
    """Sellers, channel managers and operations; each caller decides on what it began itself.

    What is open stays as much, so that one minute is like the other.
    """

    def __init__(self, *given: Any) -> None:
        super().__init__(*given)
        self.by_hand: list[tuple[Partner, str]] = []
        self.applicants: list[str] = []
        self.active: list[str] = []
        self.has_territory = False

    def ways(self) -> dict[Callable[[], None], int]:
        often = {self.register: 8, self.register_by_hand: 4, self.withdraw: 4, self.decide: 6}
        often |= {self.read: 2, self.ask: 8, self.apply: 1, self.approve_partner: 1}
        return often | {self.hold_partner: 1, self.invite: 1, self.move_territory: 1}

    def register(self) -> None:
        super().register()
        while len(self.deals) > KEPT:
            self.withdraw()

    def withdraw(self) -> None:
        """A rule may have rejected it by the territories of today."""
        if self.deals:
            self.leave(*self.deals.pop(self.chance.randrange(len(self.deals))))

    def leave(self, partner: Partner, deal: str) -> None:
        self.tell(partner.seller, f"deals/{deal}/withdraw", {}, may_be_late=True)

    def register_by_hand(self) -> None:
        """A deal that a person must decide on."""
        partner = self.chance.choice(self.load.partners)
        [line] = self.load.deal["lines"]
        lines, customer = [line | {"unit_price_minor": BY_HAND}], self.load.story.customer()
        wanted = self.load.deal | {"lines": lines, "customer": customer}
        accepted = self.tell(partner.seller, "deals", wanted)
        self.by_hand += [(partner, accepted.id)] if accepted else []
        while len(self.by_hand) > KEPT:
            self.leave(*self.by_hand.pop(0))

    def decide(self) -> None:
        """As the manager's list shows it; the map may have changed since, which is refused."""
        if not self.by_hand:
            return
        partner, deal = self.chance.choice(self.by_hand)
        shown = self.asked(self.load.story.manager, f"deals/{deal}")
        if not shown or shown["status"] != "in_review":
            return
        rejects = self.chance.random() < 0.3
        verb, why = ("reject", {"reason_code": "incomplete"}) if rejects else ("approve", {})
        told = self.tell(self.load.story.manager, f"deals/{deal}/{verb}", why, may_be_late=True)
        if told:
            self.by_hand.remove((partner, deal))
            self.deals += [] if rejects else [(partner, deal)]

    def apply(self) -> None:
        profile = self.load.story.profile(f"Under load {random_word()}")
        accepted = self.tell(self.load.story.manager, "partners", profile)
        self.applicants += [accepted.id] if accepted else []

    def approve_partner(self) -> None:
        if self.applicants:
            partner = self.applicants.pop()
            self.operate(f"partners/{partner}/approve", {"terms_version": "2027-1"})
            self.active = [*self.active[-KEPT:], partner]

    def hold_partner(self) -> None:
        """One that has no deals: it is back before the caller does anything else."""
        if self.active:
            partner = self.chance.choice(self.active)
            self.operate(f"partners/{partner}/suspend", {"reason_code": "audit"})
            self.operate(f"partners/{partner}/reinstate", {})

    def invite(self) -> None:
        """People of partners that have no deals: else each deal would be told to more of them."""
        if self.active:
            address = f"{random_word().lower()}@soak.example"
            person = {"side": "partner", "partner_id": self.chance.choice(self.active)}
            person |= {"name": "Ada", "language": "en", "email": address}
            accepted = self.operate("contacts", person | {"roles": ["partner-seller"]})
            if accepted:
                self.operate(f"contacts/{accepted.id}/accept", {})

    def move_territory(self) -> None:
        """The caller's own territory goes to another partner; undecided deals are checked again."""
        story, change = self.load.story, self.wanted_territory()
        if not change:
            return
        drafted = self.tell(story.manager, "alignments", {"name": "Move", "changes": [change]})
        for person, verb in ((story.manager, "validate"), (story.operations, "approve")):
            if drafted:
                path, read = f"alignments/{drafted.id}/{verb}", drafted.version
                drafted = self.tell(person, path, {}, version=read)
        if drafted:
            self.has_territory = bool(self.operate(f"alignments/{drafted.id}/activate", {}))

    def wanted_territory(self) -> dict[str, Any] | None:
        """None: the list does not show yet under which id it goes on."""
        story, code = self.load.story, f"t-{self.name}"
        holder = {"partner_id": self.chance.choice(self.load.partners).id, "role": "shared"}
        rule = {"geographies": ["DE"], "families": [story.family]}
        definition = {"code": code, "name": "Of a caller", "rule": rule, "assignments": [holder]}
        if not self.has_territory:
            return {"definition": definition}
        listed = self.asked(story.manager, "territories", country="DE", limit=200)
        for each in listed["items"] if listed else []:
            if each["code"] == code:
                return {"territory_id": each["territory_id"], "definition": definition}
        return None

    def operate(self, path: str, body: Any) -> Any:
        return self.tell(self.load.story.operations, path, body)

    def ask(self) -> None:
        partner, story = self.chance.choice(self.load.partners), self.load.story
        questions: list[tuple[Person, str, dict[str, Any]]] = [
            (partner.seller, "deals", {"limit": 50}),
            (partner.seller, "deals", {"status": "approved", "sort": "-amount_minor"}),
            (partner.seller, "notifications", {"limit": 20}),
            (partner.admin, f"partners/{partner.id}", {"as_of": "1"}),
            (story.manager, "exclusivity-claims", {"limit": 50}),
            (story.manager, "territories", {"country": "DE"}),
            (story.manager, "alignments", {"limit": 20}),
            (story.manager, "contacts", {"partner_id": partner.id}),
            (story.manager, "partners", {"sort": "-registered_at", "limit": 20}),
        ]
        person, path, how = self.chance.choice(questions)
        self.asked(person, path, **how)

    def asked(self, person: Person, path: str, **how: Any) -> dict[str, Any] | None:
        """None: nobody answers now, or the read model does not show it yet."""
        try:
            answer = self.as_caller(person).ask(path, **how)
        except httpx2.HTTPError as failure:
            self.load.told.lost.append(f"{path}: {failure!r}")
            return None
        if answer.is_success:
            self.load.told.answered.append(path)
            return dict(answer.json())
        if answer.status_code == 503:
            self.load.told.unavailable.append(answer.text)
        elif answer.status_code != 404:
            self.load.told.unexpected.append(f"{path}: {answer.status_code} {answer.text}")
        return None


@dataclass
class Follower:
    """Keeps a list of deals by what it is told live; where a connection broke, it goes on.

    `told`: events so far; `broken`: connections that ended.
    """

    person: Person
    filters: dict[str, str]
    shown: dict[str, tuple[str, int]] = field(default_factory=dict)
    told: int = 0
    broken: int = 0
    unexpected: list[str] = field(default_factory=list)
    _last_id: str = ""
    _ended: Flag = field(default_factory=Flag)

    def follow(self) -> None:
        while not self._ended.wait(AGAIN_AFTER):
            try:
                self._listen()
            except httpx2.HTTPError:
                self.broken += 1

    def _listen(self) -> None:
        headers = {"Authorization": f"Bearer {self.person.token}", "Accept": "text/event-stream"}
        headers |= {"Last-Event-ID": self._last_id} if self._last_id else {}
        url, kind = self.person.url("deals"), ""
        with self.person.http.stream("GET", url, params=self.filters, headers=headers) as answer:
            if answer.status_code != 200:
                if answer.status_code != 503:
                    self.unexpected.append(f"{answer.status_code} {answer.read()!r}")
                return
            for line in answer.iter_lines():
                name, _, value = line.partition(": ")
                if name == "event":
                    kind = value
                elif name == "data":
                    self._take(kind, json.loads(value))
                elif name == "id":
                    self._go_on_from(value)
                if self._ended.is_set():
                    return

    def _go_on_from(self, place: str) -> None:
        """From the first place on all changes are told: what was before it is read once."""
        if not self._last_id:
            self.shown = self.listed()
        self._last_id = place

    def _take(self, kind: str, document: dict[str, Any]) -> None:
        self.told += 1
        if kind == "left":
            self.shown.pop(document["id"], None)
        else:
            self.shown[document["deal_id"]] = (document["status"], document["version"])

    def listed(self) -> dict[str, tuple[str, int]]:
        entries = self.person.lists("deals", **self.filters)
        return {it["deal_id"]: (it["status"], it["version"]) for it in entries}

    def wrong(self) -> Iterator[str]:
        """Once all has settled: what it was told is what the list says."""
        listed = self.listed()
        try:
            eventually(lambda: self.shown == listed, within=CAUGHT_UP_WITHIN)
        except AssertionError:
            differing = sorted(self.shown.items() ^ listed.items())
            yield f"told live of deals {self.filters}: {len(differing)} differ, {differing[:4]}"
        yield from self.unexpected

    def end(self) -> None:
        self._ended.set()


@contextmanager
def followers(story: Story, partners: list[Partner]) -> Iterator[list[Follower]]:
    """A seller follows all of its deals, the manager those approved, which come and leave."""
    everybody = [(partners[0].seller, {}), (story.manager, {"status": "approved"})]
    with ExitStack() as clients:
        found = []
        for person, filters in everybody:
            http = clients.enter_context(httpx2.Client(timeout=30, trust_env=False))
            own = Person(person.id, person.token, person.platform, http)
            found.append(Follower(own, filters))
        threads = [Thread(target=each.follow) for each in found]
        for thread in threads:
            thread.start()
        try:
            yield found
        finally:
            for each in found:
                each.end()
            for thread in threads:
                thread.join()
