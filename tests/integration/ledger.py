"""What must hold after any fault, seen from outside: each check answers with what is wrong."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping

from chassis.testing.ledger import expect_none, wrong_in_log
from chassis.testing.topics import Event
from ops import clock
from prm_contracts.catalogue import topics_of

from .load import Accepted, Load
from .story import Partner, Person, Story

DRAINED_WITHIN = 120.0  # seconds
STATUS_AFTER = {
    "DealRegistered": "checking",
    "DealCleared": "in_review",
    "DealConflictsFound": "in_review",
    "DealQueued": "queued",
    "DealPromoted": "checking",
    "DealApproved": "approved",
    "DealRejected": "rejected",
    "DealWithdrawn": "withdrawn",
    "DealExpired": "expired",
}


def assert_whole(story: Story, load: Load) -> None:
    expect_none(wrong_after(story, load))


def wrong_after(story: Story, load: Load) -> Iterator[str]:
    """Drains, then reads all topics, and asks all that the load has touched."""
    services = list(story.platform.services)
    clock.settle(story.platform.client, services, DRAINED_WITHIN)
    yield from load.told.unexpected
    for service in services:
        records = [
            event
            for topic in topics_of(service)
            for event in story.topics.records(topic.name)
            if event.is_genuine
        ]
        head = story.platform.client.state_of(service)["head"]
        yield from (f"{service}: {what}" for what in wrong_in_log(records, head))
    accepted = load.told.accepted
    facts = {topic: story.topics.facts(topic) for topic in topics_touched(accepted)}
    yield from wrong_in_answers(accepted, facts)
    yield from wrong_in_effects(story, load, facts["prm.deals"])
    yield from wrong_in_lists(listed_to(load.partners), facts["prm.deals"])
    yield from wrong_in_documents(shown_to(story.manager, accepted), facts)


def topics_touched(accepted: Iterable[Accepted]) -> set[str]:
    return {"prm.deals"} | {it.topic for it in accepted}


def wrong_in_answers(
    accepted: Iterable[Accepted], facts: Mapping[str, list[Event]]
) -> Iterator[str]:
    """`facts`: by topic, each once. Every answer stands there, and no command does twice."""
    at = {(it.subject, it.version): it for events in facts.values() for it in events}
    answered = {it.command_id: it for it in accepted}
    for each in answered.values():
        event = at.get((each.id, each.version))
        if event is None:
            yield f"lost: {each}"
        elif event.headers["ce_commandid"] != each.command_id and not each.path.endswith("/read"):
            yield f"of another command: {each}"
    aggregates = defaultdict(set)
    for topic, events in facts.items():
        for event in events:
            if (told := answered.get(event.headers["ce_commandid"])) and told.topic == topic:
                aggregates[told.command_id].add(event.subject)
    for command_id, subjects in aggregates.items():
        if len(subjects) > 1:
            yield f"doubled: {answered[command_id]} is {subjects}"


def wrong_in_effects(story: Story, load: Load, deals: list[Event]) -> Iterator[str]:
    """Checks, verdicts and notifications: each once, and none is owed."""
    sellers = sellers_of({it.id: it.seller.id for it in load.partners}, deals)
    yield from wrong_in_registrations(load.told.accepted, sellers)
    own = [it for it in deals if it.subject in sellers]
    checks, plans = (story.topics.facts(f"prm.{it}") for it in ("conflict-checks", "alignments"))
    yield from wrong_in_checks(own, checks)
    yield from wrong_in_reviews(own, checks, plans)
    yield from wrong_in_notifications(own, sellers, story.topics.facts("prm.notifications"))


def sellers_of(partners: Mapping[str, str], deals: Iterable[Event]) -> dict[str, str]:
    """By deal of these partners, the one seller that its partner has here."""
    return {
        it.subject: partners[it.fact["partner_id"]]
        for it in deals
        if it.name == "DealRegistered" and it.fact["partner_id"] in partners
    }


def wrong_in_registrations(
    accepted: Iterable[Accepted], sellers: Mapping[str, str]
) -> Iterator[str]:
    """A deal was registered exactly where somebody was told so."""
    answered = {it.id for it in accepted if it.path == "deals"}
    if sellers.keys() != answered:
        yield f"registered or answered, and not both: {sellers.keys() ^ answered}"


def wrong_in_checks(deals: list[Event], checks: list[Event]) -> Iterator[str]:
    """By each map that was in force meanwhile, one check and at most one verdict."""
    subjects = {it.subject for it in deals}
    left = {it.subject for it in deals if it.name == "DealWithdrawn"}
    wanted = {(it.subject, it.fact.get("subject_version", 1)) for it in deals if asks(it)}
    own = [it for it in checks if it.fact["subject"] in subjects]
    found = by_map((it.fact["subject"], it) for it in own)
    verdicts = by_map(
        (it.subject, it) for it in deals if it.name in {"DealCleared", "DealConflictsFound"}
    )
    for check in sorted(wanted | found.keys() | verdicts.keys()):
        checked, answered = (max(it[check].values(), default=0) for it in (found, verdicts))
        if checked != 1:
            yield f"{check} was checked {checked} times"
        if answered > 1 or (not answered and check[0] not in left):
            yield f"{check} has {answered} verdicts"


def by_map(told: Iterable[tuple[str, Event]]) -> dict[tuple[str, int], Counter[int]]:
    """By subject and its version, how often by each version of the map."""
    found = defaultdict[tuple[str, int], Counter[int]](Counter)
    for subject, event in told:
        by = event.fact.get("alignment_version", 0)
        found[subject, event.fact["subject_version"]][by] += 1
    return found


def wrong_in_reviews(deals: list[Event], checks: list[Event], plans: list[Event]) -> Iterator[str]:
    """`plans`: the facts of alignments. What a person may decide on rests on the newest map."""
    newest = max((it.fact.get("alignment_version", 0) for it in (*plans, *checks)), default=0)
    rests_on: dict[str, int] = {}
    for event in deals:
        if event.name in {"DealCleared", "DealConflictsFound"}:
            rests_on[event.subject] = event.fact["alignment_version"]
        elif STATUS_AFTER.get(event.name, "in_review") != "in_review":
            rests_on.pop(event.subject, None)
    for deal, by in rests_on.items():
        if by < newest:
            yield f"{deal} is in review by map {by}, the newest is {newest}"


def asks(event: Event) -> bool:
    return event.name in {"DealRegistered", "DealPromoted", "ConflictCheckRequested"}


def wrong_in_notifications(
    deals: list[Event], sellers: Mapping[str, str], told: list[Event]
) -> Iterator[str]:
    """Every registration and approval is told to its seller; nothing is told twice to anybody."""
    causes = {it.id for it in deals}
    times = Counter(
        (it.fact["cause"]["event_id"], it.fact["recipient_id"], it.fact["template"])
        for it in told
        if it.name == "NotificationQueued" and it.fact["cause"]["event_id"] in causes
    )
    templates = {"DealRegistered": "deal-registered", "DealApproved": "deal-approved"}
    for event in deals:
        if template := templates.get(event.name):
            times.setdefault((event.id, sellers[event.subject], template), 0)
    yield from (f"told {count} times: {what}" for what, count in times.items() if count != 1)


def listed_to(partners: Iterable[Partner]) -> dict[str, dict[str, tuple[str, int]]]:
    """By partner and deal, status and version as the partner's seller reads them."""
    return {
        partner.id: {
            it["deal_id"]: (it["status"], it["version"]) for it in partner.seller.lists("deals")
        }
        for partner in partners
    }


