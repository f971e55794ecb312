"""What must hold of deals and of what is told about them."""

from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from uuid import UUID

from deal_svc.domain.deal import Deal
from deal_svc.domain.decision import Status
from deal_svc.domain.exclusivity import Exclusivity
from prm_contracts.deals import (
    DealApproved,
    DealExpired,
    DealRegistered,
    DealRejected,
    DealWithdrawn,
    ExclusivityClaimed,
    ExclusivityExpired,
    ExclusivityGranted,
    ExclusivityReleased,
)
from prm_contracts.notifications import NotificationQueued, NotificationSent
from prm_contracts.territories import MapSwitched

from .aggregates import fact_of, replayed
from .database import Database

ENDS = (DealExpired, DealRejected, DealWithdrawn)


def wrong_in_lines(database: Database) -> Iterator[str]:
    """At most one holder a line at any version, always the first of those that claimed."""
    lines: dict[UUID, list[UUID]] = defaultdict(list)
    holders: dict[UUID, set[UUID]] = defaultdict(set)
    for event in database.events:
        fact, line = fact_of(event), event.aggregate_id
        match fact:
            case ExclusivityClaimed():
                if fact.deal_id in lines[line]:
                    yield f"{fact.deal_id} claims {line} twice"
                lines[line].append(fact.deal_id)
            case ExclusivityGranted():
                holders[line].add(fact.deal_id)
                if len(holders[line]) > 1:
                    yield f"{line} has two holders at {event.version}"
                if lines[line][:1] != [fact.deal_id]:
                    yield f"{line} was granted to {fact.deal_id}, behind {lines[line][:1]}"
            case ExclusivityReleased() | ExclusivityExpired():
                if fact.deal_id not in lines[line]:
                    yield f"{fact.deal_id} leaves {line}, where it was not"
                else:
                    lines[line].remove(fact.deal_id)
                holders[line].discard(fact.deal_id)
            case _:
                pass


def wrong_in_verdicts(database: Database) -> Iterator[str]:
    """Every deal got one; none waits in a line that it is the head of; lines say the same."""
    lines = replayed(database, ExclusivityClaimed, Exclusivity)
    for its_id, deal in replayed(database, DealRegistered, Deal).items():
        places = [lines[claim.exclusivity_id].place_of(its_id) for claim in deal.claims]
        holds = [its_id in lines[claim.exclusivity_id].holders for claim in deal.claims]
        is_live = deal.status not in {Status.REJECTED, Status.WITHDRAWN, Status.EXPIRED}
        if deal.status is Status.CHECKING:
            yield f"deal {its_id} has no verdict"
        if deal.status is Status.QUEUED and max(places) == 1:
            yield f"deal {its_id} waits at the head of all its lines"
        if is_live != all(places) or (deal.status is Status.APPROVED) != all(holds):
            yield f"deal {its_id} is {deal.status}, at places {places}, and holds {holds}"


def wrong_in_ends(database: Database) -> Iterator[str]:
    """A deal that has ended stays as it is."""
    for its_id, stream in database.streams.items():
        ends = [event for event in stream if isinstance(fact_of(event), ENDS)]
        if ends and ends[0] is not stream[-1]:
            yield f"deal {its_id} ended with {ends[0].type}, and then came {stream[-1].type}"


def wrong_by_the_map(database: Database, territories: Database) -> Iterator[str]:
    """Whoever decides on a deal that is in review sees what the newest map says of it."""
    switched = (fact_of(event) for event in territories.events)
    newest = max(it.alignment_version for it in switched if isinstance(it, MapSwitched))
    for its_id, deal in replayed(database, DealRegistered, Deal).items():
        if deal.status is Status.IN_REVIEW and deal.checked[1] != newest:
            yield f"deal {its_id} was checked by map {deal.checked[1]}, not by {newest}"


def wrong_in_notifications(
    deals: Database, notify: Database, mails: Sequence[UUID]
) -> Iterator[str]:
    """Each fact is told once to each whom it concerns, and mailed at least once."""
    told: Counter[tuple[UUID, UUID, str]] = Counter()
    sent: Counter[UUID] = Counter()
    queued: set[UUID] = set()
    for event in notify.events:
        match fact_of(event):
            case NotificationQueued() as fact:
                told[fact.cause.event_id, fact.recipient_id, fact.template] += 1
                queued.add(event.aggregate_id)
            case NotificationSent():
                sent[event.aggregate_id] += 1
            case _:
                pass
    sellers = {
        event.aggregate_id: fact.seller_id
        for event in deals.events
        if isinstance(fact := fact_of(event), DealRegistered)
    }
    templates: dict[type, str] = {DealRegistered: "deal-registered", DealApproved: "deal-approved"}
    for event in deals.events:
        if template := templates.get(type(fact_of(event))):
            told.setdefault((event.event_id, sellers[event.aggregate_id], template), 0)
    yield from (f"told {count} times: {what}" for what, count in told.items() if count != 1)
    yield from (
        f"{its_id}: {sent[its_id]} mails are recorded" for its_id in queued if sent[its_id] != 1
    )
    if not set(mails) <= queued:
        yield "a mail was handed over that nobody queued"
