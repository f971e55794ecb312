"""The tables of a worker as subscribers: each takes facts in order and knows how far it is."""

from collections import defaultdict
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, LiteralString, Protocol
from uuid import NAMESPACE_URL, UUID, uuid5

from chassis.consuming.records import Envelope, source_of
from chassis.context import Actor, Context
from chassis.delivery import DeadlineRule, OutboundRule, Policy, Projection
from chassis.storage.window import ConnectionWindow
from chassis.store import Recorded
from chassis.telemetry.at_work import at_work_on
from prm_contracts.facts import Fact, Topic, topic_of, unversioned

POLICIES = "policies"


class Reactions(Protocol):
    """What the delivery knows of a service; `chassis.running.service.Service` is one."""

    @property
    def name(self) -> str: ...
    @property
    def topics(self) -> tuple[Topic[Any], ...]: ...
    @property
    def policies(self) -> tuple[Policy, ...]: ...
    @property
    def projections(self) -> tuple[Projection, ...]: ...
    @property
    def deadlines(self) -> tuple[DeadlineRule, ...]: ...
    @property
    def outbound(self) -> tuple[OutboundRule, ...]: ...


@dataclass(frozen=True)
class Taking:
    """What a subscriber may use while it takes a fact; `done`: commands known to have happened."""

    window: ConnectionWindow
    context: Callable[[Envelope, UUID], Context]
    done: frozenset[UUID]


Take = Callable[[Taking, Envelope, Recorded[Any]], Awaitable[None]]


@dataclass(frozen=True)
class Subscriber:
    """`handles`: the published names that it reacts to; others it passes over.

    `decides`: it waits for what a fact is based on; `keys`: of the policies that it runs.
    """

    name: str
    topics: frozenset[str]
    handles: frozenset[str]
    take: Take
    decides: bool = False
    keys: tuple[str, ...] = ()

    def commands_of(self, event_id: UUID) -> list[UUID]:
        """The ids of all that it might ever do because of this fact."""
        return [uuid5(event_id, key) for key in self.keys]

    def handles_another_version_of(self, fact_type: str) -> bool:
        return unversioned(fact_type) in map(unversioned, self.handles)


def service_actor(service: str) -> Actor:
    """Who acts when a service reacts."""
    return Actor(uuid5(NAMESPACE_URL, source_of(service)))


def consumed(service: Reactions) -> dict[str, Topic[Any]]:
    """By name, the topics that the tables read."""
    topics = [projection.topic for projection in service.projections]
    topics += [rule.topic for rule in service.deadlines]
    topics += [errand.topic for errand in service.outbound]
    topics += [topic_of(policy.fact) for policy in service.policies]
    return {topic.name: topic for topic in topics}


def subscribers_of(service: Reactions) -> tuple[Subscriber, ...]:
    """Read models first: what a policy reads then knows the fact that it reacts to."""
    by_name: dict[str, list[Projection]] = defaultdict(list)
    for projection in service.projections:
        by_name[projection.name].append(projection)
    subscribers = [_read_model(name, parts) for name, parts in by_name.items()]
    subscribers += [_deadline(rule) for rule in service.deadlines]
    subscribers += [_errand(rule) for rule in service.outbound]
    if service.policies:
        subscribers.append(_policies(service.policies))
    return tuple(subscribers)


def _types(topics: Iterable[Topic[Any]]) -> frozenset[str]:
    return frozenset(fact.fact_type for topic in topics for fact in topic.facts)


def _read_model(name: str, parts: Sequence[Projection]) -> Subscriber:
    statement_of = {part.topic.name: part.statement for part in parts}

    async def take(taking: Taking, envelope: Envelope, recorded: Recorded[Any]) -> None:
        statement = statement_of[envelope.record.topic](recorded)
        if statement is not None:
            taking.window.connection.later(*statement)

    topics = [part.topic for part in parts]
    return Subscriber(name, frozenset(statement_of), _types(topics), take)


SET: LiteralString = """
INSERT INTO deadlines (rule, aggregate_id, version, due_at)
VALUES (%(rule)s, %(aggregate_id)s, %(version)s, %(due_at)s)
ON CONFLICT (rule, aggregate_id) DO UPDATE SET version = excluded.version, due_at = excluded.due_at,
    fired_at = NULL, attempts = 0, next_try_at = NULL, reason = NULL"""
LIFT: LiteralString = (
    "DELETE FROM deadlines WHERE rule = %(rule)s AND aggregate_id = %(aggregate_id)s"
)


def _deadline(rule: DeadlineRule) -> Subscriber:
    async def take(taking: Taking, envelope: Envelope, recorded: Recorded[Any]) -> None:
        pending = rule.pending(recorded)
        if pending is not None:
            values = {
                "rule": rule.key,
                "aggregate_id": recorded.aggregate_id,
                "version": recorded.version,
                "due_at": pending.due_at,
            }
            taking.window.connection.later(SET if pending.due_at else LIFT, values)

    topics = (rule.topic,)
    return Subscriber(f"deadline:{rule.key}", frozenset([rule.topic.name]), _types(topics), take)


ASK: LiteralString = """
INSERT INTO errands (rule, aggregate_id, version, correlation_id, causation_id)
VALUES (%(rule)s, %(aggregate_id)s, %(version)s, %(correlation_id)s, %(causation_id)s)
ON CONFLICT DO NOTHING"""
ENDED: LiteralString = (
    "DELETE FROM errands WHERE rule = %(rule)s AND aggregate_id = %(aggregate_id)s"
)


def _errand(rule: OutboundRule) -> Subscriber:
    async def take(taking: Taking, envelope: Envelope, recorded: Recorded[Any]) -> None:
        is_asked_for = rule.pending(recorded)
        if is_asked_for is not None:
            values = {
                "rule": rule.key,
                "aggregate_id": recorded.aggregate_id,
                "version": recorded.version,
                "correlation_id": recorded.correlation_id,
                "causation_id": recorded.event_id,
            }
            taking.window.connection.later(ASK if is_asked_for else ENDED, values)

    topics = (rule.topic,)
    return Subscriber(f"outbound:{rule.key}", frozenset([rule.topic.name]), _types(topics), take)


def _policies(policies: Sequence[Policy]) -> Subscriber:
    by_fact: dict[type[Fact], list[Policy]] = defaultdict(list)
    for policy in policies:
        by_fact[policy.fact].append(policy)

    async def take(taking: Taking, envelope: Envelope, recorded: Recorded[Any]) -> None:
        for policy in by_fact[type(recorded.fact)]:
            ctx = taking.context(envelope, uuid5(envelope.event_id, policy.key))
            if ctx.command_id not in taking.done:
                with at_work_on(partial(dict, command_id=ctx.command_id)):
                    await policy.then(taking.window, ctx, recorded)

    return Subscriber(
        POLICIES,
        frozenset(topic_of(fact).name for fact in by_fact),
        frozenset(fact.fact_type for fact in by_fact),
        take,
        decides=True,
        keys=tuple(policy.key for policy in policies),
    )
