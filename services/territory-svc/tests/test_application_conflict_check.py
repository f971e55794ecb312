"""Conflict checks on a real database: asked for by deals, repeated when the map switches."""

from random import Random
from uuid import UUID

from chassis.context import Context
from chassis.storage.window import Window
from chassis.store import Saved, Store
from chassis.testing.by_hand import POLICIES_ACTOR
from prm_contracts.deals import (
    ConflictCheckRequested,
    DealApproved,
    DealFact,
    DealPromoted,
    DealWithdrawn,
)
from prm_contracts.territories import OpenSubjectsRechecked, TerritoryConflictChecked
from prm_contracts.values import Deadline, Decision
from territory_svc.application.tables import BATCH, MapExtract, map_of, whole_map
from territory_svc.domain.conflict_check import ConflictCheck, check_id
from territory_svc.domain.matching import Located, locate
from territory_svc.policies import dimensions_of

from .cast import ALPHA, BOREALIS, COBALT, DEAL, HOFFMANN, NOW, defined, registered, subject, works
from .platform import TerritoryService

GERMANY = defined("germany", works(ALPHA), geographies=("DE",))
UNTIL = Deadline(at=NOW, local_date=NOW.date(), zone="Europe/Berlin", calendar_version="1")
BY_RULE = Decision(
    decided_by=UUID(int=5),
    is_automatic=True,
    reason_code="clear",
    rule_id="automatic",
    policy_version="1",
    input_hash="0" * 64,
)
APPROVED = DealApproved(
    decision=BY_RULE, exclusive_from=NOW, exclusive_until=UNTIL, discount_bp=800
)
WITHDRAWN = DealWithdrawn(withdrawn_by=UUID(int=21))


def answers(service: TerritoryService, deal_id: UUID = DEAL) -> list[TerritoryConflictChecked]:
    checks = [each.fact for each in service.stored()]
    return [
        check
        for check in checks
        if isinstance(check, TerritoryConflictChecked) and check.subject == deal_id
    ]


def told(service: TerritoryService, deal_id: UUID = DEAL) -> list[tuple[int, int, list[str]]]:
    """Subject version, alignment version and kinds of each answer."""
    return [
        (check.subject_version, check.alignment_version, [c.kind for c in check.conflicts])
        for check in answers(service, deal_id)
    ]


async def test_a_registered_deal_is_checked_by_the_map(service: TerritoryService) -> None:
    await service.align(GERMANY)

    await service.deal_is_registered(DEAL, registered(ALPHA))

    assert told(service) == [(1, 1, [])]
    assert answers(service)[0].dimensions == dimensions_of(registered(ALPHA)) == subject()


async def test_a_deal_in_anothers_territory_conflicts(service: TerritoryService) -> None:
    await service.align(GERMANY)

    await service.deal_is_registered(DEAL, registered(BOREALIS))

    assert told(service) == [(1, 1, ["EXCLUSIVE_OTHER"])]


async def test_without_any_alignment_every_cell_is_unassigned(service: TerritoryService) -> None:
    await service.deal_is_registered(DEAL, registered(ALPHA))

    assert told(service) == [(1, 0, ["UNASSIGNED_CELL"])]


async def test_a_registration_delivered_twice_is_checked_once(service: TerritoryService) -> None:
    await service.deliver(DEAL, 1, registered(ALPHA), event_id=UUID(int=1))

    await service.deliver(DEAL, 1, registered(ALPHA), event_id=UUID(int=1))
    await service.deliver(DEAL, 1, registered(ALPHA), event_id=UUID(int=2))

    assert len(answers(service)) == 1


async def test_a_check_is_repeated_on_request_for_the_new_subject_version(
    service: TerritoryService,
) -> None:
    await service.align(GERMANY)
    await service.deal_is_registered(DEAL, registered(ALPHA))
    requested = ConflictCheckRequested(
        subject_version=2, reason_code="promoted", dimensions=subject(BOREALIS)
    )

    await service.deliver(DEAL, 4, requested)

    assert told(service) == [(1, 1, []), (2, 1, ["EXCLUSIVE_OTHER"])]


async def test_a_request_that_overtakes_the_registration_is_not_undone_by_it(
    service: TerritoryService,
) -> None:
    requested = ConflictCheckRequested(
        subject_version=2, reason_code="promoted", dimensions=subject(ALPHA)
    )
    await service.deliver(DEAL, 4, requested)
    await service.deliver(DEAL, 1, registered(ALPHA))

    await service.align(GERMANY)
    await service.settle()

    assert told(service)[2:] == [(2, 1, [])]


async def test_an_undecided_deal_is_checked_again_when_the_map_switches(
    service: TerritoryService,
) -> None:
    await service.deal_is_registered(DEAL, registered(ALPHA))

    await service.align(GERMANY)
    await service.settle()

    assert told(service) == [(1, 0, ["UNASSIGNED_CELL"]), (1, 1, [])]


