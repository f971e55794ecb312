"""What must hold after every run: each check answers with what is wrong."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID, uuid5

from chassis.consuming.records import read_envelope
from chassis.consuming.subscribers import subscribers_of
from chassis.storage.wire import FIRST_CHAIN, chained, fact_digest
from chassis.store import Recorded
from notify_svc.worker import outgoing
from prm_contracts.facts import topic_of

from .aggregates import fact_of
from .broker import record_of
from .database import Database, Event, Transaction
from .deal_invariants import (
    wrong_by_the_map,
    wrong_in_ends,
    wrong_in_lines,
    wrong_in_notifications,
    wrong_in_verdicts,
)
from .partner_invariants import wrong_in_administrations, wrong_in_invitations, wrong_in_unique_keys
from .people import Told
from .platform import SERVICES, Durable
from .statements import handler_of


def wrong_in(
    durable: Durable, told: Sequence[Told], mails: Sequence[UUID], now: datetime
) -> Iterator[str]:
    for name, database in durable.databases.items():
        yield from (f"{name}: {it}" for it in wrong_in_log(database.events))
        yield from (f"{name}: {it}" for it in wrong_on_topics(name, database, durable))
        yield from (f"{name}: {it}" for it in wrong_in_answers(name, database, told))
        yield from (f"{name}: {it}" for it in wrong_in_reactions(name, database, durable))
        yield from (f"{name}: {it}" for it in wrong_in_read_models(name, database, durable))
    deals, partners = durable.databases["deal-svc"], durable.databases["partner-svc"]
    yield from wrong_in_lines(deals)
    yield from wrong_in_verdicts(deals)
    yield from wrong_in_ends(deals)
    yield from wrong_by_the_map(deals, durable.databases["territory-svc"])
    yield from wrong_in_invitations(partners, now)
    yield from wrong_in_unique_keys(partners)
    yield from wrong_in_administrations(partners)
    yield from wrong_in_notifications(deals, durable.databases["notify-svc"], mails)


# --- the log -----------------------------------------------------------------------------------


def wrong_in_log(events: Sequence[Event]) -> Iterator[str]:
    ends: dict[UUID, tuple[int, bytes]] = {}
    commands: dict[UUID, int] = {}
    before = None
    for position, event in enumerate(events, 1):
        if event.position != position:
            yield f"position {event.position} stands where {position} belongs"
        if before and event.recorded_at <= before.recorded_at:
            yield f"{event.position} was recorded before {before.position}"
        version, chain = ends.get(event.aggregate_id, (0, FIRST_CHAIN))
        if event.version != version + 1:
            yield f"{event.aggregate_id}: version {event.version} follows {version}"
        if chained(chain, digest_of(event)) != event.chain:
            yield f"{event.aggregate_id}: version {event.version} breaks the chain"
        ends[event.aggregate_id] = event.version, event.chain
        if event.command_place != commands.get(event.command_id, 0) + 1:
            yield f"command {event.command_id} recorded twice: {event.type}"
        elif event.command_place > 1 and before and before.command_id != event.command_id:
            yield f"command {event.command_id} was torn apart"
        commands[event.command_id] = event.command_place
        before = event


def digest_of(event: Event) -> bytes:
    return fact_digest(
        aggregate_id=event.aggregate_id,
        version=event.version,
        type=event.type,
        event_id=event.event_id,
        occurred_at=event.occurred_at,
        actor_id=event.actor_id,
        data=event.data,
    )


def wrong_on_topics(service: str, database: Database, durable: Durable) -> Iterator[str]:
    """Everything lies there, as it lies in the store; at first sight in the order of the store."""
    seen: set[int] = set()
    for topic in SERVICES[service].topics:
        for place in durable.broker.places(topic.name):
            reached = 0
            for stored in durable.broker.records[place]:
                envelope = read_envelope(record_of(place, stored), service)
                position = envelope.position
                if position > len(database.events):
                    yield f"{place} has position {position}, which was never recorded"
                    continue
                event = database.events[position - 1]
                if (event.event_id, event.chain) != (envelope.event_id, envelope.chain):
                    yield f"{place} has another fact of position {position}"
                if position not in seen and position < reached:
                    yield f"{place}: {position} is seen first behind {reached}"
                seen.add(position)
                reached = max(reached, position)
    if missing := set(range(1, len(database.events) + 1)) - seen:
        yield f"never published: {sorted(missing)[:10]}"


# --- commands ----------------------------------------------------------------------------------


def wrong_in_answers(service: str, database: Database, told: Sequence[Told]) -> Iterator[str]:
    answered: dict[UUID, Any] = {}
    for each in told:
        if each.service != service:
            continue
        of_it = database.commands.get(each.command_id, ())
        if each.saved is None:
            if each.was_recorded:
                yield f"{each.command} was recorded, and refused when it was repeated"
            continue
        first = answered.setdefault(each.command_id, each.saved.versions)
        if first != each.saved.versions:
            yield f"{each.command} was answered {first}, and then {each.saved.versions}"
        for aggregate_id, version in each.saved.versions:
            if len(database.streams.get(aggregate_id, ())) < version:
                yield f"lost: {each.command} answered {aggregate_id} at {version}"
        last = {event.aggregate_id: event.version for event in of_it}
        if last.items() - set(each.saved.versions):
            yield f"{each.command} left {last}, and answered {each.saved.versions}"
        if not of_it and each.command_id not in database.tables["outcomes"]:
            yield f"lost: nothing is known of {each.command}"
    refused = {each.command_id for each in told if each.service == service} - answered.keys()
    if unanswered := refused & database.commands.keys():
        yield f"recorded, and always refused: {unanswered}"


# --- reactions ---------------------------------------------------------------------------------


def wrong_in_reactions(service: str, database: Database, durable: Durable) -> Iterator[str]:
    """Each policy has acted once on each fact, under the id that fact and policy give it."""
    facts = {
        event.event_id: event for other in durable.databases.values() for event in other.events
    }
    it = SERVICES[service]
    allowed = {
        uuid5(event_id, policy.key): policy
        for event_id, event in facts.items()
        for policy in it.policies
        if event.type == policy.fact.fact_type
    }
    errands = {
        uuid5(uuid5(event.aggregate_id, rule.key), str(event.version))
        for event in database.events
        for rule in (outgoing(None) if it.outbound else ())  # type: ignore[arg-type]
    }
    for command_id, caused in database.commands.items():
        if caused[0].causation_id and command_id not in allowed.keys() | errands:
            yield f"{caused[0].type} was caused by {caused[0].causation_id}, and no policy says so"
    yield from _unseen(service, database, durable)


def _unseen(service: str, database: Database, durable: Durable) -> Iterator[str]:
    """Each subscriber has taken every aggregate of its topics up to its last version."""
    it = SERVICES[service]
    for subscriber in subscribers_of(it):
        for other in durable.databases.values():
            for its_id, stream in other.streams.items():
                if topic_of(type(fact_of(stream[0]))).name not in subscriber.topics:
                    continue
                row = database.tables["sequences"].get((subscriber.name, its_id))
                if (row["version"] if row else 0) != len(stream):
                    yield f"{subscriber.name} has not taken {stream[-1].type} of {its_id}"


def wrong_in_read_models(service: str, database: Database, durable: Durable) -> Iterator[str]:
    """Each is what it becomes when all facts are projected once, in the order of their topics."""
    again = Database("again", database.now)
    transaction = Transaction(again, None)
    it = SERVICES[service]
    for projection in it.projections:
        for other in durable.databases.values():
            for event in other.events:
                fact = fact_of(event)
                if not isinstance(fact, projection.topic.facts):
                    continue
                statement = projection.statement(recorded(event, fact))
                if statement:
                    handler_of(statement.sql)(transaction, statement.values)
    transaction.end(is_committed=True)
    for name in {projection.name for projection in it.projections}:
        if database.tables[name] != again.tables[name]:
            yield f"{name} is not what its facts make it"


def recorded(event: Event, fact: Any) -> Recorded[Any]:
    return Recorded(
        fact=fact,
        aggregate_id=event.aggregate_id,
        version=event.version,
        event_id=event.event_id,
        position=event.position,
        occurred_at=event.occurred_at,
        recorded_at=event.recorded_at,
        actor_id=event.actor_id,
        command_id=event.command_id,
        correlation_id=event.correlation_id,
        causation_id=event.causation_id,
        chain=event.chain,
    )