def wrong_in_lists(
    listed: Mapping[str, Mapping[str, tuple[str, int]]], deals: list[Event]
) -> Iterator[str]:
    """A list is the fold of its topic."""
    for partner_id, shown in listed.items():
        if shown != (folded := fold(deals, partner_id)):
            yield f"deals of {partner_id}: {sorted(shown.items() ^ folded.items())}"


def shown_to(reader: Person, accepted: Iterable[Accepted]) -> dict[str, str | None]:
    """By aggregate that somebody addressed, the ETag of its document."""
    addressed = {it.id: it.path.split("/", maxsplit=1)[0] for it in accepted}
    return {
        record: reader.ask(f"{collection}/{record}").headers.get("ETag")
        for record, collection in addressed.items()
        if collection in {"partners", "contacts", "alignments"}
    }


def wrong_in_documents(
    shown: Mapping[str, str | None], facts: Mapping[str, list[Event]]
) -> Iterator[str]:
    """Each at the version of its last fact."""
    last = {it.subject: it.version for topic in facts for it in facts[topic]}
    for record, etag in shown.items():
        if etag != f'"{last.get(record)}"':
            yield f"{record} is shown as {etag}, and has {last.get(record)}"


def fold(deals: Iterable[Event], partner_id: str) -> dict[str, tuple[str, int]]:
    """Status and version of each deal of the partner, by its facts."""
    found: dict[str, tuple[str, int]] = {}
    for event in deals:
        if event.name == "DealRegistered" and event.fact["partner_id"] == partner_id:
            found[event.subject] = ("checking", 1)
        elif event.subject in found:
            before, _ = found[event.subject]
            found[event.subject] = (STATUS_AFTER.get(event.name, before), event.version)
    return found