DECIDED: list[tuple[DealFact, ...]] = [(APPROVED,), (WITHDRAWN,)]


async def test_a_decided_deal_keeps_what_its_last_check_said(service: TerritoryService) -> None:
    for number, facts in enumerate(DECIDED):
        await service.deal_is_registered(UUID(int=500 + number), registered(ALPHA))
        for version, fact in enumerate(facts, 2):
            await service.deliver(UUID(int=500 + number), version, fact)

    await service.align(GERMANY)
    await service.settle()

    assert [len(answers(service, UUID(int=500 + n))) for n in range(len(DECIDED))] == [1, 1]


async def test_a_promoted_deal_is_undecided_again(service: TerritoryService) -> None:
    await service.deal_is_registered(DEAL, registered(ALPHA))
    await service.deliver(DEAL, 2, WITHDRAWN)
    await service.deliver(DEAL, 3, DealPromoted(subject_version=2))

    await service.align(GERMANY)
    await service.settle()

    assert len(answers(service)) == 2


async def test_many_undecided_deals_are_checked_again_in_batches_each_once(
    service: TerritoryService,
) -> None:
    deals = [UUID(int=1000 + number) for number in range(2 * BATCH)]
    for deal_id in deals:
        await service.deliver(deal_id, 1, registered(ALPHA))
    await service.settle()

    await service.align(GERMANY)
    await service.settle()

    assert [len(answers(service, deal_id)) for deal_id in deals] == [2] * len(deals)
    batches = service.facts(OpenSubjectsRechecked)
    assert batches == [
        OpenSubjectsRechecked(rechecked=BATCH, last_subject=deals[BATCH - 1]),
        OpenSubjectsRechecked(rechecked=BATCH, last_subject=deals[-1]),
        OpenSubjectsRechecked(rechecked=0, last_subject=None),
    ]


async def test_two_switches_in_a_row_leave_each_deal_checked_by_the_last(
    service: TerritoryService,
) -> None:
    await service.deal_is_registered(DEAL, registered(COBALT))
    await service.align(GERMANY)
    await service.align(defined("world", works(COBALT), geographies=("FR",)))

    await service.settle()

    assert told(service)[-1] == (1, 2, ["EXCLUSIVE_OTHER"])
    assert len(service.facts(OpenSubjectsRechecked)) == 2


async def test_a_check_that_crossed_with_a_switch_is_repeated(service: TerritoryService) -> None:
    await service.align(GERMANY)
    await service.settle()

    await service.tell(answer_by_an_older_map, POLICIES_ACTOR)
    await service.settle()

    assert told(service) == [(1, 0, []), (1, 1, [])]


async def answer_by_an_older_map(store: Store, ctx: Context) -> Saved:
    """What another worker had read before the switch and saved after it."""
    check = await store.load_or_new(ConflictCheck, check_id(DEAL, 1))
    check.complete(DEAL, 1, subject(), Located((), (), ()), alignment_version=0)
    return await store.save(ctx, check)


def some(random: Random, values: list[str]) -> tuple[str, ...]:
    return tuple(random.sample(values, random.choice((0, 1, 2))))


async def test_what_the_database_leaves_out_would_not_have_mattered(
    service: TerritoryService,
) -> None:
    random = Random(7)
    wanted = [
        defined(
            f"cell-{number}",
            works(random.choice((ALPHA, BOREALIS, COBALT)), "shared"),
            geographies=some(random, ["DE", "DE-BY", "DE-BE", "FR"]),
            families=some(random, ["backup", "storage", "network"]),
            industries=some(random, ["54", "5415", "541512", "62"]),
            size_bands=some(random, ["small", "large"]),
            included_customers=some(random, [str(HOFFMANN), str(DEAL)]),
        )
        for number in range(60)
    ]
    await service.align(*wanted)
    window = Window(service.events.reads)
    [everything] = await window.rows(MapExtract, whole_map())
    subjects = [
        subject(
            random.choice((ALPHA, BOREALIS)),
            customer_id=random.choice((HOFFMANN, UUID(int=77))),
            country=country,
            subdivision=random.choice((None, "DE-BY") if country == "DE" else (None,)),
            industry=random.choice((None, "54", "541512", "62")),
            families=random.choice((("backup",), ("storage", "network"), ("unheard-of",))),
        )
        for country in random.choices(("DE", "FR", "IT"), k=80)
    ]

    found = [(await window.rows(MapExtract, map_of(each)))[0].territories for each in subjects]

    assert [locate(each, few) for each, few in zip(subjects, found, strict=True)] == [
        locate(each, everything.territories) for each in subjects
    ]
    assert all(len(few) < len(everything.territories) for few in found)
